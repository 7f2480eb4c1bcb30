"""Writing TOML that the `toml` 0.10.2 library of sd-scripts reads right, as does every other reader.

That library has its own view of escapes and arrays, so texts are written as 'literals' wherever they can be, and
every table is a plain `[table]` or `[[list of tables]]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SPLIT_AT = frozenset("'[]{}#,=\\")
ESCAPES = {'"': '\\"', "\\": "\\\\"}


def write_toml(tables: Mapping[str, Any], heading: str = "") -> str:
    """A mapping of values, mappings and lists of mappings as TOML text.

    Raises:
        ValueError: a value has no TOML form (None, infinity, a lone surrogate).
    """
    lines = [f"# {line}" for line in heading.splitlines()]
    _write_table(tables, (), lines)
    return "\n".join(lines) + "\n"


def write_value(value: object) -> str:
    """One value as it stands behind an `=`.

    Raises:
        ValueError: it has no TOML form.
    """
    return _value(value)


def _write_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    inner = {key: value for key, value in table.items() if _is_table(value) or _is_tables(value)}
    lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in inner]
    for key, value in inner.items():
        name = ".".join(_key(part) for part in (*path, key))
        for entry in [value] if _is_table(value) else value:
            lines += ["", f"[{name}]" if _is_table(value) else f"[[{name}]]"]
            _write_table(entry, (*path, key), lines)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(_is_table(item) for item in value)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_item(item) for item in value)}]"
    raise ValueError(f"{value!r} cannot be written as TOML")


def _item(value: object) -> str:
    """A value inside an array, where `toml` splits at commas and brackets whether they are quoted or not."""
    return _text(value, escaped=SPLIT_AT) if isinstance(value, str) else _value(value)


def _text(text: str, escaped: frozenset[str] = frozenset("'")) -> str:
    """A literal 'text' where no character needs escaping, else a basic "text"."""
    text.encode("utf-8")  # a lone surrogate (an undecodable file name) must fail here, not in the trainer
    if text and escaped.isdisjoint(text) and all(char.isprintable() for char in text):
        return f"'{text}'"
    unsafe = escaped - {"'"}
    return '"' + "".join(ESCAPES.get(char) or _plain(char, unsafe) for char in text) + '"'


def _plain(char: str, unsafe: frozenset[str]) -> str:
    if char.isprintable() and char not in unsafe:
        return char
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"
