"""Types of PowerShell scripts: casts, `[Math]`, `[string]`, `[IO.Path]`, new lists and tables."""

from __future__ import annotations

import math
import ntpath
from typing import TYPE_CHECKING, Any

from launcher.importer.powershell.formatting import format_text
from launcher.importer.powershell.members import bounded
from launcher.importer.powershell.values import (
    Folded,
    Unknown,
    is_number,
    text_of,
    to_int,
    to_number,
    to_text,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CONSTANTS = {
    ("math", "pi"): math.pi, ("math", "e"): math.e, ("string", "empty"): "", ("environment", "newline"): "\n",
    ("int", "maxvalue"): 2**31 - 1, ("int32", "maxvalue"): 2**31 - 1,
}  # fmt: skip


def plain_type(name: str) -> str:
    """A type's name without its namespace: `System.Collections.ArrayList` is `arraylist`."""
    base = name.lower().partition("[")[0]
    return base.rpartition(".")[2] + ("[]" if name.endswith("[]") else "")


def static_member(kind: str, name: str, line: int) -> Any:
    found = CONSTANTS.get((plain_type(kind), name))
    return Unknown(f"[{kind[:40]}]::{name[:40]} is not evaluated", line) if found is None else found


def static_call(kind: str, name: str, arguments: list[Any], line: int) -> Any:
    """`[kind]::name(arguments)`."""
    base = plain_type(kind)
    if name == "new":
        return new_object(base, arguments, line)
    unknown = next((item for item in arguments if isinstance(item, Unknown)), None)
    if unknown is not None:
        return unknown
    if base == "math" and name in MATH:
        return _math(name, arguments, line)
    handler = STATIC.get((base, name))
    if handler is None:
        return Unknown(f"[{kind[:40]}]::{name[:40]}() is not evaluated", line)
    try:
        return bounded(handler(arguments, line), line)
    except (IndexError, ValueError, TypeError):
        return Unknown(f"[{kind[:40]}]::{name[:40]}() with these values is not evaluated", line)


def new_object(base: str, arguments: list[Any], line: int) -> Any:
    """`::new()` and `New-Object`: lists and tables."""
    if base in {"arraylist", "list", "collection", "queue", "stringcollection"}:
        first = arguments[0] if arguments else None
        return list(first) if isinstance(first, list) else []
    if base in {"hashtable", "ordereddictionary", "dictionary", "psobject", "pscustomobject"}:
        return arguments[0] if arguments and isinstance(arguments[0], Folded) else Folded()
    return Unknown(f"an object of type {base[:40]}", line)


def _math(name: str, arguments: list[Any], line: int) -> Any:
    numbers = [to_number(item, line) for item in arguments]
    wrong = next((item for item in numbers if isinstance(item, Unknown)), None)
    if wrong is not None:
        return wrong
    try:
        found = MATH[name](*numbers)
    except (ValueError, OverflowError, TypeError, ZeroDivisionError):
        return Unknown(f"[Math]::{name} with these values", line)
    is_whole = name in {"abs", "min", "max"} and all(isinstance(item, int) for item in numbers)
    return found if is_whole or name == "sign" else float(found)


MATH: dict[str, Callable[..., Any]] = {
    "ceiling": math.ceil, "floor": math.floor, "round": lambda value, digits=0: round(value, int(digits)), "sqrt": math.sqrt,
    "pow": math.pow, "abs": abs, "min": min, "max": max, "truncate": math.trunc, "exp": math.exp, "sin": math.sin,
    "cos": math.cos, "log": lambda value, base=math.e: math.log(value) / math.log(base), "log10": math.log10,
    "log2": math.log2, "sign": lambda value: (value > 0) - (value < 0),
}  # fmt: skip


def _is_blank(arguments: list[Any], _line: int) -> bool:
    return not text_of(arguments[0]).strip()


def _concat(arguments: list[Any], _line: int) -> str:
    items = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
    return "".join(text_of(item) for item in items)


def _string_join(arguments: list[Any], _line: int) -> str:
    items = arguments[1] if len(arguments) == 2 and isinstance(arguments[1], list) else arguments[1:]
    return text_of(arguments[0]).join(text_of(item) for item in items)


def combine(parts: list[Any]) -> str:
    """Path.Combine and Join-Path: by the sign that the first part uses."""
    texts = [text_of(part) for part in parts if part is not None]
    found = texts[0] if texts else ""
    for text in texts[1:]:
        sign = "/" if "/" in found and "\\" not in found else "\\"
        found = f"{found.rstrip(chr(92) + '/')}{sign}{text.lstrip(chr(92) + '/')}" if found else text
    return found


STATIC: dict[tuple[str, str], Callable[[list[Any], int], Any]] = {
    ("string", "isnullorempty"): lambda a, _: to_text(a[0]) == "",
    ("string", "isnullorwhitespace"): _is_blank,
    ("string", "join"): _string_join,
    ("string", "concat"): _concat,
    ("string", "format"): lambda a, line: format_text(text_of(a[0]), a[1] if len(a) == 2 else a[1:], line),
    ("path", "combine"): lambda a, _: combine(a),
    ("path", "getfilename"): lambda a, _: ntpath.basename(text_of(a[0])),
    ("path", "getfilenamewithoutextension"): lambda a, _: ntpath.splitext(ntpath.basename(text_of(a[0])))[0],
    ("path", "getdirectoryname"): lambda a, _: ntpath.dirname(text_of(a[0])),
    ("path", "getextension"): lambda a, _: ntpath.splitext(text_of(a[0]))[1],
    ("int", "parse"): lambda a, _: int(text_of(a[0])),
    ("int32", "parse"): lambda a, _: int(text_of(a[0])),
    ("double", "parse"): lambda a, _: float(text_of(a[0])),
    ("convert", "toint32"): lambda a, line: to_int(a[0], line),
    ("convert", "todouble"): lambda a, line: to_number(a[0], line),
    ("convert", "tostring"): lambda a, _: to_text(a[0]),
}  # fmt: skip


def cast(kind: str, value: Any, line: int) -> Any:
    """`[kind]value`."""
    base = plain_type(kind)
    if base == "void":
        return None
    if isinstance(value, Unknown):
        return value
    if base in {"string", "char"}:
        return to_text(value)
    if base in {"int", "int32", "int64", "long", "uint32", "byte", "int16"}:
        return to_int(value, line)
    if base in {"double", "float", "single", "decimal"}:
        number = to_number(value, line)
        return number if isinstance(number, Unknown) else float(number)
    if base in {"bool", "boolean", "switch", "switchparameter"}:
        return truth(value)
    if base.endswith("[]"):
        items = value if isinstance(value, list) else [] if value is None else [value]
        found = [cast(base[:-2], item, line) if base != "object[]" else item for item in items]
        return next((item for item in found if isinstance(item, Unknown)), found)
    if base in {"array", "arraylist", "list"}:
        return list(value) if isinstance(value, list) else [] if value is None else [value]
    if base in {"ordered", "hashtable", "pscustomobject", "psobject", "object", "regex", "path"} or is_number(
        value
    ):
        return value if base not in {"datetime", "timespan"} else Unknown(f"[{base}] is not evaluated", line)
    return Unknown(f"[{kind[:40]}] is not evaluated", line)
