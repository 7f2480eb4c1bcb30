"""The bytes of a caption file, from the tags and from what was there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.tagger.records import APPEND, NO_TAGS, NOT_TEXT, NOTHING_NEW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.tagger.records import Wish

SEPARATOR = ", "


def compose(tags: Sequence[str], wish: Wish, before: bytes | None) -> bytes | str:
    """The caption's new content, or why there is none.

    What a user wrote stays as it is, letter for letter: new tags come behind it, a missing prefix before it.

    Args:
        tags: of the tagger, in order.
        wish: prefix and mode.
        before: what the file has; None where there is no file.
    """
    prefix = _split(wish.prefix)
    if wish.existing != APPEND or before is None:
        words = [*prefix, *(tag for tag in tags if tag not in prefix)]
        return _line(words) if words else NO_TAGS
    try:
        text = before.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        return NOT_TEXT
    present = _split(text)
    first = [word for word in prefix if word not in present]
    new = [tag for tag in tags if tag not in present and tag not in first]
    if not first and not new:
        return NOTHING_NEW if tags else NO_TAGS
    kept = [_without_end(text)] if present else []
    return _line([*first, *kept, *new])


def _without_end(text: str) -> str:
    """A comma at the end would make an empty tag."""
    return text.rstrip().rstrip(",").rstrip()


def _split(text: str) -> list[str]:
    return [word for word in map(str.strip, text.split(",")) if word]


def _line(words: Iterable[str]) -> bytes:
    return (SEPARATOR.join(words) + "\n").encode("utf-8")
