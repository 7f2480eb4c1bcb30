"""The text of a batch command while it is read: lines are pulled as they are needed, carets join them."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.importer.findings import TooDeep
from launcher.importer.scripts.marks import on_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELIMITERS = " \t,;=\f\v"
MAX_NESTED = 50


class Trouble(Exception):  # noqa: N818  (a place that cannot be read; told of, not raised further)
    """What cannot be read, and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


class Lines:
    """The text of one command, which begins on a line and takes as many as it needs."""

    def __init__(self, pull: Callable[[], str | None], first_line: int) -> None:
        self.pull = pull
        self.text = ""
        self.at = 0
        self.line = first_line
        self.depth = 0
        self.brackets = 0
        self.more()

    def more(self) -> bool:
        """The next line of the script, expanded; false: there is none."""
        found = self.pull()
        if found is None:
            return False
        self.text = f"{self.text[self.at :]}{found}\n"
        self.at = 0
        return True

    def peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def blanks(self) -> None:
        while self.peek() and self.peek() in DELIMITERS:
            self.at += 1

    def newline(self) -> None:
        self.at += 1
        self.line += 1

    @contextmanager
    def nested(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_NESTED:
            raise TooDeep(self.line)
        try:
            yield
        finally:
            self.depth -= 1

    def next_line(self) -> bool:
        if not self.text[self.at + 1 :] and not self.more():
            return False
        self.newline()
        return True

    def caret(self, parts: list[str]) -> None:
        """A caret: the next sign counts as it is; at the end of a line, the line goes on."""
        self.at += 1
        if self.peek() != "\n":
            parts.append(self.peek())
            self.at += 1
            return
        if not self.next_line():
            self.at += 1
            return
        parts.append(on_line(self.line))
        if self.peek() not in {"\n", '"'}:  # cmd takes the first sign of the next line as it is
            parts.append(self.peek())
            self.at += 1

    def redirection(self) -> None:
        found = re.compile(r"[<>]{1,2}&?[ \t]*").match(self.text, self.at)
        self.at = found.end() if found else self.at + 1
        self.word("&|<>)")

    def word(self, ends: str = "") -> str:
        """A word up to a blank or one of `ends`; quotes group and stay."""
        parts: list[str] = []
        is_quoted = False
        while self.peek() not in {"", "\n"}:
            char = self.peek()
            if char == '"':
                is_quoted = not is_quoted
            elif not is_quoted and (char in DELIMITERS or char in ends):
                break
            elif not is_quoted and char == "^":
                self.caret(parts)
                continue
            parts.append(char)
            self.at += 1
        return "".join(parts)
