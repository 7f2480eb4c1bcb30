"""The shell's patterns: `*`, `?`, `[...]`, on marked texts without unknown values (POSIX 2.13)."""

from __future__ import annotations

import fnmatch
import re

MOST_PATTERN = 200
MOST_TEXT = 2000
SIGNS = re.compile(r"[*?\[]")


def fits(text: str, pattern: str) -> bool:
    """Whether the whole text fits a pattern."""
    return fnmatch.fnmatchcase(text[:MOST_TEXT], _calm(pattern))


def _calm(pattern: str) -> str:
    """Runs of stars say the same as one; more than a few in one pattern are not for training scripts."""
    short = re.sub(r"\*+", "*", pattern[:MOST_PATTERN])
    return short if short.count("*") <= 5 else short.replace("*", "", short.count("*") - 5)


def without_begin(text: str, pattern: str, *, is_longest: bool) -> str:
    """`${x#pattern}` and `${x##pattern}`."""
    ends = range(len(text) + 1) if not is_longest else range(len(text), -1, -1)
    return next((text[end:] for end in ends if fits(text[:end], pattern)), text)


def without_end(text: str, pattern: str, *, is_longest: bool) -> str:
    """`${x%pattern}` and `${x%%pattern}`."""
    begins = range(len(text), -1, -1) if not is_longest else range(len(text) + 1)
    return next((text[:begin] for begin in begins if fits(text[begin:], pattern)), text)


def replaced(text: str, pattern: str, new: str, *, is_everywhere: bool) -> str:
    """`${x/pattern/new}`; a pattern of plain signs only, others change nothing and return the text."""
    if not pattern:
        return text
    return text.replace(pattern, new) if is_everywhere else text.replace(pattern, new, 1)
