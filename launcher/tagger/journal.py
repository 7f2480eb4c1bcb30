"""What was there before each change, on the disk before the change is made: whatever happens, it can be taken back.

For each tagging two files in `user/tagger/journal/`, named by its moment:

    20261124-201502-093418200-3f9a1c.json     folder, status (running, ended, undone), the tagging that it goes on with
    20261124-201502-093418200-3f9a1c.jsonl    one line a change: path, the file's bytes before it (or that there was none), its
                                    mode and time, a digest of what was written, the name of the file written aside
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError
from launcher.files import lock, read_json, read_lines, sync_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from launcher.paths import Paths

RUNNING, ENDED, UNDONE = "running", "ended", "undone"
MOST_UNDONE = 10  # of those that were taken back so many are kept
BUSY = "Another window is tagging, or taking a tagging back; wait for its end, then start this again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One caption file before it is written."""

    path: Path
    aside: str  # name of the file beside it that is written first
    before: bytes | None  # None: there was no file
    mode: int | None  # permissions of the file that was there
    mtime_ns: int | None
    after: str  # digest of what is written

    def to_json(self) -> dict[str, Any]:
        return {
            "path": os.fspath(self.path), "aside": self.aside, "mode": self.mode, "mtime_ns": self.mtime_ns, "after": self.after,
            "before": None if self.before is None else base64.b64encode(self.before).decode("ascii"),
        }  # fmt: skip

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Change:
        before = table["before"]
        return cls(
            path=Path(table["path"]), aside=str(table["aside"]), mode=table["mode"], mtime_ns=table["mtime_ns"],
            after=str(table["after"]), before=None if before is None else base64.b64decode(before, validate=True),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One tagging as its journal has it."""

    name: str
    folder: Path
    status: str
    goes_on_with: str | None  # the tagging before it, which was interrupted


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def turn(paths: Paths) -> AbstractContextManager[int]:
    """Only one tagging or undoing at a time."""
    return lock(paths.tagger_notes / "lock", timeout_s=0.2, busy=BUSY)


class Journal:
    """The journal of the tagging that goes on."""

    def __init__(self, folder: Path, *, tagged: Path, goes_on_with: str | None) -> None:
        self.token = secrets.token_hex(3)
        self.name = f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}-{self.token}"
        self._facts: dict[str, Any] = {
            "v": 1, "folder": os.fspath(tagged), "status": RUNNING, "goes_on_with": goes_on_with, "t": round(time.time(), 3)
        }  # fmt: skip
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / f"{self.name}.json", self._facts)
            self._stream = (folder / f"{self.name}.jsonl").open("ab")
            sync_folder(folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def note(self, changes: Sequence[Change]) -> None:
        """On the disk when this returns; only then may the changes be made."""
        lines = [json.dumps(change.to_json()) + "\n" for change in changes]
        try:
            self._stream.write("".join(lines).encode("ascii"))
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> LauncherError:
        return LauncherError(
            "The journal of the tagging cannot be written, and without it no caption is touched.",
            why=error.strerror or str(error), fix="Make room on this drive, then start this again.", where=str(self._folder),
        )  # fmt: skip

    def end(self) -> None:
        """All that was to be done is done. Without a change there is nothing to take back, and nothing is kept."""
        self._stream.close()
        lines = self._folder / f"{self.name}.jsonl"
        if lines.stat().st_size == 0 and not self._facts["goes_on_with"]:
            forget(self._folder, self.name)
        else:
            write_json(self._folder / f"{self.name}.json", {**self._facts, "status": ENDED})

    def close(self) -> None:
        """Interrupted: the status stays `running`."""
        self._stream.close()


def entries(folder: Path) -> list[Entry]:
    """All journals, the newest first; damaged ones are left out."""
    found = []
    for file in sorted(folder.glob("*.json"), reverse=True):
        with suppress(InputError, KeyError, TypeError):
            facts = read_json(file)
            found.append(
                Entry(
                    name=file.stem, folder=Path(facts["folder"]), status=str(facts["status"]),
                    goes_on_with=facts.get("goes_on_with"),
                )
            )  # fmt: skip
    return found


def changes_of(folder: Path, name: str) -> Iterator[Change]:
    """The changes of one tagging, in their order. A last line that was cut belongs to a change that was not made.

    Raises:
        LauncherError: a line is damaged.
    """
    file = folder / f"{name}.jsonl"
    for raw, offset in read_lines(file):
        try:
            yield Change.from_json(json.loads(raw))
        except (ValueError, KeyError, TypeError) as error:
            raise LauncherError(
                "The journal of this tagging is damaged.",
                why=f"before byte {offset}: {error}",
                fix="The captions stay as they are. Each good line of the file has the bytes that a caption had before, in Base64.",
                where=str(file),
            ) from error


def mark_undone(folder: Path, names: Iterable[str]) -> None:
    """Taken back; the oldest of those are forgotten."""
    for name in names:
        file = folder / f"{name}.json"
        write_json(file, {**read_json(file), "status": UNDONE})
    for entry in [entry for entry in entries(folder) if entry.status == UNDONE][MOST_UNDONE:]:
        forget(folder, entry.name)


def forget(folder: Path, name: str) -> None:
    (folder / f"{name}.jsonl").unlink(missing_ok=True)
    (folder / f"{name}.json").unlink(missing_ok=True)


def group_of(found: Sequence[Entry], entry: Entry) -> list[Entry]:
    """A tagging and the interrupted ones that it went on with, the newest first."""
    by_name = {one.name: one for one in found}
    group = [entry]
    while (
        (before := by_name.get(group[-1].goes_on_with or ""))
        and before.status != UNDONE
        and before not in group
    ):
        group.append(before)
    return group
