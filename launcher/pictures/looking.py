"""Look at many images: from the store what is known, from the files what is new or has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from launcher.pictures.record import Look


def look_at(
    paths: Sequence[Path],
    *,
    store: Path | None,
    threads: int,
    tell: Callable[[int, int], None] | None = None,
) -> Iterator[Look]:
    """A look at every file, in the order of `paths`. Memory is bounded: never more than some hundred looks are held.

    Args:
        paths: image files, also ones that are not there or are no images.
        store: the file that remembers looks (`Paths.picture_store`); None remembers nothing.
        threads: how many images are decoded at a time.
        tell: called with how many are done and how many there are, from the caller's thread.
    """
    raise NotImplementedError
