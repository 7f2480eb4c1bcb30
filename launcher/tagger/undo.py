"""Takes a tagging back, byte for byte. What somebody has edited since is told of and left alone.

Each file is looked at before it is touched, so that an undoing that was interrupted can simply be started again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import InputError, LauncherError
from launcher.files import sync_folder
from launcher.paths import command
from launcher.tagger.journal import UNDONE, changes_of, digest_of, entries, group_of, mark_undone
from launcher.tagger.records import UNREADABLE
from launcher.tagger.writer import Found, look, put, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.paths import Paths
    from launcher.tagger.journal import Change, Entry

EDITED = "it was changed since"
GONE = "it was deleted since"


@dataclass(kw_only=True, slots=True)
class Undone:
    """What was taken back."""

    folder: Path
    restored: int = 0  # have their old content again
    removed: int = 0  # were made by the tagging
    untouched: int = 0  # were as before already
    left: list[tuple[Path, str]] = field(default_factory=list)  # and why
    more: int = 0  # earlier taggings of the folder that can be taken back too

    @property
    def as_json(self) -> Mapping[str, object]:
        """For programs."""
        return {
            "folder": str(self.folder), "restored": self.restored, "removed": self.removed, "untouched": self.untouched,
            "left": [{"caption": str(path), "why": why} for path, why in self.left], "more": self.more,
        }  # fmt: skip


def find(paths: Paths, folder: Path | None) -> list[Entry]:
    """The tagging to take back: the newest one, of this folder if one is named, with those that it went on with.

    Raises:
        InputError: there is none.
    """
    found = entries(paths.tagger_journal)
    fitting = [
        entry for entry in found if entry.status != UNDONE and (folder is None or entry.folder == folder)
    ]
    if not fitting:
        where = f" of {folder}" if folder else ""
        folders = sorted({str(entry.folder) for entry in found if entry.status != UNDONE})
        fix = f"Taggings of these folders can be: {', '.join(folders)}" if folders else ""
        raise InputError(f"There is no tagging{where} that could be taken back.", fix=fix)
    return group_of(found, fitting[0])


def undo(paths: Paths, group: list[Entry]) -> Undone:
    """Put back what was there; the caller holds `journal.turn`.

    Raises:
        InputError: the folder is not there: nothing is done, so that it can be done when its drive is back.
        LauncherError: a file cannot be written or read; start it again when the reason is gone.
    """
    place = paths.tagger_journal
    if not group[0].folder.is_dir():
        raise InputError(
            "The folder of this tagging is not there.", why="It was moved or deleted, or its drive is not connected.",
            where=str(group[0].folder),
        )  # fmt: skip
    done = Undone(folder=group[0].folder)
    told: set[Path] = set()
    folders: set[Path] = set()
    for entry in group:
        changes = list(changes_of(place, entry.name))
        sweep(changes)
        for change in reversed(changes):
            _take_back(change, done, told)
            folders.add(change.path.parent)
    for folder in folders:
        with suppress(OSError):  # the folder itself may be gone
            sync_folder(folder)
    _refuse_unread(done)
    mark_undone(place, [entry.name for entry in group])
    names = {entry.name for entry in group}
    done.more = sum(
        entry.folder == done.folder and entry.status != UNDONE and entry.name not in names
        for entry in entries(place)
    )
    return done


def _take_back(change: Change, done: Undone, told: set[Path]) -> None:
    found = look(change.path)
    now = found.content if isinstance(found, Found) else None
    if found is None or isinstance(found, Found):
        if now == change.before:
            done.untouched += 1
            return
        if now is not None and digest_of(now) == change.after:
            _restore(change, done)
            return
    if change.path not in told:
        told.add(change.path)
        why = GONE if found is None else UNREADABLE if found == UNREADABLE else EDITED
        done.left.append((change.path, why))


def _refuse_unread(done: Undone) -> None:
    """A share that fails for a moment: the tagging stays one that can be taken back, for those captions."""
    unread = [path for path, why in done.left if why == UNREADABLE]
    if unread:
        raise LauncherError(
            f"{len(unread)} of the captions could not be read, and are as they were. The others are taken back.",
            fix=f"See that they can be read, then start this again: {command('tag', '--undo')}", where=str(unread[0]),
        )  # fmt: skip


def _restore(change: Change, done: Undone) -> None:
    if change.before is None:
        try:
            change.path.unlink()
        except OSError as error:
            raise LauncherError(
                f"{change.path.name} cannot be removed.", why=error.strerror or str(error),
                fix=f"Close what holds the file, then start this again: {command('tag', '--undo')}", where=str(change.path.parent),
            ) from error  # fmt: skip
        done.removed += 1
        return
    put(
        change.path, change.path.with_name(change.aside), change.before, mode=change.mode, mtime_ns=change.mtime_ns
    )  # fmt: skip
    done.restored += 1
