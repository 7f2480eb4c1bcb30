"""What lies in a folder, as one digest: names, sizes, times. One pass over its entries, and not a file is opened.

Whoever wants to know which places an answer came from looks for it inside of `noted`: as long as none of their digests
has changed, the answer is the same.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_A_TIME = 4096  # lines that are held before they go into the digest

_NOTED: ContextVar[set[Path] | None] = ContextVar("noted", default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A folder or a file at one moment."""

    digest: str
    newest_ns: int  # the youngest time of change in it


@contextmanager
def noted() -> Iterator[set[Path]]:
    """While the context lasts, every folder that is listed and every dataset file that is read gets into the set."""
    places: set[Path] = set()
    token = _NOTED.set(places)
    try:
        yield places
    finally:
        _NOTED.reset(token)


def note(place: Path) -> None:
    """Tell who listens that an answer depends on this folder or file."""
    places = _NOTED.get()
    if places is not None:
        places.add(place)


def listing_of(place: Path) -> Listing | None:
    """A folder with the files in it (of the folders in it only their names), or a file; None: it cannot be looked at.

    The order is the drive's own: should it change without a reason, the answer is only looked for once more. Takes some
    five microseconds a file, nearly all of it the system's.
    """
    try:
        own = os.stat(place)  # noqa: PTH116  (see below)
        digest = hashlib.blake2b(_mark("", own).encode(), digest_size=20)
        if not stat.S_ISDIR(own.st_mode):
            return Listing(digest=digest.hexdigest(), newest_ns=own.st_mtime_ns)
        newest = own.st_mtime_ns
        lines: list[str] = []
        with os.scandir(place) as entries:
            for entry in entries:
                line, changed = _line(entry)
                lines.append(line)
                newest = max(newest, changed)
                if len(lines) == AT_A_TIME:
                    digest.update("\n".join(lines).encode("utf-8", "surrogatepass"))
                    lines.clear()
    except (OSError, ValueError):
        return None
    digest.update("\n".join(lines).encode("utf-8", "surrogatepass"))
    return Listing(digest=digest.hexdigest(), newest_ns=newest)


def _line(entry: os.DirEntry[str]) -> tuple[str, int]:
    try:
        status = entry.stat()
    except OSError:  # a link to nowhere
        return f"{entry.name}\0gone", 0
    if stat.S_ISDIR(status.st_mode):
        return f"{entry.name}\0folder", 0
    return _mark(entry.name, status), status.st_mtime_ns


def _mark(name: str, status: os.stat_result) -> str:
    """On Windows the second time is that of its making, which does no harm; the number is 0 for entries there."""
    return f"{name}\0{status.st_mode}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0{status.st_ino}"
