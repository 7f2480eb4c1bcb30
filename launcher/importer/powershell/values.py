"""PowerShell's values and how they become each other: texts, numbers, truth, equality.

A value is a Python str, int, float, bool, None, list (arrays and lists), dict (hashtables) or `Unknown`. Rules are
those of the language specification, chapter 6 (conversions), and about_Comparison_Operators.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

MAX_TEXT = 64 * 1024
MAX_ITEMS = 10_000
TOO_LONG = "the text grows too long"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only a run would tell: why, on which line, and how it is written."""

    reason: str
    line: int
    text: str = ""


class NotKnown(Exception):  # noqa: N818  (it carries an unknown value to where it is taken as such)
    """A text was needed of what is unknown, or has something unknown in it."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown.reason)
        self.unknown = unknown


class Traced(str):
    """A text that remembers the line where it was put into a list, and that of the variable which gave its value."""

    __slots__ = ("line", "origin")
    line: int
    origin: int

    @classmethod
    def of(cls, text: str, line: int, origin: int) -> Traced:
        made = cls(text)
        made.line = line
        made.origin = origin
        return made


@dataclass(slots=True)
class Slot:
    """A variable: its value, the line that set it, and the type that it was declared with."""

    value: Any
    line: int
    type: str = ""


@dataclass(frozen=True, slots=True)
class ScriptBlock:
    """`{ ... }` as a value."""

    body: tuple[Any, ...]
    line: int


@dataclass(slots=True)
class Folded:
    """A hashtable: names without regard to case, in their order."""

    items: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        return self.items.get(name.lower(), ("", None))[1]

    def set(self, name: str, value: Any) -> None:
        key = name.lower()
        shown = self.items[key][0] if key in self.items else name
        self.items[key] = (shown, value)

    def pairs(self) -> list[tuple[str, Any]]:
        return list(self.items.values())


def number_text(value: float) -> str:
    """A double as .NET Core writes it: shortest, `1E-05` and `1E+15` beyond fixed notation."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0" if math.copysign(1, value) > 0 else "-0"
    from decimal import Decimal

    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    shown = "".join(map(str, digits))
    power = int(exponent) + len(shown) - 1
    minus = "-" if sign else ""
    if -5 < power < 15:
        return format(Decimal(repr(value)).normalize(), "f")
    fraction = f".{shown[1:]}" if len(shown) > 1 else ""
    return f"{minus}{shown[0]}{fraction}E{'-' if power < 0 else '+'}{abs(power):02d}"


def to_text(value: Any) -> str | Unknown:
    """A value inside a text: lists joined by blanks, `True` and `False`, nothing for $null."""
    if isinstance(value, Unknown):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        pieces = ["System.Object[]" if isinstance(item, list) else to_text(item) for item in value]
        unknown = next((piece for piece in pieces if isinstance(piece, Unknown)), None)
        return unknown or " ".join(str(piece) for piece in pieces)[:MAX_TEXT]
    if isinstance(value, Folded):
        return "System.Collections.Hashtable"
    return str(value)


def text_of(value: Any) -> str:
    """`to_text` where only a text will do.

    Raises:
        NotKnown: it is unknown; evaluation goes on with that.
    """
    text = to_text(value)
    if isinstance(text, Unknown):
        raise NotKnown(text)
    return text


def truth(value: Any) -> bool | Unknown:
    """Whether a condition holds: "0" is true, 0 and "" are not, a list of one is what its item is."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, list):
        return truth(value[0]) if len(value) == 1 else bool(value)
    if isinstance(value, str):
        return value != ""
    if isinstance(value, (Folded, ScriptBlock)):
        return True
    return bool(value)


def to_number(value: Any, line: int) -> int | float | Unknown:
    """A value as a number; a text by its looks."""
    if isinstance(value, Unknown):
        return value
    if value is None:
        return 0
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, float):
        return value
    if isinstance(value, list) and len(value) == 1:
        return to_number(value[0], line)
    text = str(value).strip()
    try:
        if text.lower().startswith("0x"):
            return int(text, 16) if len(text) < 20 else Unknown("the number is too large", line, text)
        return limited(int(text)) if text.lstrip("+-").isdigit() and len(text) < 30 else float(text or "0")
    except ValueError:
        return Unknown(f"{text[:40]!r} is no number", line, text)


def limited(value: int) -> int | float:
    """Whole numbers beyond 64 bits become doubles."""
    return value if abs(value) < 2**63 else float(value)


def to_int(value: Any, line: int) -> int | Unknown:
    """`[int]`: rounds halves to the even number (language specification 6.4)."""
    number = to_number(value, line)
    if isinstance(number, Unknown):
        return number
    if isinstance(number, float) and not math.isfinite(number):
        return Unknown("an infinite number is no whole one", line)
    return round(number)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(left: Any, right: Any, line: int, *, is_exact: bool = False) -> bool | Unknown:
    """`-eq`: the left value's type decides; texts without regard to case unless `is_exact`."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return left if isinstance(left, Unknown) else right
    if left is None or right is None:
        return left is None and right is None
    if isinstance(left, bool):
        return left == truth(right)
    if is_number(left):
        number = to_number(right, line)
        return not isinstance(number, Unknown) and left == number  # a text that is no number is not equal
    if isinstance(left, str):
        text = to_text(right)
        if isinstance(text, Unknown):
            return text
        return left == text if is_exact else left.casefold() == text.casefold()
    return left is right


def order(left: Any, right: Any, line: int, *, is_exact: bool = False) -> int | Unknown:
    """-1, 0 or 1, as `-lt` and `-gt` see it."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return left if isinstance(left, Unknown) else right
    if isinstance(left, str):
        text = to_text(right)
        if isinstance(text, Unknown):
            return text
        pair = (left, text) if is_exact else (left.casefold(), text.casefold())
        return (pair[0] > pair[1]) - (pair[0] < pair[1])
    first, second = to_number(left, line), to_number(right, line)
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        return first if isinstance(first, Unknown) else second  # type: ignore[return-value]
    return (first > second) - (first < second)
