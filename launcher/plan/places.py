"""On which line of a dataset file a key stands: `("datasets", 0, "subsets", 1, "image_dir")` -> 12.

Scans a text that a parser has already accepted, so it may be lenient: what it does not understand (a table written
inline) counts to the line of the nearest key around it.
"""

from __future__ import annotations

import re

Place = tuple[str | int, ...]

DEEPEST = (
    8  # dataset files have six levels; the place of each deeper one would take more memory than the file
)
HEADER = re.compile(
    r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$"
)  # blanks are taken by one part only: no line costs more
PAIR = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+))\s*=")
JSON_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|\n|[^\s{}\[\]:,"]+')


class Places:
    """Lines (from 1) of the keys of one text."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self._lines = lines

    def line_of(self, place: Place) -> int:
        """Line of a key; where it is not known, that of what is around it; at last 1."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._lines:
                return self._lines[place[:length]]
        return 1


def places_in_toml(text: str) -> Places:
    """The lines of `[general]`, `[[datasets]]`, `[[datasets.subsets]]` and their keys."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.split("\n"), start=1):
        header = HEADER.match(line)
        pair = PAIR.match(line)
        if header and not pair:
            table = _table(header[2], is_array=header[1] == "[[", counts=counts)
            lines.setdefault(table, number)
        elif pair:
            key = next(part for part in pair.groups() if part is not None)
            lines.setdefault((*table, key), number)
    return Places(lines)


def _table(name: str, *, is_array: bool, counts: dict[Place, int]) -> Place:
    """`datasets.subsets` as a place: each array in it stands at its newest entry."""
    place: Place = ()
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for number, part in enumerate(parts):
        place = (*place, part)
        if is_array and number == len(parts) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def places_in_json(text: str) -> Places:
    """The lines of all keys and array entries."""
    lines: dict[Place, int] = {}
    stack: list[str | int] = []  # the key or number that each open bracket is at
    line = 1
    pending = ""
    for match in JSON_WORD.finditer(text):
        word = match[0]
        if word == "\n":
            line += 1
        elif word in "{[":
            stack.append(0 if word == "[" else "")
            _note(lines, stack, line)
        elif word in "}]":
            del stack[-1:]
        elif word == ":" and stack and isinstance(stack[-1], str):
            stack[-1] = pending
            _note(lines, stack, line)
        elif word == "," and stack and isinstance(stack[-1], int):
            stack[-1] += 1
        elif word.startswith('"'):
            pending = word[1:-1]
    return Places(lines)


def _note(lines: dict[Place, int], stack: list[str | int], line: int) -> None:
    if len(stack) <= DEEPEST:
        lines.setdefault(tuple(stack), line)
