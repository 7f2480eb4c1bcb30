"""On which line a key of a TOML file stands, and the comment that explains it.

TOML parsers give values without their places. This scanner walks over a text that the parser has already accepted,
so it may be lenient; it understands strings, comments, tables and nesting only as far as finding keys needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KeyPath = tuple[str, ...]

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
NEITHER_STRING_NOR_BRACKET = re.compile(r"[^\"'\[\]{},#\r\n]+")
SIMPLE_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)


@dataclass(kw_only=True, slots=True)
class Lines:
    """Lines (from 1) and comments of the keys of one text."""

    lines: dict[KeyPath, int] = field(default_factory=dict)
    comments: dict[KeyPath, str] = field(default_factory=dict)

    def line_of(self, *keys: str) -> int:
        """Line of a key; where it is not known, that of the nearest table around it, and at last 1."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return self.lines[keys[:length]]
        return 1

    def comment_of(self, *keys: str) -> str:
        """The comment behind a value, else the comment lines directly above its key, else nothing."""
        return self.comments.get(keys, "")


def find_lines(text: str) -> Lines:
    """Places of all keys in a TOML text that `tomllib` accepts (anything else gives some answer, never an error)."""
    scanner = _Scanner(text)
    try:
        return scanner.scan()
    except (
        RecursionError
    ):  # brackets nested just as deep as the parser allowed: the keys before them are known
        return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.found = Lines()
        self.above: list[str] = []  # comment lines directly above the next key

    def scan(self) -> Lines:
        table: KeyPath = ()
        while self.at < len(self.text):
            self._skip_spaces()
            char = self._peek()
            if char == "\n":
                self._advance(1)
                self._forget_comments_after_blank_line()
            elif char == "#":
                self.above.append(self._take_comment())
                self._advance(1)
            elif char == "[":
                table = self._take_header()
                self.above = []
            else:
                self._take_pair(table, is_inline=False)
                self.above = []
        return self.found

    def _peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def _advance(self, length: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + length)
        self.at += length

    def _skip_spaces(self) -> None:
        while self._peek() and self._peek() in " \t\r":
            self.at += 1

    def _forget_comments_after_blank_line(self) -> None:
        """A comment belongs to the key directly below it: a blank line parts them."""
        end = self.text.find("\n", self.at)
        if not self.text[self.at : end if end >= 0 else len(self.text)].strip():
            self.above = []

    def _take_comment(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        comment = self.text[self.at + 1 : end].strip()
        self.at = end
        return comment

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self._advance((len(self.text) if end < 0 else end) - self.at)

    def _take_header(self) -> KeyPath:
        line = self.line
        while self._peek() == "[":
            self.at += 1
        keys = self._take_key()
        self.found.lines.setdefault(keys, line)
        self._skip_line()
        return keys

    def _take_key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip_spaces()
            if self._peek() and self._peek() in "\"'":
                parts.append(self._take_string())
            else:
                match = BARE_KEY.match(self.text, self.at)
                if not match:
                    return tuple(parts)
                parts.append(match.group())
                self.at = match.end()
            self._skip_spaces()
            if self._peek() != ".":
                return tuple(parts)
            self.at += 1

    def _take_pair(self, table: KeyPath, *, is_inline: bool) -> None:
        line = self.line
        keys = (*table, *self._take_key())
        for length in range(len(table) + 1, len(keys) + 1):
            self.found.lines.setdefault(keys[:length], line)
        self._skip_spaces()
        if self._peek() != "=":  # not TOML: go on with the next line, or the next character inside a table
            if is_inline:
                self._advance(1)
            else:
                self._skip_line()
            return
        self.at += 1
        self._take_value(keys)
        if is_inline:
            return
        self._skip_spaces()
        comment = self._take_comment() if self._peek() == "#" else " ".join(self.above)
        if comment:
            self.found.comments[keys] = comment
        self._skip_line()

    def _take_value(self, keys: KeyPath) -> None:
        """Walk over a value: strings and brackets may hold anything, all else ends with the line or a comma."""
        depth = 0
        while self.at < len(self.text):
            char = self._peek()
            if char in "\"'":
                self._take_string()
            elif char == "{":
                self._take_inline_table(keys)
            elif char == "[":
                depth += 1
                self.at += 1
            elif char in "]},\n#" and depth == 0:
                return
            elif char == "]":
                depth -= 1
                self.at += 1
            elif char == "#":
                self._take_comment()
            else:
                match = NEITHER_STRING_NOR_BRACKET.match(self.text, self.at)
                self._advance(len(match.group()) if match else 1)

    def _take_inline_table(self, keys: KeyPath) -> None:
        """`{ a = 1, b = { c = 2 } }`, iteratively deep as Python's own parser allowed it."""
        self.at += 1
        while self.at < len(self.text):
            self._skip_spaces()
            char = self._peek()
            if char == "}":
                self.at += 1
                return
            if char == "#":
                self._take_comment()
            elif char in ",\n":
                self._advance(1)
            else:
                self._take_pair(keys, is_inline=True)

    def _take_string(self) -> str:
        quote = self._peek()
        fence = quote * 3 if self._peek(3) == quote * 3 else quote
        begin = self.at + len(fence)
        at = begin
        while at < len(self.text) and not self.text.startswith(fence, at):
            at += 2 if quote == '"' and self.text[at] == "\\" else 1
        while len(fence) == 3 and self.text.startswith(
            quote, at + 3
        ):  # `""""` ends a text with a quote in it
            at += 1
        at = min(at, len(self.text))
        inner = self.text[begin:at]
        self._advance(at + len(fence) - self.at)
        return ESCAPE.sub(_unescape, inner) if quote == '"' else inner


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is None:
        return SIMPLE_ESCAPES.get(match[4], match[4])
    return chr(int(code, 16)) if int(code, 16) <= 0x10FFFF else ""
