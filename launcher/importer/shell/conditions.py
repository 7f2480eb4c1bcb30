"""`[ ]`, `test` and `[[ ]]` (POSIX "test"; Bash manual, "Bash Conditional Expressions")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from launcher.importer.scripts.arithmetic import NotComputed
from launcher.importer.scripts.marks import plain
from launcher.importer.shell.patterns import SIGNS, fits
from launcher.importer.shell.syntax import line_of, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from launcher.importer.shell.words import WordEvaluator

Truth = bool | str  # a text says why it is not known
INNER = frozenset({"binary_expression", "unary_expression", "parenthesized_expression", "postfix_expression"})
OF_FILES = frozenset("abcdefghkprstuwxGLNOS")
NUMBERS = {
    "-eq": lambda a, b: a == b, "-ne": lambda a, b: a != b, "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b, "-gt": lambda a, b: a > b, "-ge": lambda a, b: a >= b,
}  # fmt: skip
TEXTS = frozenset({"=", "==", "!=", "<", ">", "=~", "-nt", "-ot", "-ef"})
PLAIN_PATTERN = re.compile(r"\^?[\w\s./=-]*\$?")


class Item(NamedTuple):
    """A sign or an operand of a condition."""

    text: str  # marked
    is_sign: bool
    is_pattern: bool = False


def test(run: WordEvaluator, node: Node) -> Truth:
    """A `test_command` of the tree."""
    is_double = text_of(node.children[0]) == "[["
    outer, run.asks = run.asks, True
    try:
        items = _items(run, node.children[1:-1], is_double=is_double)
    finally:
        run.asks = outer
    return Condition(run, items, line_of(node), is_double=is_double).holds()


def test_words(run: WordEvaluator, words: list[str], line: int) -> Truth:
    """`test ...` with its words."""
    signs = {"!", "(", ")", "-a", "-o"} | TEXTS | NUMBERS.keys()
    items = [
        Item(word, plain(word) in signs or re.fullmatch(r"-[a-zA-Z]", plain(word)) is not None)
        for word in words
    ]
    return Condition(run, items, line, is_double=False).holds()


def _items(run: WordEvaluator, nodes: list[Node], *, is_double: bool) -> list[Item]:
    found: list[Item] = []
    for node in nodes:
        if node.type in INNER:
            found += _items(run, node.children, is_double=is_double)
        elif not node.is_named or node.type == "test_operator":
            found.append(Item(text_of(node).strip(), is_sign=True))
        elif is_double:
            is_quoted = node.type in {"string", "raw_string", "ansi_c_string"}
            text = run.text(node)
            if node.type in {"regex", "extglob_pattern"}:  # quotes stay in these nodes
                text = re.sub(r"[\"']", "", text)
            found.append(Item(text, is_sign=False, is_pattern=not is_quoted))
        else:
            found += [Item(word, is_sign=False) for word in run.fields(node)]
    return found


class Condition:
    """Reads items from left to right: or, and, not, one test."""

    def __init__(self, run: WordEvaluator, items: list[Item], line: int, *, is_double: bool) -> None:
        self.run = run
        self.items = items
        self.line = line
        self.is_double = is_double
        self.at = 0
        self.depth = 0

    def holds(self) -> Truth:
        if not self.items:
            return False
        found = self._either()
        return found if self.at >= len(self.items) else "its condition cannot be read"

    def _sign(self) -> str:
        if self.at >= len(self.items) or not self.items[self.at].is_sign:
            return ""
        return self.items[self.at].text

    def _takes(self, *signs: str) -> bool:
        is_there = self._sign() in signs
        self.at += is_there
        return is_there

    def _either(self) -> Truth:
        self.depth += 1
        if self.depth > 40:
            return "its condition is nested too deeply"
        found = self._both()
        while self._takes("||", "-o"):
            other = self._both()
            found = (
                True
                if True in (found, other)
                else next((x for x in (found, other) if isinstance(x, str)), False)
            )
        self.depth -= 1
        return found

    def _both(self) -> Truth:
        found = self._not()
        while self._takes("&&", "-a"):
            other = self._not()
            found = (
                False
                if False in (found, other)
                else next((x for x in (found, other) if isinstance(x, str)), True)
            )
        return found

    def _not(self) -> Truth:
        count = 0
        while self._takes("!"):
            count += 1
        found = self._one()
        return found if isinstance(found, str) or count % 2 == 0 else not found

    def _one(self) -> Truth:
        if self._takes("("):
            found = self._either()
            return found if self._takes(")") else "its condition cannot be read"
        sign = self._sign()
        if (
            re.fullmatch(r"-[a-zA-Z]", sign)
            and self.at + 1 < len(self.items)
            and not self.items[self.at + 1].is_sign
        ):
            self.at += 2
            return self._unary(sign[1], self.items[self.at - 1].text)
        if self.at >= len(self.items):
            return False
        left = self.items[self.at]
        self.at += 1
        sign = self._sign()
        if sign in TEXTS or sign in NUMBERS:
            if self.at + 1 >= len(self.items):
                return "its condition cannot be read"
            right = self.items[self.at + 1]
            self.at += 2
            return self._binary(left.text, sign, right)
        return self._is_text(left.text)

    def _is_text(self, text: str) -> Truth:
        """`[[ $x ]]`: whether the text is not empty. "0" and "false" are texts like any other."""
        unknown = self.run.marks.first(text)
        bare = plain(text)
        if bare in {"0", "false", "False", "no"}:
            self.run.state.note(
                self.line, f"the shell takes the text {bare!r} for true here: only an empty one is false"
            )
        return unknown.reason if unknown and len(bare) == 1 else bool(bare)

    def _unary(self, sign: str, text: str) -> Truth:
        if sign in {"n", "z"}:
            unknown = self.run.marks.first(text)
            if unknown is not None and len(plain(text)) == 1:
                return unknown.reason
            return bool(plain(text)) == (sign == "n")
        if sign == "v":
            return plain(text) in self.run.state.slots
        if sign in OF_FILES:
            return f"whether {self.run.marks.shown(text)[:60]} is there is not looked up"
        return f"-{sign} is not evaluated"

    def _binary(self, left: str, sign: str, right: Item) -> Truth:
        unknown = self.run.marks.first(left + right.text)
        if unknown is not None:
            return unknown.reason
        text, other = plain(left), plain(right.text)
        if sign in NUMBERS:
            return self._numbers(text, sign, other)
        if sign in {"=", "==", "!="}:
            is_pattern = self.is_double and right.is_pattern and SIGNS.search(other)
            is_same = fits(text, other) if is_pattern else text == other
            return is_same == (sign != "!=")
        if sign in {"<", ">"}:
            return text < other if sign == "<" else text > other
        if sign == "=~" and PLAIN_PATTERN.fullmatch(other):
            return re.search(other.replace(".", "."), text[:2000]) is not None
        return f"{sign} is not evaluated"

    def _numbers(self, left: str, sign: str, right: str) -> Truth:
        try:
            if not self.is_double and not all(
                re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) for text in (left, right)
            ):
                return "a whole number is expected there"
            numbers = [
                int(text) if not self.is_double else self.run.number(text, self.line)
                for text in (left, right)
            ]
        except NotComputed as error:
            return error.reason
        return bool(NUMBERS[sign](*numbers))
