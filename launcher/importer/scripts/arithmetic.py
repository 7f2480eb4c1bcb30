"""Whole numbers as `set /a` and the shell's `$(( ))` compute them: the operators of C, rounding towards zero.

Sources: `set /?` of Windows (the operators and their order), POSIX 2.6.4 and the Bash manual, "Shell Arithmetic".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+(?:#\w+)?|[A-Za-z_]\w*|<<=|>>=|\*\*|<<|>>|\+\+|--|[-+*/%&|^]=|==|!=|<=|>=|&&|\|\||[-+*/%&|^~!<>=?:(),])"
)
# Operator -> how tightly it binds; assignments and `?:` are read by hand.
BINDS = {
    "||": 3, "&&": 4, "|": 5, "^": 6, "&": 7, "==": 8, "!=": 8, "<": 9, ">": 9, "<=": 9, ">=": 9,
    "<<": 10, ">>": 10, "+": 11, "-": 11, "*": 12, "/": 12, "%": 12, "**": 13,
}  # fmt: skip
ASSIGNS = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="})
NAME = re.compile(r"[A-Za-z_]\w*")
MAX_NESTED = 60
MAX_LENGTH = 2000


class NotComputed(Exception):  # noqa: N818  (it carries the reason to where it is taken as such)
    """Why an expression has no known value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def compute(text: str, look: Callable[[str], int], keep: Callable[[str, int], None], *, bits: int) -> int:
    """The value of an expression.

    Args:
        text: the expression.
        look: the value of a variable.
        keep: sets a variable.
        bits: 32 for `set /a`, 64 for the shell; beyond them numbers wrap round.

    Raises:
        NotComputed: with the reason.
    """
    tokens, at = [], 0
    if len(text) > MAX_LENGTH:
        raise NotComputed("the expression is too long")
    text = text.strip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise NotComputed(f"`{text[:60]}` is no arithmetic of whole numbers")
        tokens.append(found[1])
        at = found.end()
    return _Computer(tokens, look, keep, bits).all()


class _Computer:
    def __init__(
        self, tokens: list[str], look: Callable[[str], int], keep: Callable[[str, int], None], bits: int
    ) -> None:
        self.tokens = tokens
        self.at = 0
        self.look = look
        self.keep = keep
        self.bits = bits
        self.depth = 0

    def all(self) -> int:
        if not self.tokens:
            return 0
        value = self.comma()
        if self.at < len(self.tokens):
            raise NotComputed(f"`{self.tokens[self.at]}` cannot stand there")
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, token: str) -> bool:
        is_there = self.peek() == token
        self.at += is_there
        return is_there

    def comma(self) -> int:
        value = self.assignment()
        while self.take(","):
            value = self.assignment()
        return value

    def assignment(self) -> int:
        self.depth += 1
        if self.depth > MAX_NESTED:
            raise NotComputed("the expression is nested too deeply")
        try:
            name = self.peek()
            sign = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
            if sign in ASSIGNS and NAME.fullmatch(name):
                self.at += 2
                value = self.assignment()
                if sign != "=":
                    value = self.binary(sign[:-1], self.look(name), value)
                self.keep(name, value)
                return value
            return self.choice()
        finally:
            self.depth -= 1

    def choice(self) -> int:
        value = self.level(0)
        if not self.take("?"):
            return value
        first = self.assignment()
        if not self.take(":"):
            raise NotComputed("a `:` is missing")
        second = self.assignment()
        return first if value else second

    def level(self, least: int) -> int:
        left = self.unary()
        while BINDS.get(self.peek(), -1) > least:
            sign = self.peek()
            self.at += 1
            right = self.level(BINDS[sign] - (sign == "**"))
            left = self.binary(sign, left, right)
        return left

    def unary(self) -> int:
        signs: list[str] = []
        while self.peek() in {"-", "+", "!", "~"}:
            signs.append(self.peek())
            self.at += 1
        value = self.primary()
        for sign in reversed(signs):
            value = {"-": -value, "+": value, "!": int(not value), "~": ~value}[sign]
        return self.wrapped(value)

    def primary(self) -> int:
        word = self.peek()
        self.at += 1
        if word == "(":
            value = self.comma()
            if not self.take(")"):
                raise NotComputed("a `)` is missing")
            return value
        if word in {"++", "--"}:
            return self.counted(self.peek(), word, is_before=True)
        if NAME.fullmatch(word):
            if self.peek() in {"++", "--"}:
                self.at -= 1
                return self.counted(word, self.tokens[self.at + 1], is_before=False)
            return self.look(word)
        return self.wrapped(number(word))

    def counted(self, name: str, sign: str, *, is_before: bool) -> int:
        self.at += 1 if is_before else 2
        if not NAME.fullmatch(name):
            raise NotComputed(f"`{sign}` needs a variable")
        old = self.look(name)
        new = self.wrapped(old + (1 if sign == "++" else -1))
        self.keep(name, new)
        return new if is_before else old

    def binary(self, sign: str, left: int, right: int) -> int:
        if sign in {"/", "%"}:
            if right == 0:
                raise NotComputed("it divides by zero")
            whole = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return self.wrapped(whole if sign == "/" else left - whole * right)
        if sign in {"<<", ">>", "**"} and not 0 <= right < self.bits:
            raise NotComputed(f"`{sign} {right}` is too much")
        return self.wrapped(int(OPERATIONS[sign](left, right)))

    def wrapped(self, value: int) -> int:
        half = 1 << (self.bits - 1)
        return (value + half) % (2 * half) - half


OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "**": lambda a, b: a**b,
    "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b, "&": lambda a, b: a & b, "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    "&&": lambda a, b: bool(a and b), "||": lambda a, b: bool(a or b),
}  # fmt: skip


def number(token: str) -> int:
    """A number as C writes it: `0x` is hexadecimal, a leading zero octal.

    Raises:
        NotComputed: it is none.
    """
    try:
        if token.lower().startswith("0x"):
            return int(token, 16)
        return int(token, 8) if len(token) > 1 and token.startswith("0") else int(token)
    except ValueError:
        raise NotComputed(f"`{token[:40]}` is no whole number") from None
