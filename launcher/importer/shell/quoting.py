"""Backslashes and quotes of the shell, and what `${x...}` does to a text."""

from __future__ import annotations

import re

from launcher.importer.shell.patterns import SIGNS, replaced, without_begin, without_end

ANSI = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
ANSI_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


def edited(text: str, sign: str, operand: str) -> str:
    """Trimming, replacing, cutting and changing case."""
    if sign in {"#", "##"}:
        return without_begin(text[:500], operand, is_longest=sign == "##")
    if sign in {"%", "%%"}:
        return without_end(text[:500], operand, is_longest=sign == "%%")
    if sign in {"/", "//"}:
        old, _, new = operand.partition("/")
        return text if SIGNS.search(old) else replaced(text, old, new, is_everywhere=sign == "//")
    if sign in {"^", "^^", ",", ",,"}:
        changed = text.upper() if "^" in sign else text.lower()
        return changed if len(sign) == 2 else changed[:1] + text[1:]
    numbers = re.fullmatch(r"\s*\(?(-?\d{1,6})\)?\s*(?::\s*(-?\d{1,6}))?\s*", operand)
    if numbers is None:
        return text
    begin = int(numbers[1])
    begin = max(len(text) + begin, 0) if begin < 0 else begin
    if numbers[2] is None:
        return text[begin:]
    count = int(numbers[2])
    return text[begin : begin + count] if count >= 0 else text[begin : len(text) + count]


def unescaped(text: str) -> str:
    """Backslashes of a bare word: the next sign counts as it is, a line end goes away (POSIX 2.2.1)."""
    return re.sub(r"\\(\n|.)", lambda found: "" if found[1] == "\n" else found[1], text, flags=re.DOTALL)


def unquoted(text: str) -> str:
    """Backslashes in double quotes: only before `$`, a backquote, a quote, a backslash and a line end (POSIX 2.2.3)."""
    return re.sub(r"\\([$`\"\\\n])", lambda found: "" if found[1] == "\n" else found[1], text)


def ansi(text: str) -> str:
    """`$'...'`."""

    def put(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] == "x" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        return ANSI_SIGNS.get(code, code)

    return ANSI.sub(put, text)
