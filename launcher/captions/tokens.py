"""How many tokens CLIP makes of a caption: what is over the limit is cut off by the trainer without a word.

The launcher has no transformers, and `tokenizers` would bring ten packages with it. Only the count is needed here: the
words of a text (openai/CLIP clip/simple_tokenizer.py, as transformers' CLIPTokenizer runs it with ftfy) and how far the merges
of `merges.txt` join each. Tests hold the counts against transformers.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "openai_clip-vit-large-patch14"  # both tokenizers of SDXL have the same merges
MERGES = 48894
LARGEST_FILE = 4 * 1024 * 1024
MOST_REMEMBERED = 100_000  # words
LONGEST = 256  # letters that are merged together; only nonsense has more, and would take minutes
CONTRACTION = "'s|'t|'re|'ve|'m|'ll|'d"
ASCII_WORDS = re.compile(rf"<\|startoftext\|>|<\|endoftext\|>|{CONTRACTION}|[a-z]+|[0-9]|[^\sa-z0-9]+")
WORDS = re.compile(
    rf"<\|startoftext\|>|<\|endoftext\|>|{CONTRACTION}|[^\W\d_]+|\d|(?:[^\s\w]|_)+"
)  # \w is letters and numbers; of numbers other than digits see `_words`
QUOTES = str.maketrans("‘’‚‛“”„‟", "''''\"\"\"\"")
LIGATURES = frozenset("ĲĳǄǅǆǇǈǉǊǋǌǱǲǳﬀﬁﬂﬃﬄﬅﬆ")
WILDCARD = re.compile(r"\{([^}]+)\}")  # upstream's own


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """Counts tokens. Without merges it counts words and signs, of which each makes at least one token."""

    ranks: dict[tuple[str, str], int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        return bool(self.ranks)

    def count(self, text: str) -> int:
        """Tokens of a text, without the marks for its beginning and end."""
        words = _words(text)
        if not self.ranks:
            return len(words)
        known = self.known
        return sum(known[word] if word in known else self._pieces(word) for word in words)

    def _pieces(self, word: str) -> int:
        found = sum(self._merge(word[at : at + LONGEST]) for at in range(0, len(word), LONGEST))
        if len(self.known) < MOST_REMEMBERED:
            self.known[word] = found
        return found

    def _merge(self, word: str) -> int:
        """Byte pairs joined, the earliest learned first, until none is left to join."""
        pieces = [self._letters[byte] for byte in word.encode("utf-8")]
        pieces[-1] += "</w>"
        while len(pieces) > 1:
            pairs = set(pairwise(pieces))
            first, second = min(pairs, key=lambda pair: self.ranks.get(pair, MERGES))
            if (first, second) not in self.ranks:
                break
            joined: list[str] = []
            for piece in pieces:
                if joined and joined[-1] == first and piece == second:
                    joined[-1] = first + second
                else:
                    joined.append(piece)
            pieces = joined
        return len(pieces)

    @cached_property
    def _letters(self) -> list[str]:
        """A printable sign for each byte, as the merges write it."""
        plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
        others = iter(range(0x100, 0x200))
        return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def load_tokenizer(tokenizers: Path) -> Tokenizer:
    """The tokenizer in the folder that the installation filled; one that only estimates where there is none."""
    path = tokenizers / FOLDER / "merges.txt"
    try:
        if path.stat().st_size > LARGEST_FILE:
            return Tokenizer()
        lines = path.read_text(encoding="utf-8").split("\n")[1 : MERGES + 1]
    except (OSError, ValueError):
        return Tokenizer()
    pairs = [line.split() for line in lines]
    if len(pairs) != MERGES or any(len(pair) != 2 for pair in pairs):
        return Tokenizer()
    return Tokenizer(ranks={(first, second): rank for rank, (first, second) in enumerate(pairs)})


def longest_drawn(line: str) -> str:
    """A line with wildcards at its longest: of each `{a|b}` the longer one (`enable_wildcard`)."""
    text = line.replace("{{", "\0").replace("}}", "\1")
    text = WILDCARD.sub(lambda found: max(found[1].split("|"), key=len), text)
    return text.replace("\0", "{").replace("\1", "}")


def _words(text: str) -> list[str]:
    if text.isascii() and text.isprintable():
        return ASCII_WORDS.findall(text.lower())
    text = _fixed(text).lower()
    for char in set(text):
        if unicodedata.category(char) in {"Nl", "No"}:  # Ⅳ, ², ½: each for itself
            text = text.replace(char, f" {char} ")
    return WORDS.findall(text)


def _fixed(text: str) -> str:
    """What ftfy does to a sound text: plain quotes, usual widths, composed letters, no control characters."""
    text = "".join(
        unicodedata.normalize("NFKC", char) if "\uff01" <= char <= "\uffef" or char in LIGATURES else char
        for char in text.translate(QUOTES).replace("\u3000", " ")
        if char in "\t\n" or unicodedata.category(char) != "Cc"
    )  # fmt: skip
    return unicodedata.normalize("NFC", text)
