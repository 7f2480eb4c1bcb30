"""`&&`, `||`, `if` and `case`: which way a shell script takes, or that this is not known."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from launcher.importer.scripts.marks import plain
from launcher.importer.shell.loops import LoopEvaluator
from launcher.importer.shell.patterns import fits
from launcher.importer.shell.statements import case_items, clauses, statements
from launcher.importer.shell.syntax import field, line_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node


class WayEvaluator(LoopEvaluator):
    """Conditions."""

    def run(self, node: Node) -> bool | None:
        raise NotImplementedError

    def _list(self, node: Node) -> bool | None:
        parts = statements(node.children)
        if len(parts) != 2:
            return self.run_all(parts)
        is_or = any(child.type == "||" for child in node.children)
        outcome = self.run(parts[0])
        if outcome is not None:
            return outcome if outcome is is_or else self.run(parts[1])
        if not is_or and not self.why:  # a program that may fail: scripts count on its success
            return self.run(parts[1])
        line, why = line_of(parts[1]), self.why or "it is the outcome of a program"
        condition = "" if self.why else f"only if the command before it in line {line} fails"
        is_open = self.state.open_launch
        self.state.either(line, why, [partial(self._way, [parts[1]])], is_all=False, why=condition)
        self.state.open_launch = is_open
        self.why = why
        return None

    def _way(self, body: Sequence[Node]) -> None:
        self.run_all(body)

    # ------------------------------------------------------------------ if and case

    def _if_statement(self, node: Node) -> bool | None:
        found, otherwise = clauses(node)
        for number, (condition, body) in enumerate(found):
            outcome = self.run_all(condition)
            if outcome is None:
                ways = [body, *(inner for _, inner in found[number + 1 :]), otherwise]
                reason = self.why or "it is the outcome of a program"
                self.state.either(
                    line_of(node), reason, [partial(self._way, way) for way in ways], is_all=True
                )
                return None
            if outcome:
                return self.run_all(body)
        return self.run_all(otherwise)

    def _case_statement(self, node: Node) -> bool | None:
        subject = self.words.text(field(node, "value"))
        items = case_items(node)
        unknown = self.state.marks.first(subject)
        if unknown is None:
            for patterns, body in items:
                texts = [self.words.text(pattern) for pattern in patterns]
                unknown = self.state.marks.first("".join(texts))
                if unknown is not None:
                    break
                if any(fits(plain(subject), plain(text)) for text in texts):
                    return self.run_all(body)
        if unknown is not None:
            has_rest = any(text_of(patterns[0]) == "*" for patterns, _ in items if patterns)
            ways = [partial(self._way, body) for _, body in items]
            self.state.either(line_of(node), unknown.reason, ways, is_all=has_rest)
        return None
