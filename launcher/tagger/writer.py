"""Writes captions: into the journal first, then aside, then under their names. Nothing else in the folder is touched."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import LauncherError
from launcher.files import replace, sync_folder
from launcher.tagger.captions import compose
from launcher.tagger.journal import Change, digest_of
from launcher.tagger.records import HAS_CAPTION, KEEP, LINK, NO_FILE, TOO_LARGE, UNREADABLE, Left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from launcher.tagger.journal import Journal
    from launcher.tagger.records import Target, Wish

MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A caption file as it is now."""

    content: bytes
    mode: int
    mtime_ns: int


def write_captions(
    batch: Sequence[tuple[Target, Sequence[str]]], wish: Wish, journal: Journal
) -> tuple[int, list[Left]]:
    """Write the captions of some images; returns how many, and which were left alone after all.

    Raises:
        LauncherError: a file cannot be written. What was written before it stays, and can be taken back.
    """
    left: list[Left] = []
    changes: list[tuple[Change, bytes]] = []
    for target, tags in batch:
        planned = _plan(target, tags, wish, journal)
        if isinstance(planned, Left):
            left.append(planned)
        else:
            changes.append(planned)
    if changes:
        journal.note([change for change, _ in changes])
        for change, content in changes:
            put(change.path, change.path.with_name(change.aside), content, mode=change.mode)
        for folder in {change.path.parent for change, _ in changes}:
            with suppress(OSError):  # a network drive without it
                sync_folder(folder)
    return len(changes), left


def _plan(target: Target, tags: Sequence[str], wish: Wish, journal: Journal) -> tuple[Change, bytes] | Left:
    found = look(target.caption)
    if isinstance(found, str):
        return Left(image=target.image, why=found)
    if found and wish.existing == KEEP:  # it was made while we worked
        return Left(image=target.image, why=HAS_CAPTION)
    content = compose(tags, wish, found.content if found else None)
    if isinstance(content, str):
        return Left(image=target.image, why=content)
    change = Change(
        path=target.caption, aside=f".{target.caption.name}.{journal.token}.tmp", before=found.content if found else None,
        mode=found.mode if found else None, mtime_ns=found.mtime_ns if found else None, after=digest_of(content),
    )  # fmt: skip
    return change, content


def look(caption: Path) -> Found | str | None:
    """The file's content, or None where there is none, or why it must be left alone."""
    try:
        state = caption.lstat()
        if stat.S_ISLNK(state.st_mode):
            return LINK
        if not stat.S_ISREG(state.st_mode):
            return NO_FILE
        if state.st_size > MOST_BYTES:
            return TOO_LARGE
        return Found(
            content=caption.read_bytes(), mode=stat.S_IMODE(state.st_mode), mtime_ns=state.st_mtime_ns
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        return NO_FILE if isinstance(error, NotADirectoryError) else UNREADABLE


def put(path: Path, aside: Path, content: bytes, *, mode: int | None, mtime_ns: int | None = None) -> None:
    """Write a file aside and give it its name. The folder is not flushed: see `sync_folder`."""
    try:
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            with suppress(OSError):  # a drive without permissions
                aside.chmod(mode)
        if mtime_ns is not None:
            os.utime(aside, ns=(mtime_ns, mtime_ns))
        replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise LauncherError(
            f"{path.name} cannot be written.",
            why=error.strerror or str(error),
            fix="Make room on the drive, or see that the folder may be written to, then start this again: it goes on where it stopped.",
            where=str(path.parent),
        ) from error


def sweep(changes: Iterable[Change]) -> None:
    """Remove what an interrupted writing left beside captions. The names hold the journal's token: they are ours."""
    for change in changes:
        with suppress(OSError):
            change.path.with_name(change.aside).unlink(missing_ok=True)
