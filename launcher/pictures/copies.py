"""Images that are there twice: the same bytes under two names, and the same picture saved again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.pictures.record import Look


def same_files(looks: Iterable[Look]) -> list[list[Look]]:
    """Groups of two or more files with the same bytes, in the order of their first file."""
    raise NotImplementedError


def alike(looks: Iterable[Look]) -> list[list[Look]]:
    """Groups of two or more files that show nearly the same picture but are not the same bytes.

    Of several files with the same bytes only the first one is compared. Flat images are in no group.
    """
    raise NotImplementedError
