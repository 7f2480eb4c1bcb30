"""Members and methods of PowerShell's values: texts, lists, hashtables, and the few static ones that scripts use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.powershell.formatting import format_value
from launcher.importer.powershell.values import (
    MAX_ITEMS,
    MAX_TEXT,
    TOO_LONG,
    Folded,
    Unknown,
    text_of,
    to_int,
    to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MUTATING = frozenset(
    {"add", "addrange", "insert", "insertrange", "remove", "removeat", "clear", "append", "set_item"}
)
NOTHING = object()  # what a method without a value returns: it puts nothing out


def member(target: Any, name: str, line: int) -> Any:
    """`target.name`."""
    if isinstance(target, Unknown):
        return Unknown(target.reason, target.line, f"{target.text}.{name}")
    if isinstance(target, Folded):
        if name == "count" and target.get(name) is None:
            return len(target.items)
        if name in {"keys", "values"} and target.get(name) is None:
            return [pair[name == "values"] for pair in target.pairs()]
        return target.get(name)
    if name in {"count", "length"}:
        return (
            len(target)
            if isinstance(target, (list, str)) and not (isinstance(target, str) and name == "count")
            else 1
        )
    if isinstance(target, list):  # the member of each item
        return [None if isinstance(item, list) else member(item, name, line) for item in target]
    if target is None:
        return None
    return Unknown(f".{name[:40]} is not evaluated", line)


def call(target: Any, name: str, arguments: list[Any], line: int) -> Any:
    """`target.name(arguments)`."""
    if isinstance(target, Unknown):
        return Unknown(target.reason, target.line, f"{target.text}.{name}()")
    if isinstance(target, list) and name in LIST_METHODS:
        return LIST_METHODS[name](target, arguments, line)
    if isinstance(target, Folded):
        return _table_call(target, name, arguments, line)
    unknown = next((item for item in arguments if isinstance(item, Unknown)), None)
    if unknown is not None:
        return unknown
    if name == "tostring":
        return format_value(target, text_of(arguments[0]), line) if arguments else to_text(target)
    if isinstance(target, str) and name in TEXT_METHODS:
        try:
            return bounded(TEXT_METHODS[name](str(target), arguments), line)
        except (IndexError, ValueError, TypeError):
            return Unknown(f".{name}() with these values is not evaluated", line)
    return Unknown(f"the method {name[:40]} is not evaluated", line)


def bounded(value: Any, line: int) -> Any:
    too_long = (isinstance(value, str) and len(value) > MAX_TEXT) or (
        isinstance(value, list) and len(value) > MAX_ITEMS
    )
    return Unknown(TOO_LONG, line) if too_long else value


def _table_call(target: Folded, name: str, arguments: list[Any], line: int) -> Any:
    key = text_of(arguments[0]) if arguments else ""
    if name in {"containskey", "contains"}:
        return key.lower() in target.items
    if name == "add" and len(arguments) == 2:
        if len(target.items) < MAX_ITEMS:
            target.set(key, arguments[1])
        return NOTHING
    if name == "remove":
        target.items.pop(key.lower(), None)
        return NOTHING
    if name == "getenumerator":
        return [
            Folded({"key": ("Key", pair[0]), "name": ("Name", pair[0]), "value": ("Value", pair[1])})
            for pair in target.pairs()
        ]
    return Unknown(f"the method {name[:40]} is not evaluated", line)


def _list_add(items: list[Any], arguments: list[Any], _line: int) -> Any:
    if len(items) < MAX_ITEMS:
        items.append(arguments[0] if arguments else None)
    return len(items) - 1


def _list_extend(items: list[Any], arguments: list[Any], _line: int) -> Any:
    more = arguments[0] if arguments and isinstance(arguments[0], list) else arguments
    items.extend(list(more)[: MAX_ITEMS - len(items)])
    return NOTHING


def _list_insert(items: list[Any], arguments: list[Any], line: int) -> Any:
    at = to_int(arguments[0], line) if len(arguments) == 2 else None
    if isinstance(at, int) and 0 <= at <= len(items) < MAX_ITEMS:
        items.insert(at, arguments[1])
        return NOTHING
    return Unknown("an insertion at an unknown place", line)


def _is_same(one: Any, other: Any) -> bool:
    """Equal texts and numbers; of anything larger the very same object (comparing deep lists would take for ever)."""
    return one is other or (
        isinstance(one, (str, int, float)) and isinstance(other, (str, int, float)) and one == other
    )


def _list_remove(items: list[Any], arguments: list[Any], _line: int) -> Any:
    at = next(
        (number for number, item in enumerate(items) if arguments and _is_same(item, arguments[0])), None
    )
    if at is not None:
        del items[at]
    return NOTHING


def _list_clear(items: list[Any], _arguments: list[Any], _line: int) -> Any:
    items.clear()
    return NOTHING


def _list_contains(items: list[Any], arguments: list[Any], _line: int) -> Any:
    return bool(arguments) and any(_is_same(item, arguments[0]) for item in items)


def _list_copy(items: list[Any], _arguments: list[Any], _line: int) -> Any:
    return list(items)


LIST_METHODS: dict[str, Callable[[list[Any], list[Any], int], Any]] = {
    "add": _list_add, "addrange": _list_extend, "insert": _list_insert, "remove": _list_remove, "clear": _list_clear,
    "contains": _list_contains, "toarray": _list_copy, "clone": _list_copy, "getenumerator": _list_copy,
}  # fmt: skip


def _split(text: str, arguments: list[Any]) -> list[str]:
    """`.Split(" ")`: literal; a list of signs parts at each of them. Options other than a number of pieces are rare."""
    signs = arguments[0] if arguments else " "
    seps = [text_of(item) for item in (signs if isinstance(signs, list) else [signs])]
    first = seps[0] or " "
    for other in seps[1:]:
        text = text.replace(other, first)
    pieces = text.split(first)
    options = [str(item).lower() for item in arguments[1:]]
    return (
        [piece for piece in pieces if piece]
        if "removeemptyentries" in options or 1 in arguments[1:]
        else pieces
    )


def _chars(arguments: list[Any]) -> str | None:
    return "".join(text_of(item) for item in arguments) or None


def _substring(text: str, arguments: list[Any]) -> str:
    begin = int(arguments[0])
    end = begin + int(arguments[1]) if len(arguments) > 1 else len(text)
    if not 0 <= begin <= end <= len(text):
        raise ValueError(begin)
    return text[begin:end]


def _pad(text: str, arguments: list[Any], *, left: bool) -> str:
    width = min(int(arguments[0]), MAX_TEXT)
    fill = str(arguments[1])[:1] if len(arguments) > 1 else " "
    return text.rjust(width, fill) if left else text.ljust(width, fill)


def _replace(text: str, arguments: list[Any]) -> str:
    old, new = text_of(arguments[0]), text_of(arguments[1])
    if not old or (len(text) // len(old) + 1) * (len(new) + 1) > 10 * MAX_TEXT:
        raise ValueError(old)
    return text.replace(old, new)


TEXT_METHODS: dict[str, Callable[[str, list[Any]], Any]] = {
    "split": _split, "trim": lambda text, a: text.strip(_chars(a)), "trimend": lambda text, a: text.rstrip(_chars(a)),
    "trimstart": lambda text, a: text.lstrip(_chars(a)), "tolower": lambda text, _: text.lower(),
    "toupper": lambda text, _: text.upper(), "tolowerinvariant": lambda text, _: text.lower(),
    "replace": _replace, "contains": lambda text, a: text_of(a[0]) in text,
    "startswith": lambda text, a: text.startswith(text_of(a[0])), "endswith": lambda text, a: text.endswith(text_of(a[0])),
    "substring": _substring, "indexof": lambda text, a: text.find(text_of(a[0])),
    "lastindexof": lambda text, a: text.rfind(text_of(a[0])), "padleft": lambda text, a: _pad(text, a, left=True),
    "padright": lambda text, a: _pad(text, a, left=False), "equals": lambda text, a: text == to_text(a[0]),
    "tochararray": lambda text, _: list(text),
}  # fmt: skip
