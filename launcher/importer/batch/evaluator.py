"""Runs the tree of a batch script on paper: variables, conditions, loops, labels. Nothing is started, opened or written."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from launcher.importer.batch.commands import other_script, run_text
from launcher.importer.batch.conditions import holds
from launcher.importer.batch.expand import Expander, with_modifiers
from launcher.importer.batch.lines import Trouble
from launcher.importer.batch.parser import Parser
from launcher.importer.batch.tree import Block, Chain, For, If, Node, Simple
from launcher.importer.findings import TooLong
from launcher.importer.scripts.marks import plain
from launcher.importer.scripts.state import Left

if TYPE_CHECKING:
    from launcher.importer.scripts.state import Slot, State

LABEL = re.compile(r"[\s,;=]*:\s*([^\s:&|<>()+,;=^]+)")
MAX_CALLS = 10
MOST_ROUNDS = 200


class Evaluator:
    """One script."""

    def __init__(self, state: State, lines: list[str]) -> None:
        self.state = state
        self.lines = lines
        self.expander = Expander(state)
        self.locals: list[tuple[dict[str, Slot], bool]] = []
        self.calls = 0
        self.loops: dict[str, str] = {}
        self.tried: set[str] = set()
        self.seen: set[tuple[object, ...]] = set()
        self.labels: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            found = LABEL.match(line)
            if found:
                self.labels.setdefault(found[1].lower(), []).append(number)

    # ------------------------------------------------------------------ the order of lines

    def run_script(self) -> None:
        try:
            self.run_from(0)
        except Left as left:
            if left.kind not in {"exit", "goto"}:
                raise

    def run_from(self, at: int) -> None:
        """From a line on to the end of the script, or to `goto :eof`."""
        while at < len(self.lines):
            self.state.step()
            try:
                at = self._line(at)
            except Left as left:
                if left.kind != "goto":
                    raise
                found = self._jump(left, at)
                if found is None:
                    return
                at = found

    def _line(self, at: int) -> int:
        """One command; returns where the next one begins."""
        begin = at

        def pull() -> str | None:
            nonlocal at
            if at >= len(self.lines):
                return None
            at += 1
            return self.expander.percents(self.lines[at - 1], at)

        try:
            node = Parser(pull, begin + 1).command()
        except Trouble as trouble:
            self.state.leave(trouble.line, trouble.why)
            return max(at, begin + 1)
        if node is not None:
            self.run(node)
        return at

    def _jump(self, left: Left, at: int) -> int | None:
        """The line behind a label; None: the end."""
        if left.target == "eof":
            return None
        places = self.labels.get(plain(left.target))
        if not places:
            unknown = self.state.marks.first(left.target)
            why = unknown.reason if unknown else "there is no such label"
            self.state.leave(
                left.line, f"goto {self.state.marks.shown(left.target)}: {why}; the script ends there"
            )
            return None
        place = next((number for number in places if number >= at), places[0])
        moment = (place, self.calls, self.state.folder, *sorted((k, s.value) for k, s in self.state.slots.items()))  # fmt: skip
        self.state.step(1 + len(self.state.slots) // 10)
        if moment in self.seen:  # it would go round and round
            return None
        self.seen.add(moment)
        return place + 1

    def call_label(self, name: str, arguments: list[str], line: int) -> None:
        places = self.labels.get(name.lower())
        if name.lower() == "eof":
            return
        if not places:
            self.state.leave(line, f"call :{name[:60]}: there is no such label")
            return
        if self.calls >= MAX_CALLS:
            raise TooLong
        outer, depth = self.expander.arguments, len(self.locals)
        self.expander.arguments = arguments
        self.calls += 1
        try:
            self.run_from(places[0] + 1)
        finally:
            self.calls -= 1
            self.expander.arguments = outer
            while len(self.locals) > depth:  # a label that is called ends its own `setlocal`
                slots, self.expander.is_delayed = self.locals.pop()
                self.state.slots = dict(slots)

    def text_as_script(self, text: str, line: int) -> None:
        """A command inside a command (`cmd /c`)."""
        if self.calls >= MAX_CALLS:
            raise TooLong
        pieces = iter([text])
        self.calls += 1
        try:
            node = Parser(lambda: next(pieces, None), line).command()
            if node is not None:
                self.run(node)
        except Trouble as trouble:
            self.state.leave(line, trouble.why)
        finally:
            self.calls -= 1

    # ------------------------------------------------------------------ commands

    def run(self, node: Node) -> bool | None:
        """One command. Returns whether it succeeds, where that is sure."""
        self.state.step()
        if isinstance(node, Simple):
            return self._simple(node)
        if isinstance(node, Block):
            outcome: bool | None = True
            for inner in node.body:
                outcome = self.run(inner)
            return outcome
        if isinstance(node, Chain):
            return self._chain(node)
        if isinstance(node, If):
            return self._if(node)
        if isinstance(node, For):
            self._for(node)
        return None

    def _simple(self, node: Simple) -> bool | None:
        text = self.expander.bangs(self._with_loops(node.text), node.line)
        first = plain(text).split(maxsplit=1)
        name = first[0].strip('"').lower() if first else ""
        if name.endswith((".bat", ".cmd")) and "accelerate" not in name and "activate" not in name:
            other_script(self, name, node.line)  # without `call`, cmd does not come back
            self.state.note(node.line, "without `call`, cmd would not come back from there; it was read on")
            return None
        return run_text(self, text, node.line)

    def _with_loops(self, text: str) -> str:
        """`%i` and `%~ni` of the loops around."""
        for name, value in self.loops.items():
            if f"%{name}" in text or "%~" in text:
                pattern = rf"%(~[fdpnxsatz]*)?{re.escape(name)}"
                text = re.sub(pattern, partial(_put, value), text)
        return text

    def _chain(self, node: Chain) -> bool | None:
        outcome = self.run(node.left)
        if node.operator == "&&" and outcome is False:
            return False
        if node.operator == "||":
            if outcome is True:
                return True
            if outcome is None:
                why = f"only if the command before it in line {node.line} fails"
                reason = "it is the outcome of a program"
                is_open = self.state.open_launch
                self.state.either(
                    node.line,
                    reason,
                    [lambda: self._way(node.right)],
                    is_all=False,
                    on_left=self._try_label,
                    why=why,
                )
                self.state.open_launch = is_open
                return None
        return self.run(node.right)

    def _way(self, node: Node | None) -> None:
        if node is not None:
            self.run(node)

    def _if(self, node: If) -> bool | None:
        left, right = (
            self.expander.bangs(self._with_loops(text), node.line) for text in (node.left, node.right)
        )
        found = holds(node, self.expander, left, right)
        if isinstance(found, str):
            ways = [lambda: self._way(node.then), lambda: self._way(node.otherwise)]
            self.state.either(node.line, found, ways, is_all=True, on_left=self._try_label)
            return None
        if found:
            return self.run(node.then)
        return self.run(node.otherwise) if node.otherwise is not None else True

    def _try_label(self, left: Left) -> None:
        """A way that jumps: look what it would start, once for each label."""
        places = self.labels.get(plain(left.target))
        if left.kind != "goto" or left.target == "eof" or not places or left.target in self.tried:
            return
        self.tried.add(left.target)
        with suppress(Left):
            self.run_from(places[0] + 1)

    def _for(self, node: For) -> None:
        items = self.expander.bangs(self._with_loops(node.items), node.line)
        values = self._values(node, items)
        outer = dict(self.loops)
        try:
            if isinstance(values, str):
                self.loops[node.variable] = self.state.marks.unknown(values, node.line, f"%%{node.variable}")
                why = f"once for each %%{node.variable} of a list in line {node.line} that is not known"
                self.state.either(node.line, values, [lambda: self._way(node.body)], is_all=False,
                                  on_left=self._try_label, why=why)  # fmt: skip
                return
            for value in values:
                self.state.step()
                self.loops[node.variable] = value
                self.run(node.body)
        finally:
            self.loops = outer

    def _values(self, node: For, items: str) -> list[str] | str:
        """What a loop goes over; a text says why that is not known."""
        unknown = self.state.marks.first(items)
        if unknown is not None:
            return unknown.reason
        if node.kind in {"d", "r"} or (not node.kind and re.search(r"[*?]", items)):
            return "it lists files"
        if node.kind == "f":
            return "it reads a file or what a program puts out"
        if not node.kind:
            return re.findall(r'(?:[^\s"]|"[^"]*")+', plain(items))
        numbers = re.findall(r"-?\d+", plain(items))
        if len(numbers) != 3 or any(len(number) > 9 for number in numbers):
            return "its numbers cannot be read"
        begin, step, end = map(int, numbers)
        if step == 0:
            raise TooLong
        found = range(begin, end + (1 if step > 0 else -1), step)
        if len(found) > MOST_ROUNDS:
            raise TooLong
        return [str(number) for number in found]


def _put(value: str, found: re.Match[str]) -> str:
    """`%i`, or parts of it as `%~ni` asks for."""
    return with_modifiers(value, found[1][1:]) if found[1] else value
