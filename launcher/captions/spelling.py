"""Tags that are probably meant to be the same: `blue_eyes` and `blue eyes`, `Long hair` and `long hair`, `smlie` and `smile`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_COMPARED = 5_000  # tags, the most common first
MOST_FOUND = 200
LEAST_LENGTH = 5  # letters; of shorter words a letter more or less is another word
OFTEN = 3  # captions; a slip of the pen is rare beside what was meant
RARE_SHARE = 5  # ... at most a fifth as common
SIGNS = re.compile(r"[\s_\-./\\()\[\]'\"’:;!?]+")
DIGITS = re.compile(r"\d+")

# Spellings of one tag with how many captions have each, the most common first.
Spellings = tuple[tuple[str, int], ...]


def find_spellings(ordered: Sequence[tuple[str, int]]) -> tuple[Spellings, ...]:
    """Groups of tags that differ in case, in signs between their words, or by a letter.

    Args:
        ordered: tags with their counts, the most common first.
    """
    groups: dict[str, list[tuple[str, int]]] = {}
    for tag, count in ordered[:MOST_COMPARED]:
        groups.setdefault(_plain(tag), []).append((tag, count))
    found = [tuple(group) for plain, group in groups.items() if plain and len(group) > 1]
    found += _slips({plain: group[0] for plain, group in groups.items() if plain})
    return tuple(sorted(found, key=lambda group: -group[0][1])[:MOST_FOUND])


def _plain(tag: str) -> str:
    return SIGNS.sub(" ", tag.casefold()).strip()


def _slips(tags: dict[str, tuple[str, int]]) -> Iterator[Spellings]:
    """A rare tag beside a common one that differs by one letter (more, less, other, or two exchanged)."""
    near: dict[str, list[str]] = {}
    for plain, (_, count) in tags.items():
        if count >= OFTEN and len(plain) >= LEAST_LENGTH:
            for form in _shortened(plain):
                near.setdefault(form, []).append(plain)
    for plain, (tag, count) in tags.items():
        if len(plain) < LEAST_LENGTH:
            continue
        candidates = {other for form in _shortened(plain) for other in near.get(form, ())}
        meant = [
            other
            for other in candidates
            if other != plain
            and tags[other][1] >= max(OFTEN, count * RARE_SHARE)
            and DIGITS.findall(other) == DIGITS.findall(plain)
            and _is_one_slip(plain, other)
        ]
        if meant:
            best = max(meant, key=lambda other: (tags[other][1], other))
            yield (tags[best], (tag, count))


def _shortened(word: str) -> Iterable[str]:
    """The word, and the word without each of its letters: two that share a form are at most two slips apart."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


def _is_one_slip(one: str, other: str) -> bool:
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    start = next((place for place, char in enumerate(one) if char != other[place]), len(one))
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    if one[start + 1 :] == other[start + 1 :]:
        return True
    is_exchanged = one[start : start + 2] == other[start : start + 2][::-1]
    return is_exchanged and one[start + 2 :] == other[start + 2 :]
