"""Caption files: read as the trainers read them, counted in tokens and tags. Only looked at, never changed."""

from __future__ import annotations

from launcher.captions.reading import (
    BLANK,
    CONTROL,
    EMPTY,
    LATER_LINES,
    LATER_WORDS,
    LONG,
    MARK,
    MOST_BYTES,
    NOT_UTF8,
    UNREADABLE,
    Caption,
    read_caption,
)
from launcher.captions.survey import Named, Usage, Words, look_at_captions
from launcher.captions.tags import Tags, Tally
from launcher.captions.tokens import Tokenizer, load_tokenizer

__all__ = [
    "BLANK",
    "CONTROL",
    "EMPTY",
    "LATER_LINES",
    "LATER_WORDS",
    "LONG",
    "MARK",
    "MOST_BYTES",
    "NOT_UTF8",
    "UNREADABLE",
    "Caption",
    "Named",
    "Tags",
    "Tally",
    "Tokenizer",
    "Usage",
    "Words",
    "load_tokenizer",
    "look_at_captions",
    "read_caption",
]
