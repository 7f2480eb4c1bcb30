"""Runs the tree of a shell script on paper. Nothing is started, opened or written."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.importer.findings import TooLong
from launcher.importer.scripts.arithmetic import NotComputed
from launcher.importer.scripts.marks import on_line, plain
from launcher.importer.scripts.state import Left, State
from launcher.importer.secrets import hide
from launcher.importer.shell.assignments import Assigner
from launcher.importer.shell.commands import run_words
from launcher.importer.shell.conditions import test
from launcher.importer.shell.heredocs import Written, follow, written_file
from launcher.importer.shell.statements import (
    ASSIGNMENTS,
    REDIRECTS,
    is_joined,
    name_of,
    statements,
)
from launcher.importer.shell.syntax import broken, field, line_of, parse, text_of
from launcher.importer.shell.ways import WayEvaluator
from launcher.importer.shell.words import WordEvaluator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

    from launcher.importer.launch import Launch

MAX_CALLS = 10


class Evaluator(WayEvaluator):
    """One script."""

    def __init__(self, state: State, source: bytes) -> None:
        self.state = state
        self.source = source
        self.words = WordEvaluator(state)
        self.assigner = Assigner(state, self.words)
        self.functions: dict[str, Node] = {}
        self.written: Written = {}
        self.calls = 0
        self.why = ""  # why the last outcome is not known

    def run_script(self, root: Node) -> None:
        for node in broken(root):
            self.state.leave(line_of(node), f"`{hide(text_of(node))[:60]}` cannot be read")
        with suppress(Left):
            self.run_all(statements(root.children))

    def run_all(self, nodes: Sequence[Node]) -> bool | None:
        outcome: bool | None = True
        for node in nodes:
            outcome = self.run(node)
        return outcome

    def run(self, node: Node) -> bool | None:
        """One statement. Returns whether it succeeds, where that is sure."""
        self.state.step()
        self.why = ""
        handler = getattr(self, f"_{node.type.lower()}", None)
        if handler is not None and node.is_named:
            outcome: bool | None = handler(node)
            return outcome
        if node.type in ASSIGNMENTS:
            return self._assignments(node)
        if node.is_named and node.type not in {"comment", "heredoc_body", "heredoc_end"}:
            self.state.leave(line_of(node), f"`{hide(text_of(node))[:60]}` is not evaluated")
        return None

    # ------------------------------------------------------------------ commands

    def _command(self, node: Node) -> bool | None:
        extra: dict[str, str] = {}
        words: list[str] = []
        before: Node | None = None
        for child in node.children:
            if child.type in REDIRECTS or child.is_missing or child.type in {"comment", "ERROR"}:
                before = None
                continue
            if child.type == "variable_assignment":
                self._before_command(child, extra, words)
                continue
            fields = [on_line(line_of(child)) + item for item in self.words.fields(child)]
            if fields and words and is_joined(before, child, self.source):
                self.state.note(
                    line_of(child),
                    f"a backslash joins line {line_of(child)} to the word before it: there is no blank",
                )
                words[-1] += fields.pop(0)[1:]
            words += fields
            before = child
        return self._start(words, line_of(node), extra)

    def _before_command(self, node: Node, extra: dict[str, str], words: list[str]) -> None:
        """`X=1 python ...`; with dashes before the name it is an option that was cut off from its command."""
        name = text_of(node.children[0])
        value = self.words.text(field(node, "value"))
        if name.startswith("-"):
            words.append(f"{on_line(line_of(node))}{name}={value}")
        elif self.state.marks.first(value) is None:
            extra[name] = plain(value)

    def _start(self, words: list[str], line: int, extra: dict[str, str]) -> bool | None:
        count = len(self.state.launches)
        outcome = run_words(self, words, line, extra)
        if self.written:
            self.state.launches[count:] = [
                follow(self.state, self.written, launch) for launch in self.state.launches[count:]
            ]
        return outcome

    def call(self, name: str, arguments: list[str]) -> bool | None:
        """A function of the script."""
        if self.calls >= MAX_CALLS:
            raise TooLong
        outer, locals_ = self.words.arguments, self.assigner.locals
        self.words.arguments, self.assigner.locals = arguments, {}
        self.calls += 1
        try:
            return self.run(self.functions[name])
        except Left as left:
            if left.kind != "return":
                raise
            return None
        finally:
            self.calls -= 1
            self.assigner.forget_locals()
            self.words.arguments, self.assigner.locals = outer, locals_

    def is_text(self, words: list[str]) -> bool:
        """`bash -c TEXT`."""
        return any(re.fullmatch(r"-[a-z]*c", plain(word)) for word in words[1:])

    def script_text(self, text: str, line: int) -> bool | None:
        """A text that is a script itself (`eval`, `bash -c`)."""
        unknown = self.state.marks.first(text)
        if self.calls >= MAX_CALLS:
            raise TooLong
        bare = plain(text)
        if unknown is not None:
            self.state.leave(line, f"what `{hide(self.state.marks.shown(text))[:60]}` starts is not known")
            return None
        inner, self.source = self.source, bare.encode()
        self.calls += 1
        count = len(self.state.launches)
        try:
            return self.run_all(statements(parse(bare).children))
        finally:
            self.source = inner
            self.calls -= 1
            self.state.launches[count:] = [_moved(launch, line) for launch in self.state.launches[count:]]

    def _redirected_statement(self, node: Node) -> bool | None:
        found = written_file(self.words, node)
        if found is not None:
            name, text, line = found
            self.written[re.split(r"[\\/]", name)[-1]] = (text, line)
            return True
        body = field(node, "body")
        return self.run(body) if body is not None else None

    # ------------------------------------------------------------------ assignments and functions

    def _assignments(self, node: Node) -> bool | None:
        nodes = node.children if node.type == "variable_assignments" else [node]
        cut_off = [child for child in nodes if text_of(child.children[0]).startswith("-")]
        if cut_off:  # `--x=1` behind a comment line in a chain
            words: list[str] = []
            for child in cut_off:
                self._before_command(child, {}, words)
            return self._start(words, line_of(node), {})
        self.state.open_launch = False
        for child in nodes:
            self.assigner.assign(child)
        return True

    def _declaration_command(self, node: Node) -> bool | None:
        self.state.open_launch = False
        self.assigner.declare(node)
        return True

    def _unset_command(self, node: Node) -> bool | None:
        for child in node.children[1:]:
            self.state.slots.pop(plain(self.words.text(child)), None)
        return True

    def _function_definition(self, node: Node) -> bool | None:
        body = field(node, "body")
        if body is not None:
            self.functions[name_of(node)] = body
        return True

    # ------------------------------------------------------------------ groups

    def _compound_statement(self, node: Node) -> bool | None:
        if node.children and node.children[0].type == "((":
            text = text_of(node).strip()[2:-2]
            try:
                return self.words.number(text, line_of(node)) != 0
            except NotComputed as error:
                self.why = error.reason
                return None
        return self.run_all(statements(node.children))

    def _subshell(self, node: Node) -> bool | None:
        slots, folder = self.state.slots, self.state.folder
        self.state.slots = dict(slots)
        try:
            return self.run_all(statements(node.children))
        except Left:
            return None
        finally:
            self.state.slots, self.state.folder = slots, folder

    def _pipeline(self, node: Node) -> bool | None:
        self.run_all(statements(node.children))
        return None

    def _negated_command(self, node: Node) -> bool | None:
        outcome = self.run(node.children[-1])
        return None if outcome is None else not outcome

    def _test_command(self, node: Node) -> bool | None:
        found = test(self.words, node)
        if isinstance(found, str):
            self.why = found
            return None
        return found

    def _error(self, node: Node) -> bool | None:
        self.run_all(
            [
                child
                for child in statements(node.children)
                if child.is_named and child.type.endswith(("command", "statement"))
            ]
        )
        return None


def _moved(launch: Launch, line: int) -> Launch:
    """A launch out of a text: its lines are that of the command which runs the text."""
    words = tuple(replace(word, line=line) for word in launch.words)
    program = tuple(replace(word, line=line) for word in launch.program)
    return replace(launch, line=line, words=words, program=program, script=replace(launch.script, line=line))
