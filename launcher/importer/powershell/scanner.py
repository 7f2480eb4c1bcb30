"""Reading PowerShell's characters: blanks, comments, lines, variables, strings.

PowerShell has no one stream of tokens: what a character means depends on whether an expression or a command's
arguments are being read (about_Parsing). So the parser asks for what it expects, and this answers from the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.importer.findings import TooDeep
from launcher.importer.powershell.tree import Expandable, Literal, Node, Sub, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_DEPTH = 90  # nested brackets, blocks and strings; written by hand there are about twenty such steps
DOUBLE, SINGLE = '"“”„', "'‘’‚‛"  # typographic quotes count as plain ones (language specification 2.3.5.2)
BLANK = re.compile(r"(?:[ \t\f\v\u00a0\u3000\ufeff]+|`\n|<#.*?(?:#>|\Z))+", re.DOTALL)
COMMENT = re.compile(r"#[^\n]*")
SCOPED = re.compile(r"\$(?:(env|script|global|local|private|using|variable|function):(?=\w))?(\w+|[$?^](?!\w))", re.IGNORECASE)  # fmt: skip
BRACED = re.compile(r"\$\{(?:(env|script|global|local|private|using|variable):)?([^}\n]*)\}", re.IGNORECASE)
HERE = re.compile(r"@([\"'“”„‘’‚‛])[ \t]*\n")
ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
}
UNICODE_ESCAPE = re.compile(r"u\{([0-9a-fA-F]{1,6})\}")


class SyntaxProblem(Exception):  # noqa: N818  (it is caught and noted, never shown as an error)
    """The text is not what the language allows there."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


class Scanner:
    """A text and a place in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.warnings: list[tuple[int, str]] = []
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def line(self, at: int | None = None) -> int:
        return bisect_right(self._starts, self.at if at is None else at)

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def fail(self, why: str) -> SyntaxProblem:
        return SyntaxProblem(self.line(), why)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Bound the depth.

        Raises:
            TooDeep: there is too much of it.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooDeep(self.line())
        try:
            yield
        finally:
            self.depth -= 1

    def blanks(self) -> None:
        """Skip blanks, joined lines and block comments."""
        match = BLANK.match(self.text, self.at)
        if match:
            self.at = match.end()

    def space(self) -> None:
        """Skip everything between statements or inside brackets: blanks, line ends, comments."""
        while True:
            self.blanks()
            match = COMMENT.match(self.text, self.at)
            if match:
                self.at = match.end()
            elif self.peek() == "\n":
                self.at += 1
            else:
                return

    def take(self, sign: str) -> bool:
        if self.text.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            found = self.peek()
            shown = "the end of the line" if found in {"\n", ""} else f"{found!r}"
            raise self.fail(f"{sign!r} was expected instead of {shown}")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what fits a pattern here."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    # ------------------------------------------------------------------ strings

    def statements_until(self, end: str) -> tuple[Node, ...]:
        """Given by the parser of statements."""
        raise NotImplementedError

    def variable(self) -> Variable | None:
        """`$name`, `$env:NAME`, `${a name}`; None when the dollar is only a dollar."""
        line = self.line()
        found = self.match(BRACED) or self.match(SCOPED)
        if not found:
            return None
        return Variable(line, (found[1] or "").lower(), found[2])

    def sub_expression(self) -> Sub:
        """`$(...)`."""
        line = self.line()
        self.expect("$(")
        with self.nested():
            return Sub(line, self.statements_until(")"))

    def string(self) -> Node:
        """A quoted string or a here-string."""
        here = HERE.match(self.text, self.at)
        if here:
            return self._here_string(here)
        begin, line, quote = self.at, self.line(), self.peek()
        self.at += 1
        if quote in SINGLE:
            return Literal(line, self._verbatim())
        parts = self._expandable(line, self._at_closing_quote)
        return _joined(line, parts, self.text[begin + 1 : self.at - 1])

    def _verbatim(self) -> str:
        pieces = []
        while True:
            end = next((at for at in range(self.at, len(self.text)) if self.text[at] in SINGLE), None)
            if end is None:
                raise self.fail("a quote is not closed")
            pieces.append(self.text[self.at : end])
            self.at = end + 1
            if self.peek() not in SINGLE or not self.peek():
                return "".join(pieces)
            pieces.append(self.text[end])  # a doubled quote is one
            self.at += 1

    def _at_closing_quote(self) -> str | None:
        """At a double quote: what it stands for (a doubled one), or an empty text for the end; None: no quote."""
        char = self.peek()
        if not char:
            raise self.fail("a quote is not closed")
        if char not in DOUBLE:
            return None
        follows = self.text[self.at + 1 : self.at + 2]
        if follows and follows in DOUBLE:
            self.at += 2
            return char
        self.at += 1
        return ""

    def _here_string(self, here: re.Match[str]) -> Node:
        line, quote = self.line(), here[1]
        quotes = DOUBLE if quote in DOUBLE else SINGLE
        begin = here.end()
        close = re.compile(rf"^[{quotes}]@", re.MULTILINE).search(self.text, begin)
        if close is None:
            raise self.fail("a here-string is not closed")
        self.at = begin
        if quotes == SINGLE:
            self.at = close.end()
            return Literal(line, self.text[begin : max(close.start() - 1, begin)])
        last = max(close.start() - 1, begin)  # the line end before the closing mark is not part of it

        def at_end() -> str | None:
            return "" if self.at >= last else None

        parts = self._expandable(line, at_end)
        self.at = max(close.end(), self.at)
        return _joined(line, parts, self.text[begin:last])

    def _expandable(self, line: int, closing: Callable[[], str | None]) -> list[Node]:
        """Parts of an expandable string up to its end, which `closing` tells and steps over."""
        parts: list[Node] = []
        plain: list[str] = []

        def flush() -> None:
            if plain:
                parts.append(Literal(line, "".join(plain)))
                plain.clear()

        while True:
            closed = closing()
            if closed == "":
                break
            if closed:
                plain.append(closed)
                continue
            found = self.expansion()
            if found is not None:
                flush()
                parts.append(found)
            else:
                plain.append(self.character())
        flush()
        return parts

    def expansion(self) -> Node | None:
        """`$name` or `$(...)` here, as in every expandable text; None: an ordinary character."""
        if self.peek() != "$":
            return None
        return self.sub_expression() if self.peek(2) == "$(" else self.variable()

    def character(self) -> str:
        """One character, or what a backtick makes of the next one."""
        char = self.peek()
        self.at += 1
        if char != "`" or self.at >= len(self.text):
            return char
        code = self.match(UNICODE_ESCAPE)
        if code:
            return chr(min(int(code[1], 16), 0x10FFFF))
        escaped = self.peek()
        self.at += 1
        return "" if escaped == "\n" else ESCAPES.get(escaped, escaped)


def _joined(line: int, parts: list[Node], text: str) -> Node:
    if not parts:
        return Literal(line, "")
    if len(parts) == 1 and isinstance(parts[0], Literal):
        return parts[0]
    return Expandable(line, tuple(parts), text)
