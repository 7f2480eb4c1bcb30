"""The unfinished file of a download: `NAME.part`, and beside it `NAME.part.json` with what it is a part of.

The note outlives us, so that a download goes on in the next run, after a kill or a power cut as well.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError
from launcher.files import BLOCK_BYTES, read_json, replace, sync_folder, write_json

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

RESERVE_BYTES = 32 << 20  # a drive filled to its last byte makes other programs fail
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}) if hasattr(errno, "EDQUOT") else frozenset({errno.ENOSPC, errno.EFBIG})  # fmt: skip


class Part:
    """What has come of one file, with its running SHA-256.

    Args:
        target: the file that it will be.
        url: where it comes from, without secrets.
        sha256: what the whole file must have, if that is known.
    """

    def __init__(self, target: Path, *, url: str, sha256: str | None) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.url = url
        self.sha256 = sha256
        self.validator: str | None = None  # strong ETag or date of the server's file: is it still the same?
        self.size = 0
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def can_go_on(self) -> bool:
        """Is there something, and a way to tell in the end that both halves are of one file?"""
        return self.size > 0 and (self.sha256 is not None or self.validator is not None)

    def load(self) -> None:
        """Take up what an earlier run left, if it is of the same file; else throw it away."""
        if not self.path.exists():
            return
        note = self._read_note()
        is_same_place = note.get("url") == self.url
        is_same = note.get("sha256") == self.sha256 and (self.sha256 is not None or is_same_place)
        validator = note.get("validator")
        self.validator = validator if is_same_place and isinstance(validator, str) else None
        if not is_same or not (self.sha256 or self.validator):
            self.discard()
            return
        with self.path.open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                self._digest.update(block)
                self.size += len(block)

    def _read_note(self) -> dict[str, Any]:
        try:
            note = read_json(self.note)
        except InputError:  # killed before it was written: nobody knows what the part is of
            return {}
        return note if isinstance(note, dict) else {}

    def begin(self, validator: str | None) -> None:
        """Start from the first byte."""
        self.discard()
        self.validator = validator
        write_json(self.note, {"url": self.url, "validator": validator, "sha256": self.sha256})

    def open(self) -> FileIO:
        """For `append`. Unbuffered: after an error the file holds what was counted, and closing cannot fail again."""
        return self.path.open("ab", buffering=0)

    def append(self, stream: FileIO, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            written = stream.write(rest)
            self._digest.update(rest[:written])
            self.size += written
            rest = rest[written:]

    def finish(self) -> None:
        """Give the file its name, durably."""
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        replace(self.path, self.target)
        sync_folder(self.target.parent)
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.size = 0
        self.validator = None
        self._digest = hashlib.sha256()

    def need_space(self, total: int) -> None:
        """Is there room for the rest of `total` bytes?

        Raises:
            InstallError: no.
        """
        needed, free = total - self.size, shutil.disk_usage(self.path.parent).free
        if free < needed + RESERVE_BYTES:
            raise InstallError(
                f"The drive is too full for {self.target.name}.",
                why=f"{(needed + RESERVE_BYTES) >> 20} MiB are needed, {free >> 20} MiB are free.",
                fix="Make room on this drive, then start this again: it goes on where it stopped.",
                where=str(self.path.parent),
            )


def disk_error(error: OSError, name: str, folder: Path) -> InstallError:
    """A failure of the drive in words."""
    if error.errno in FULL:
        return InstallError(
            f"The drive is full: {name} could not be written.",
            why=f"{error.strerror}; what has come is kept.",
            fix="Make room on this drive, then start this again: it goes on where it stopped.",
            where=str(folder),
        )
    return InstallError(
        f"{name} could not be written.",
        why=error.strerror or str(error),
        fix="Close other windows of the launcher (a virus scanner may also hold a file), and see that this folder may be written to.",
        where=str(error.filename or folder),
    )
