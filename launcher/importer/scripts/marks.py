"""Texts that remember. A character of Unicode's private planes stands in a text for a value that is not known, for the line
that set the value behind it, or for the line on which the words behind it stand.

So texts are joined, cut and split like any other, and nothing unknown gets lost on the way. A script that has such
characters itself gets them replaced before it is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from launcher.importer.launch import Word

UNKNOWN = 0xF0000
ORIGIN = 0x100000
LINE = 0x108000
MOST_UNKNOWNS = 0xF000
MOST_LINES = 0x7FF0
PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
UNKNOWNS = re.compile("[\U000f0000-\U000fffff]")
PLACES = re.compile("[\U00100000-\U0010ffff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
DEPENDS = "it depends on"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why a value is not known, the line that says so, and how it is written."""

    reason: str
    line: int
    shown: str


def cleaned(text: str) -> str:
    """The text of a script without characters that have a meaning here."""
    return PRIVATE.sub(REPLACEMENT, text)


def origin(line: int) -> str:
    """What follows was set on this line."""
    return chr(ORIGIN + min(line, MOST_LINES))


def in_words(text: str, line: int) -> str:
    """A variable's value whose words were all set on this line."""
    return re.sub(r"(?<!\S)(?=\S)", origin(line), text) if line else text


def on_line(line: int) -> str:
    """What follows stands on this line."""
    return chr(LINE + min(line, MOST_LINES))


def plain(text: str) -> str:
    """A text without the lines in it; what is not known stays marked."""
    return PLACES.sub("", text)


@dataclass(slots=True)
class Marks:
    """The unknown values of one script."""

    unknowns: list[Unknown] = field(default_factory=list)
    numbers: dict[Unknown, int] = field(default_factory=dict)

    def unknown(self, reason: str, line: int, shown: str = "?") -> str:
        """The mark of a value that is not known."""
        wanted = Unknown(reason, line, shown[:200])
        number = self.numbers.get(wanted)
        if number is None:
            number = min(len(self.unknowns), MOST_UNKNOWNS)
            if number == len(self.unknowns):
                self.unknowns.append(wanted)
            self.numbers[wanted] = number
        return chr(UNKNOWN + number)

    def first(self, text: str) -> Unknown | None:
        """The first unknown value in a text."""
        found = UNKNOWNS.search(text)
        return self.unknowns[min(ord(found[0]) - UNKNOWN, len(self.unknowns) - 1)] if found else None

    def shown(self, text: str) -> str:
        """A text as a person reads it: unknown values as the script writes them."""
        return UNKNOWNS.sub(lambda found: self.unknowns[ord(found[0]) - UNKNOWN].shown, plain(text))

    def words(self, texts: list[str], line: int, *, keeps_empty: bool = False) -> list[Word]:
        """Marked texts as words; what is nothing but a place is no word, unless empty words are real ones."""
        found: list[Word] = []
        for text in texts:
            source, here = 0, line
            for mark in PLACES.finditer(text):
                number = ord(mark[0])
                if number < LINE:
                    source = number - ORIGIN
                    continue
                line = number - LINE
                if not plain(text[: mark.start()]):  # behind the first sign it is the next word's
                    here = line
            if not keeps_empty and not plain(text) and PLACES.search(text):
                continue
            unknown = self.first(text)
            why = f"{unknown.reason} (line {unknown.line})" if unknown else ""
            found.append(Word(text=self.shown(text), line=here, origin=source, unknown=why))
        return found
