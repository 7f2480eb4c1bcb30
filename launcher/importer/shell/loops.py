"""`for`, `while`, `until`, `select`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.importer.scripts.arithmetic import NotComputed
from launcher.importer.scripts.marks import plain
from launcher.importer.scripts.state import Left, State
from launcher.importer.shell.patterns import SIGNS
from launcher.importer.shell.statements import head_and_body, name_of, statements
from launcher.importer.shell.syntax import line_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

    from launcher.importer.shell.words import WordEvaluator


class LoopEvaluator:
    """Loops over what is known; of what is not, one round is looked at."""

    state: State
    words: WordEvaluator
    why: str

    def run_all(self, nodes: Sequence[Node]) -> bool | None:
        raise NotImplementedError

    def _round(self, body: Sequence[Node]) -> bool:
        """One round; false: `break`."""
        try:
            self.run_all(body)
        except Left as left:
            if left.kind == "break":
                return False
            if left.kind != "continue":
                raise
        return True

    def _for_statement(self, node: Node) -> bool | None:
        head, body = head_and_body(node)
        name, line = name_of(node), line_of(node)
        values: list[str] = []
        unknown = ""
        if text_of(node.children[0]) == "select":
            unknown = f"${name} is chosen at the keyboard"
        for child in head[1:]:
            if child.type in {"select", "comment"}:
                continue
            fields = self.words.fields(child)
            hidden = self.state.marks.first("".join(fields))
            if hidden is not None and child.type != "string":
                unknown = unknown or hidden.reason
            elif child.type in {"word", "concatenation"} and SIGNS.search("".join(fields)):
                unknown = unknown or "it lists files"
            values += (
                _braces(fields) if child.type in {"word", "brace_expression", "concatenation"} else fields
            )
        if unknown:
            self.state.set(name, self.state.marks.unknown(unknown, line, f"${name}"), line)
            why = f"once for each ${name} of a list in line {line} that is not known"
            self.state.either(line, unknown, [lambda: self._try_round(body)], is_all=False, why=why)
            return None
        for value in values:
            self.state.step()
            self.state.set(name, plain(value), line)
            if not self._round(body):
                break
        return None

    def _try_round(self, body: Sequence[Node]) -> None:
        self._round(body)

    def _c_style_for_statement(self, node: Node) -> bool | None:
        _, body = head_and_body(node)
        parts = text_of(node).split("((", 1)[-1].split("))", 1)[0].split(";")
        line = line_of(node)
        if len(parts) != 3:
            return None
        try:
            if parts[0].strip():
                self.words.number(parts[0], line)
            while not parts[1].strip() or self.words.number(parts[1], line):
                self.state.step(5)
                if not self._round(body):
                    break
                if parts[2].strip():
                    self.words.number(parts[2], line)
        except NotComputed as error:
            self.state.either(line, error.reason, [lambda: self._try_round(body)], is_all=False)
        return None

    def _while_statement(self, node: Node) -> bool | None:
        is_until = text_of(node.children[0]) == "until"
        head, body = head_and_body(node)
        line = line_of(node)
        seen: list[object] = []
        while True:
            self.state.step(5 + len(self.state.slots) // 10)
            outcome = self.run_all(statements(head))
            if outcome is None:
                self._perhaps(body, line)
                return None
            moment = (self.state.slots.copy(), self.state.folder)
            if outcome is is_until or moment in seen[-1:]:
                return None
            seen.append(moment)
            if not self._round(body):
                return None

    def _perhaps(self, body: Sequence[Node], line: int) -> None:
        reason = self.why or "it is the outcome of a program"
        if reason.endswith("is what the script is started with"):
            self.state.note(line, "the script is read as if it were started without words of its own")
            return
        self.state.either(line, reason, [lambda: self._try_round(body)], is_all=False)


def _braces(fields: list[str]) -> list[str]:
    """`{1..3}`."""
    found: list[str] = []
    for field in fields:
        begin, dots, end = plain(field).strip("{}").partition("..")
        is_range = (
            plain(field).startswith("{")
            and dots
            and begin.lstrip("-").isdecimal()
            and end.lstrip("-").isdecimal()
        )
        if is_range and len(begin) < 6 and len(end) < 6:
            step = 1 if int(end) >= int(begin) else -1
            found += [str(number) for number in range(int(begin), int(end) + step, step)]
        else:
            found.append(field)
    return found
