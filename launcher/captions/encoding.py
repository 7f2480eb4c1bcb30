"""Which encoding a text that is not UTF-8 looks like: one of those that Windows editors write.

charset-normalizer was tried: of ten short captions in these code pages it named two rightly (猫 became Big5,
café cp1250), because its statistics want sentences. A caption has some words, and few code pages come into question.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"),
)  # fmt: skip
LOOKED_AT = 4096  # bytes; the first lines tell
GOOD, DOUBTFUL, BAD = 1.0, 0.5, 0.1
CURLY = frozenset("“”‘’–—…")
ACCENTED = frozenset("àáâäæçèéêëìíîïñòóôöùúûüßøåœÀÁÂÄÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÙÚÛÜØÅŒ")


def guess_encoding(raw: bytes) -> str:
    """A few words for a message, such as `Shift-JIS (Japanese Windows)`; empty where nothing fits."""
    raw = raw[:LOOKED_AT]
    for mark, name in MARKS:
        if raw.startswith(mark):
            return name
    if b"\0" in raw:
        return "UTF-16" if raw.count(b"\0") * 4 > len(raw) else "a file that is no text"
    scores = {name: _score(raw, codec, judge) for name, codec, judge in CODE_PAGES}
    best = max(scores.values())
    return " or ".join(name for name, score in scores.items() if score == best) if best > BAD else ""


def _score(raw: bytes, codec: str, judge: Callable[[str, str, str], float]) -> float:
    """How natural the text looks in a code page: the mean over its characters that are not ASCII."""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError as error:
        if error.end < len(raw) or len(raw) < LOOKED_AT:  # else a character was cut in two by us
            return 0.0
        text = raw[: error.start].decode(codec)
    padded = f" {text} "
    points = [
        judge(char, padded[place], padded[place + 2]) for place, char in enumerate(text) if not char.isascii()
    ]
    return sum(points) / len(points) if points else 0.0


def _japanese(char: str, _before: str, _after: str) -> float:
    if "\u3000" <= char <= "\u30ff":  # kana and its punctuation
        return GOOD
    return _first_level(char, "cp932", 0x88, 0x97)


def _korean(char: str, _before: str, _after: str) -> float:
    return GOOD if "가" <= char <= "힣" and char.encode("cp949")[0] >= 0xB0 else BAD


def _chinese(char: str, _before: str, _after: str) -> float:
    return GOOD if char in "，。、；：！？（）" else _first_level(char, "gbk", 0xB0, 0xD7)


def _first_level(char: str, codec: str, least: int, most: int) -> float:
    """The common characters of a double-byte set stand first, in a block of their own."""
    raw = char.encode(codec)
    if len(raw) < 2 or unicodedata.category(char) == "Co":
        return BAD
    return GOOD if least <= raw[0] <= most and raw[1] >= 0x40 else DOUBTFUL


def _western(char: str, before: str, after: str) -> float:
    """Accents stand between plain letters; a word of nothing but accents is another alphabet."""
    if char in ACCENTED:
        has_plain = any(side.isascii() for side in (before, after))
        return GOOD if has_plain else BAD
    return DOUBTFUL if char in CURLY else BAD


def _cyrillic(char: str, before: str, after: str) -> float:
    if not "А" <= char <= "я" and char not in "Ёё":
        return BAD
    return GOOD if any("А" <= side <= "я" for side in (before, after)) else BAD


# A few Chinese and Korean words may be the same bytes: then both are named.
CODE_PAGES: tuple[tuple[str, str, Callable[[str, str, str], float]], ...] = (
    ("Shift-JIS (cp932, Japanese Windows)", "cp932", _japanese),
    ("cp949 (Korean Windows)", "cp949", _korean),
    ("GBK (cp936, Chinese Windows)", "gbk", _chinese),
    ("cp1251 (Cyrillic Windows)", "cp1251", _cyrillic),
    ("ANSI (cp1252, Western Windows)", "cp1252", _western),
)
