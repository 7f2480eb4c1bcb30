"""One caption file, read as sd-scripts reads it.

Upstream: `read_caption` in library/train_util.py (v0.10.1; the fp8 fork reads the first line alone). It opens the file
as UTF-8, so that wrong bytes anywhere in it stop the training; it takes the first line, or with `enable_wildcard` all lines that
are not blank; it stops at a file of 0 bytes; a blank first line is a caption without words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.captions.encoding import guess_encoding

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 64 * 1024  # captions have some hundred bytes; this much is some other text
TEXT_MARK = "\ufeff"
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

# Why a file gives no words, or gives others than it seems to.
UNREADABLE = "unreadable"
EMPTY = "empty"  # 0 bytes: sd-scripts stops
BLANK = "blank"  # not a word in it: trained without words
LATER_WORDS = "later-words"  # the first line is blank, the words stand below it
LATER_LINES = "later-lines"  # there is a first line, and more below it that nobody reads
NOT_UTF8 = "not-utf8"
LONG = "long"
MARK = "mark"  # a byte order mark: harmless to the words
CONTROL = "control"  # control characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """What the trainer takes from one file: `lines` has one line, or with wildcards all of which one is drawn."""

    lines: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    detail: str = ""  # words beside a fault: "Shift-JIS (cp932, Japanese Windows)"

    @property
    def text(self) -> str:
        return self.lines[0] if self.lines else ""


def read_caption(path: Path, *, has_wildcards: bool = False) -> Caption:
    """Read one caption file; never raises."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        return Caption(faults=(UNREADABLE,), detail=getattr(error, "strerror", None) or str(error))
    return caption_of(raw, has_wildcards=has_wildcards)


def caption_of(raw: bytes, *, has_wildcards: bool = False) -> Caption:
    """A caption from the bytes of its file (at most one more than `MOST_BYTES`)."""
    if not raw:
        return Caption(faults=(EMPTY,))
    is_long = len(raw) > MOST_BYTES
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if not (is_long and error.start > MOST_BYTES - 4):  # a character that our own cut went through
            return Caption(faults=(NOT_UTF8,), detail=guess_encoding(raw))
        text = raw[: error.start].decode("utf-8")
    faults = [LONG] if is_long else []
    if text.startswith(TEXT_MARK):
        faults.append(MARK)
        text = text[1:]
    # Not splitlines(): Python's text files end a line at these three alone.
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    faults += _faults_of(lines, has_wildcards=has_wildcards)
    if CONTROLS.search(text):
        faults.append(CONTROL)
    kept = tuple(line for line in lines if line) if has_wildcards else tuple(lines[:1])
    return Caption(lines=kept if any(kept) else (), faults=tuple(faults))


def _faults_of(lines: list[str], *, has_wildcards: bool) -> list[str]:
    if not any(lines):
        return [BLANK]
    if has_wildcards:
        return []
    if not lines[0]:
        return [LATER_WORDS]
    return [LATER_LINES] if any(lines[1:]) else []
