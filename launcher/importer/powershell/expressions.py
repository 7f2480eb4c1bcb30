"""PowerShell expressions: operators by their precedence (language specification 7), casts, members, literals."""

from __future__ import annotations

import re

from launcher.importer.powershell.scanner import DOUBLE, HERE, SINGLE, Scanner
from launcher.importer.powershell.tree import (
    Array,
    Binary,
    Block,
    Call,
    Cast,
    Index,
    Items,
    Literal,
    Member,
    Node,
    Paren,
    Step,
    Table,
    Ternary,
    TypeName,
    Unary,
    Variable,
)

_COMPARISONS = "eq|ne|gt|ge|lt|le|like|notlike|match|notmatch|contains|notcontains|in|notin|replace|split|is|isnot|as|join"
OPERATORS = (  # lowest precedence first
    re.compile(r"(\?\?)(?!=)"),
    re.compile(r"-(and|or|xor)\b", re.IGNORECASE),
    re.compile(r"-(band|bor|bxor)\b", re.IGNORECASE),
    re.compile(rf"-((?:[ci](?!n\b|s\b))?(?:{_COMPARISONS})|i(?:n|s|snot))\b", re.IGNORECASE),
    re.compile(r"(\+|-(?![A-Za-z]))(?![+\-=])"),
    re.compile(r"([*/%])(?!=)"),
    re.compile(r"-(f)\b", re.IGNORECASE),
    re.compile(r"(\.\.)"),
)
LIST_LEVEL = len(OPERATORS)
PREFIX = re.compile(r"(!|-not\b|-bnot\b|-split\b|-join\b|\+(?!\+)|-(?![-\w])|-(?=[\d.$(]))", re.IGNORECASE)
STEP = re.compile(r"\+\+|--")
NUMBER = re.compile(
    r"(0x[0-9a-f]+|\d+(?:\.(?!\.)\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)(l|d)?(kb|mb|gb|tb)?(?![\w])",
    re.IGNORECASE,
)
NAME = re.compile(r"[\w]+")
SIZES = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40}
MAX_DIGITS = 30
MAX_POSTFIX = 40


class ExpressionParser(Scanner):
    """Expressions; what they contain of statements is read by a later class."""

    def pipeline_or_assignment(self) -> Node:
        raise NotImplementedError

    def expression(self, *, commas: bool = True) -> Node:
        """A whole expression; without `commas` one argument of a method."""
        with self.nested():
            found = self._level(0, commas=commas)
            self.blanks()
            if self.peek() == "?" and self.peek(2) not in {"?.", "?[", "??"}:
                return self._ternary(found, commas=commas)
            return found

    def _ternary(self, condition: Node, *, commas: bool) -> Node:
        self.expect("?")
        self.space()
        yes = self._level(0, commas=commas)
        self.space()
        self.expect(":")
        self.space()
        return Ternary(condition.line, condition, yes, self.expression(commas=commas))

    def _level(self, level: int, *, commas: bool) -> Node:
        """One operand of a level, and all that is joined to it by the operators of that level and the higher ones."""
        first = self._items(commas=commas)
        return self._climb(first, level, commas=commas)

    def _climb(self, first: Node, level: int, *, commas: bool) -> Node:
        for higher in range(LIST_LEVEL - 1, level - 1, -1):
            rest: list[tuple[str, Node]] = []
            while True:
                operator = self._operator(higher)
                if operator is None:
                    break
                self.space()
                operand = self._climb(self._items(commas=commas), higher + 1, commas=commas)
                rest.append((operator, operand))
            if rest:
                first = Binary(first.line, first, tuple(rest))
        return first

    def _operator(self, level: int) -> str | None:
        self.blanks()
        found = self.match(OPERATORS[level])
        return found[1].lower() if found else None

    def _items(self, *, commas: bool) -> Node:
        """`a, b, c` binds tighter than every binary operator."""
        line = self.line()
        if commas and self.take(","):  # the unary comma: an array of one
            self.blanks()
            return Items(line, (self._unary(),))
        first = self._unary()
        if not commas:
            return first
        found = [first]
        while True:
            self.blanks()
            if not self.take(","):
                break
            self.space()
            found.append(self._unary())
        return Items(line, tuple(found)) if len(found) > 1 else first

    def _unary(self) -> Node:
        self.blanks()
        line = self.line()
        with self.nested():
            step = self.match(STEP)
            if step:
                return Step(line, self._unary(), 1 if step[0] == "++" else -1)
            if self.peek() != "-" or not NUMBER.match(self.text, self.at + 1):
                prefix = self.match(PREFIX)
                if prefix:
                    return Unary(line, prefix[1].lower().lstrip("-") or "-", self._unary())
            if self.peek() == "[":
                name = self.type_name()
                self.blanks()
                if self.peek(2) == "::" or not self._begins_operand():
                    return self._postfix(TypeName(line, name))
                return Cast(line, name, self._unary())
            return self._postfix(self.primary())

    def _begins_operand(self) -> bool:
        char = self.peek()
        return bool(char) and (
            char in "$(@[{!" + DOUBLE + SINGLE
            or char.isdigit()
            or (char == "-" and self.peek(2)[1:].isdigit())
        )

    def type_name(self) -> str:
        """The name in `[...]`, brackets of generic types included."""
        self.expect("[")
        begin, depth = self.at, 1
        while depth:
            char = self.peek()
            if not char or char == "\n":
                raise self.fail("a type in brackets is not closed")
            depth += (char == "[") - (char == "]")
            self.at += 1
        return self.text[begin : self.at - 1].strip().lower()

    def _postfix(self, node: Node) -> Node:
        for _ in range(MAX_POSTFIX):
            line = self.line()
            if self.peek(2) in {"::", "?."} or (self.peek() == "." and self.peek(2) != ".."):
                is_static = self.peek(2) == "::"
                self.at += 2 if self.peek(2) in {"::", "?."} else 1
                node = self._member(node, line, is_static=is_static)
            elif self.peek() == "[":
                node = self._index(node, line)
            elif self.peek(2) in {"++", "--"} and isinstance(node, (Variable, Member, Index)):
                by = 1 if self.peek() == "+" else -1
                self.at += 2
                node = Step(line, node, by)
            else:
                return node
        raise self.fail("a chain of members is too long")

    def _member(self, target: Node, line: int, *, is_static: bool) -> Node:
        if self.peek() and self.peek() in DOUBLE + SINGLE:
            quoted = self.string()
            name = str(quoted.value) if isinstance(quoted, Literal) else ""
        else:
            found = self.match(NAME)
            name = found[0] if found else ""
        if not name:
            raise self.fail("a name was expected behind the dot")
        if self.peek() != "(":
            return Member(line, target, name.lower(), is_static)
        return Call(line, target, name.lower(), self._arguments(), is_static)

    def _arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        found: list[Node] = []
        with self.nested():
            self.space()
            while self.peek() != ")":
                found.append(self.expression(commas=False))
                self.space()
                if not self.take(","):
                    break
                self.space()
            self.expect(")")
        return tuple(found)

    def _index(self, target: Node, line: int) -> Node:
        self.expect("[")
        self.space()
        index = self.expression()
        self.space()
        self.expect("]")
        return Index(line, target, index)

    # ------------------------------------------------------------------ operands

    def primary(self) -> Node:
        """A literal, a variable, something in brackets."""
        line, char = self.line(), self.peek()
        if char and (char in DOUBLE + SINGLE or HERE.match(self.text, self.at)):
            return self.string()
        if char == "$":
            found = self.sub_expression() if self.peek(2) == "$(" else self.variable()
            if found is not None:
                return found
        if char == "(":
            return self._paren()
        if char == "@":
            return self._at_sign()
        if char == "{":
            return self.block()
        number = self.match(NUMBER)
        if number:
            return Literal(line, _number(number))
        if char == "-" and NUMBER.match(self.text, self.at + 1):
            self.at += 1
            positive = self.match(NUMBER)
            if positive:
                value = _number(positive)
                return Literal(line, -value)
        shown = "the line ends" if char in {"\n", ""} else f"{char!r} stands"
        raise self.fail(f"{shown} where a value was expected")

    def _paren(self) -> Node:
        line = self.line()
        self.expect("(")
        with self.nested():
            self.space()
            body = self.pipeline_or_assignment()
            self.space()
            self.expect(")")
        return Paren(line, body)

    def block(self) -> Block:
        """`{ ... }`."""
        line = self.line()
        self.expect("{")
        with self.nested():
            return Block(line, self.statements_until("}"))

    def _at_sign(self) -> Node:
        line = self.line()
        if self.take("@("):
            with self.nested():
                return Array(line, self.statements_until(")"))
        if self.take("@{"):
            with self.nested():
                return self._table(line)
        self.expect("@")
        found = self.match(NAME)
        if not found:
            raise self.fail("@ stands alone")
        return Variable(line, "", found[0], is_splat=True)

    def _table(self, line: int) -> Node:
        entries: list[tuple[Node, Node]] = []
        while True:
            self._between_entries()
            if self.take("}"):
                return Table(line, tuple(entries))
            name = self.match(NAME)
            key: Node = Literal(self.line(), name[0]) if name else self._unary()
            self.blanks()
            self.expect("=")
            self.space()
            entries.append((key, self.pipeline_or_assignment()))

    def _between_entries(self) -> None:
        self.space()
        while self.take(";"):
            self.space()


def _number(found: re.Match[str]) -> int | float:
    text = found[1][:MAX_DIGITS].lower()
    value: int | float
    if text.startswith("0x"):
        value = int(text, 16)
    elif re.fullmatch(r"\d+", text):
        value = int(text)
    else:
        value = float(text)
    value *= SIZES.get((found[3] or "").lower(), 1)
    return value if isinstance(value, float) or abs(value) < 2**63 else float(value)
