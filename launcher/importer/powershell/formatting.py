"""`-f` and `.ToString(format)`: .NET's composite formatting, as far as scripts use it."""

from __future__ import annotations

import re
from typing import Any

from launcher.importer.powershell.values import MAX_TEXT, TOO_LONG, Unknown, to_number, to_text

FIELD = re.compile(r"\{\{|\}\}|\{(\d{1,2})(?:,(-?\d{1,3}))?(?::([^{}]*))?\}")
STANDARD = re.compile(r"([DFNEGXPdfnegxp])(\d{0,2})")
CUSTOM = re.compile(r"(#*0*)(?:\.(0*)(#*))?")


def format_text(pattern: str, values: Any, line: int) -> str | Unknown:
    """`pattern -f values`."""
    items = values if isinstance(values, list) else [values]
    unknown: list[Unknown] = []

    def fill(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        number = int(found[1])
        if number >= len(items):
            unknown.append(Unknown("-f has too few values", line, pattern))
            return ""
        text = format_value(items[number], found[3] or "", line)
        if isinstance(text, Unknown):
            unknown.append(text)
            return ""
        width = int(found[2] or 0)
        return text.rjust(width) if width >= 0 else text.ljust(-width)

    made = FIELD.sub(fill, pattern)
    if unknown:
        return unknown[0]
    return made if len(made) <= MAX_TEXT else Unknown(TOO_LONG, line)


def format_value(value: Any, form: str, line: int) -> str | Unknown:
    """One value by a format string."""
    if (
        not form
        or isinstance(value, Unknown)
        or not isinstance(value, (int, float))
        or isinstance(value, bool)
    ):
        return to_text(value)
    number = to_number(value, line)
    standard, custom = STANDARD.fullmatch(form), CUSTOM.fullmatch(form)
    if isinstance(number, Unknown):
        return number
    if standard:
        return _standard(number, standard[1], standard[2], form, line)
    if custom and (custom[1] or custom[2]):
        least = len(custom[2] or "")
        text = f"{number:.{least + len(custom[3] or '')}f}"
        whole, dot, fraction = text.partition(".")
        fraction = fraction[:least] + fraction[least:].rstrip("0")
        return whole.zfill(custom[1].count("0")) + (dot + fraction if fraction else "")
    return Unknown(f"the format {form[:20]!r} is not evaluated", line)


def _standard(number: float, letter: str, digits: str, form: str, line: int) -> str | Unknown:
    kind = letter.upper()
    if kind in {"D", "X"} and isinstance(number, int):
        text = f"{abs(number):{'X' if letter == 'X' else 'x'}}" if kind == "X" else str(abs(number))
        return ("-" if number < 0 else "") + text.zfill(int(digits or 0))
    if kind == "F":
        return f"{number:.{int(digits or 2)}f}"
    if kind == "N":
        return f"{number:,.{int(digits or 2)}f}"
    if kind == "P":
        return f"{number * 100:,.{int(digits or 2)}f}%"
    if kind == "E":
        mantissa, _, power = f"{number:.{int(digits or 6)}e}".partition("e")
        return f"{mantissa}{letter}{power[0]}{int(power[1:]):03d}"
    if kind == "G" and not digits:
        return to_text(number)
    return Unknown(f"the format {form[:20]!r} is not evaluated", line)
