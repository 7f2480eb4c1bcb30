"""PowerShell's operators on values (language specification 7). What would take too long is unknown, never tried."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from launcher.importer.powershell.formatting import format_text
from launcher.importer.powershell.values import (
    MAX_ITEMS,
    MAX_TEXT,
    TOO_LONG,
    Folded,
    Unknown,
    equal,
    is_number,
    limited,
    order,
    text_of,
    to_int,
    to_number,
    to_text,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = frozenset({
    "eq", "ne", "gt", "ge", "lt", "le", "like", "notlike", "match", "notmatch", "contains", "notcontains", "in",
    "notin", "replace", "split", "join", "is", "isnot", "as",
})  # fmt: skip
FILTERING = frozenset({"eq", "ne", "gt", "ge", "lt", "le", "like", "notlike", "match", "notmatch"})
QUANTIFIER = re.compile(r"(?<!\\)[*+?{]")
MAX_PATTERN, MAX_SUBJECT = 200, 2000


def binary(operator: str, left: Any, right: Any, line: int) -> Any:
    """The value of `left OPERATOR right`; `operator` in small letters without its dash."""
    name, is_exact = _plain(operator)
    if name in FILTERING and isinstance(left, list):
        return _filter(name, left, right, line, is_exact=is_exact)
    if name in {"contains", "notcontains", "in", "notin"}:
        items, item = (left, right) if "contains" in name else (right, left)
        return _contains(name, items, item, line, is_exact=is_exact)
    unknown = next((value for value in (left, right) if isinstance(value, Unknown)), None)
    if unknown is not None and name != "??":
        return unknown
    return OPERATIONS[name](left, right, line, is_exact)


def _plain(operator: str) -> tuple[str, bool]:
    """`ceq` is `eq` with regard to case, `ieq` is `eq`."""
    if operator not in WORDS and operator[:1] in {"c", "i"} and operator[1:] in WORDS:
        return operator[1:], operator[0] == "c"
    return operator, False


def _filter(name: str, items: list[Any], right: Any, line: int, *, is_exact: bool) -> Any:
    """A comparison with a list at its left is the list of those for which it holds."""
    found = []
    for item in items:
        if isinstance(item, list):
            return Unknown("a comparison with lists in a list", line)
        holds = binary(("c" if is_exact else "") + name, item, right, line)
        if isinstance(holds, Unknown):
            return holds
        if holds:
            found.append(item)
    return found


def _contains(name: str, items: Any, item: Any, line: int, *, is_exact: bool) -> Any:
    for one in items if isinstance(items, list) else [items]:
        same = equal(one, item, line, is_exact=is_exact)
        if isinstance(same, Unknown):
            return same
        if same:
            return "not" not in name
    return "not" in name


def add(left: Any, right: Any, line: int, _: bool = False) -> Any:
    """`+`: the left value decides; $null takes the other's side."""
    if left is None:
        return right
    if isinstance(left, list):
        joined = [*left, *(right if isinstance(right, list) else [right])]
        return joined if len(joined) <= MAX_ITEMS else Unknown("the list grows too long", line)
    if isinstance(left, str):
        text = to_text(right)
        if isinstance(text, Unknown):
            return text
        return left + text if len(left) + len(text) <= MAX_TEXT else Unknown(TOO_LONG, line)
    if isinstance(left, Folded) and isinstance(right, Folded):
        return Folded({**left.items, **right.items})
    return _arithmetic(left, right, line, lambda one, other: one + other)


def _arithmetic(left: Any, right: Any, line: int, compute: Callable[[Any, Any], Any]) -> Any:
    one, other = to_number(left, line), to_number(right, line)
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return one if isinstance(one, Unknown) else other
    try:
        found = compute(one, other)
    except (ZeroDivisionError, OverflowError, ValueError):
        return Unknown("a division by zero", line)
    return limited(found) if isinstance(found, int) else found


def _times(left: Any, right: Any, line: int, _: bool) -> Any:
    if isinstance(left, (str, list)):
        count = to_int(right, line)
        if isinstance(count, Unknown):
            return count
        most = MAX_TEXT if isinstance(left, str) else MAX_ITEMS
        return left * max(count, 0) if len(left) * max(count, 0) <= most else Unknown(TOO_LONG, line)
    return _arithmetic(left, right, line, lambda one, other: one * other)


def _divide(one: float, other: float) -> float:
    found = one / other
    return int(found) if isinstance(one, int) and isinstance(other, int) and one % other == 0 else found


def _modulo(one: float, other: float) -> float:
    """The sign follows the dividend."""
    found = math.fmod(one, other)
    return int(found) if isinstance(one, int) and isinstance(other, int) else found


def _range(left: Any, right: Any, line: int, _: bool) -> Any:
    first, last = to_int(left, line), to_int(right, line)
    if isinstance(first, Unknown) or isinstance(last, Unknown):
        return first if isinstance(first, Unknown) else last
    if abs(last - first) >= MAX_ITEMS:
        return Unknown("the range is too long", line)
    return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


def pattern_of(text: str, line: int, *, is_exact: bool) -> re.Pattern[str] | Unknown:
    """A regular expression of the script, if it is simple enough to end soon.

    .NET's and Python's agree on what is let through: at most one repetition, no look-around, no references.
    """
    is_simple = len(text) <= MAX_PATTERN and len(QUANTIFIER.findall(text)) <= 1 and "(?" not in text and not re.search(r"\\[1-9kpP]", text)  # fmt: skip
    try:
        if is_simple:
            return re.compile(text, 0 if is_exact else re.IGNORECASE)
    except (re.error, OverflowError):
        pass
    return Unknown(f"the pattern {text[:40]!r} is not evaluated", line)


def _subject(value: Any, line: int) -> str | Unknown:
    text = to_text(value)
    return Unknown(TOO_LONG, line) if isinstance(text, str) and len(text) > MAX_SUBJECT else text


def _match(left: Any, right: Any, line: int, is_exact: bool) -> Any:
    subject, pattern = _subject(left, line), pattern_of(text_of(right), line, is_exact=is_exact)
    if isinstance(subject, Unknown) or isinstance(pattern, Unknown):
        return subject if isinstance(subject, Unknown) else pattern
    return bool(pattern.search(subject))


def _replace(left: Any, right: Any, line: int, is_exact: bool) -> Any:
    if isinstance(left, list):
        return [None if isinstance(item, list) else _replace(item, right, line, is_exact) for item in left]
    old, new = (right[0], right[1]) if isinstance(right, list) and len(right) > 1 else (right, "")
    subject, pattern = _subject(left, line), pattern_of(text_of(old), line, is_exact=is_exact)
    target = text_of(new)
    if isinstance(subject, Unknown) or isinstance(pattern, Unknown):
        return subject if isinstance(subject, Unknown) else pattern
    if "$" in target:
        return Unknown("a replacement with groups is not evaluated", line)
    if len(subject) * (len(target) + 1) > MAX_TEXT:
        return Unknown(TOO_LONG, line)
    return pattern.sub(lambda _: target, subject)


def split(left: Any, right: Any, line: int, is_exact: bool = False) -> Any:
    """`-split`: by a regular expression; a list gives the pieces of all its items."""
    if isinstance(left, list):
        pieces = [[None] if isinstance(item, list) else split(item, right, line, is_exact) for item in left]
        unknown = next((piece for piece in pieces if isinstance(piece, Unknown)), None)
        return unknown or [item for piece in pieces for item in piece]
    most = right[1] if isinstance(right, list) and len(right) > 1 else 0
    by = right[0] if isinstance(right, list) and right else right
    subject, pattern = _subject(left, line), pattern_of(text_of(by), line, is_exact=is_exact)
    if isinstance(subject, Unknown) or isinstance(pattern, Unknown):
        return subject if isinstance(subject, Unknown) else pattern
    count = to_int(most, line)
    return pattern.split(subject, maxsplit=max(count - 1, 0) if isinstance(count, int) else 0)


def _join(left: Any, right: Any, line: int, _: bool) -> Any:
    texts = [to_text(item) for item in (left if isinstance(left, list) else [left])]
    unknown = next((text for text in texts if isinstance(text, Unknown)), None)
    joined = text_of(right).join(str(text) for text in texts)
    return unknown or (joined if len(joined) <= MAX_TEXT else Unknown(TOO_LONG, line))


def like(text: str, pattern: str, *, is_exact: bool) -> bool:
    """A wildcard: `*` any text, `?` one character. Two pointers: no pattern takes long."""
    if not is_exact:
        text, pattern = text.casefold(), pattern.casefold()
    at = sign = 0
    star, mark = -1, 0
    while at < len(text):
        if sign < len(pattern) and pattern[sign] == "*":
            star, mark = sign, at
            sign += 1
        elif sign < len(pattern) and pattern[sign] in {"?", text[at]}:
            at += 1
            sign += 1
        elif star >= 0:
            mark += 1
            at, sign = mark, star + 1
        else:
            return False
    return all(char == "*" for char in pattern[sign:])


def _like(left: Any, right: Any, line: int, is_exact: bool) -> Any:
    text, pattern = _subject(left, line), _subject(right, line)
    if isinstance(text, Unknown) or isinstance(pattern, Unknown):
        return text if isinstance(text, Unknown) else pattern
    if "[" in pattern:
        return Unknown("a wildcard with brackets is not evaluated", line)
    return like(text, pattern, is_exact=is_exact)


def _ordering(holds: Callable[[int], bool]) -> Callable[[Any, Any, int, bool], Any]:
    def compare(left: Any, right: Any, line: int, is_exact: bool) -> Any:
        found = order(left, right, line, is_exact=is_exact)
        return found if isinstance(found, Unknown) else holds(found)

    return compare


def _negated(operation: Callable[[Any, Any, int, bool], Any]) -> Callable[[Any, Any, int, bool], Any]:
    def negated(left: Any, right: Any, line: int, is_exact: bool) -> Any:
        found = operation(left, right, line, is_exact)
        return found if isinstance(found, Unknown) else not found

    return negated


def _equal(left: Any, right: Any, line: int, is_exact: bool) -> Any:
    return equal(left, right, line, is_exact=is_exact)


def _bits(compute: Callable[[int, int], int]) -> Callable[[Any, Any, int, bool], Any]:
    def operate(left: Any, right: Any, line: int, _: bool) -> Any:
        one, other = to_int(left, line), to_int(right, line)
        if isinstance(one, Unknown) or isinstance(other, Unknown):
            return one if isinstance(one, Unknown) else other
        return compute(one, other)

    return operate


def _is(left: Any, right: Any, line: int, _: bool) -> Any:
    name = text_of(right).removeprefix("system.")
    kinds = {"string": isinstance(left, str), "int": isinstance(left, int) and not isinstance(left, bool), "int32": is_number(left) and isinstance(left, int),
             "double": isinstance(left, float), "bool": isinstance(left, bool), "array": isinstance(left, list)}  # fmt: skip
    return kinds.get(name, Unknown(f"-is [{name[:30]}] is not evaluated", line))


OPERATIONS: dict[str, Callable[[Any, Any, int, bool], Any]] = {
    "+": add,
    "-": lambda left, right, line, _: _arithmetic(left, right, line, lambda one, other: one - other),
    "*": _times,
    "/": lambda left, right, line, _: _arithmetic(left, right, line, _divide),
    "%": lambda left, right, line, _: _arithmetic(left, right, line, _modulo),
    "..": _range,
    "f": lambda left, right, line, _: format_text(text_of(left), right, line),
    "eq": _equal, "ne": _negated(_equal),
    "gt": _ordering(lambda found: found > 0), "ge": _ordering(lambda found: found >= 0),
    "lt": _ordering(lambda found: found < 0), "le": _ordering(lambda found: found <= 0),
    "like": _like, "notlike": _negated(_like), "match": _match, "notmatch": _negated(_match),
    "replace": _replace, "split": split, "join": _join, "is": _is, "isnot": _negated(_is),
    "as": lambda left, _right, line, _exact: Unknown("-as is not evaluated", line, str(left)[:40]),
    "band": _bits(lambda one, other: one & other), "bor": _bits(lambda one, other: one | other),
    "bxor": _bits(lambda one, other: one ^ other),
    "xor": lambda left, right, _line, _exact: truth(left) != truth(right),
    "??": lambda left, right, _line, _exact: right if left is None else left,
}  # fmt: skip
