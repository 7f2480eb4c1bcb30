"""What was seen before: one SQLite file for all datasets of the user.

A look is found again by its file's path, size, time of change and, where the drive has such a thing, its number
(inode). The store only saves time, so that nothing about it is ever an error: a damaged one is thrown away, one that is
locked or cannot be written is worked around.
"""

from __future__ import annotations

import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher.pictures.record import UNREADABLE, UNREADABLE_NAME, Look

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    Fingerprint = tuple[int, int, int]  # size in bytes, time of change in ns, inode (0: none)

VERSION = 1  # of what is stored and of what a look says: count it up when either changes
LOCK_TIMEOUT_S = 2.0  # another launcher writes some hundred rows: milliseconds
# A file that was changed a moment ago may change again without another time of change (FAT counts in 2 s).
SETTLED_NS = 2_000_000_000
DAY_S = 86_400
FORGET_DAYS = 365  # looks that nobody asked for so long belong to files that are gone
TOUCH_DAYS = 30  # how stale the day of the last look may become: a second look should not write
PASSING = {
    UNREADABLE,
    UNREADABLE_NAME,
}  # rights change without a trace in the fingerprint; odd names are no text

COLUMNS = (
    "format", "width", "height", "mode", "bits", "frames", "orientation", "has_alpha", "is_flat", "fault", "detail", "digest",
    "likeness",
)  # fmt: skip
ALL = ("path", "size", "changed", "inode", "seen", *COLUMNS)
LIKENESS_BYTES = 16
STRETCH = 2  # rows that are read for each one that is asked for, before the rest is searched one by one


class Store:
    """Looks on disk. Every method may be called after something went wrong; it then does nothing."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._day = int(time.time() // DAY_S)
        self._connection: sqlite3.Connection | None = None
        if path is not None:
            self._open(path)

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def find(self, files: Sequence[tuple[Path, Fingerprint | None]]) -> dict[Path, Look]:
        """The looks at those files that are as they were then. Memory: one look for each."""
        import sqlite3

        if self._connection is None:
            return {}
        wanted = {str(path): (path, print_) for path, print_ in files if print_}
        try:
            rows = _rows(self._connection, wanted)
        except (sqlite3.Error, UnicodeError) as error:
            self._fail(error)
            return {}
        found, stale = {}, []
        for row in rows:
            path, print_ = wanted.get(row[0], (None, None))
            if path and row[1:4] == print_:
                found[path] = _look(path, row)
                if row[4] < self._day - TOUCH_DAYS:
                    stale.append(row[0])
        self._write("UPDATE looks SET seen = ? WHERE path = ?", [(self._day, path) for path in stale])
        return found

    def add(self, looks: Iterable[tuple[Look, Fingerprint | None]]) -> None:
        """Remember looks, all in one transaction."""
        newest = time.time_ns() - SETTLED_NS
        rows = [
            _row(look, print_, self._day)
            for look, print_ in looks
            if print_ and print_[1] < newest and look.fault not in PASSING
        ]
        marks = ",".join("?" * len(ALL))
        self._write(f"INSERT OR REPLACE INTO looks VALUES ({marks})", rows)  # noqa: S608  (marks only)

    def close(self) -> None:
        """Forget what nobody asked for in a long time, and let go of the file."""
        self._write("DELETE FROM looks WHERE seen < ?", [(self._day - FORGET_DAYS,)])
        self._drop()

    def _open(self, path: Path) -> None:
        """Open or make the file; a damaged one is thrown away and made anew, once."""
        import sqlite3

        for _ in range(2):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = _connect(path)
            except sqlite3.OperationalError:  # locked, full, read-only
                self._drop()
                return
            except sqlite3.DatabaseError:
                self._throw_away()
            except OSError:
                return
            else:
                return

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        import sqlite3

        if self._connection is None or not rows:
            return
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Go on without the store; away with a damaged one, so that the next look can keep its own."""
        import sqlite3

        is_busy = isinstance(error, sqlite3.OperationalError) and "no such" not in str(error)
        if is_busy or not isinstance(error, sqlite3.DatabaseError):
            self._drop()
        else:
            self._throw_away()

    def _throw_away(self) -> None:
        self._drop()
        if self.path is not None:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with suppress(OSError):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = None


def fingerprint(status: os.stat_result) -> Fingerprint | None:
    """What tells a file from its later self; None for what is no plain file."""
    if not stat.S_ISREG(status.st_mode):
        return None
    inode = status.st_ino if status.st_ino < 1 << 63 else 0  # ReFS has numbers that SQLite's do not hold
    return status.st_size, status.st_mtime_ns, inode


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to a store of this version, made by this Pillow.

    Raises:
        sqlite3.DatabaseError: the file is damaged, or of another version.
        sqlite3.OperationalError: it is locked or cannot be written.
    """
    import sqlite3

    from PIL import __version__ as pillow

    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        made = (str(VERSION), pillow)
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS made (version TEXT, pillow TEXT)")
            row = connection.execute("SELECT version, pillow FROM made").fetchone()
            if row is None:
                connection.execute("INSERT INTO made VALUES (?, ?)", made)
                connection.execute(f"CREATE TABLE looks ({','.join(ALL)}, PRIMARY KEY (path)) WITHOUT ROWID")
        if row not in {None, made}:
            raise sqlite3.DatabaseError("made by another version")  # noqa: TRY301
    except BaseException:
        connection.close()
        raise
    return connection


def _rows(connection: sqlite3.Connection, names: Collection[str]) -> list[tuple[Any, ...]]:
    """The rows of these names, and maybe some of others.

    Names of one folder lie side by side in the table: reading that stretch takes a third of the time of as many searches.
    """
    if not names:
        return []
    most = STRETCH * len(names)
    select = f"SELECT {','.join(ALL)} FROM looks WHERE path "  # noqa: S608  (names of ours)
    rows = connection.execute(f"{select} BETWEEN ? AND ? LIMIT ?", (min(names), max(names), most)).fetchall()
    if len(rows) < most:
        return rows
    rest = list(set(names) - {row[0] for row in rows})
    marks = ",".join("?" * len(rest))
    return rows + connection.execute(f"{select} IN ({marks})", rest).fetchall()


def _row(look: Look, print_: Fingerprint, day: int) -> tuple[Any, ...]:
    values = [getattr(look, name) for name in COLUMNS]
    likeness = None if look.likeness is None else look.likeness.to_bytes(LIKENESS_BYTES, "big")
    return (str(look.path), *print_, day, *values[:-1], likeness)


def _look(path: Path, row: tuple[Any, ...]) -> Look:
    (
        format_,
        width,
        height,
        mode,
        bits,
        frames,
        orientation,
        has_alpha,
        is_flat,
        fault,
        detail,
        digest,
        likeness,
    ) = row[5:]
    return Look(
        path=path, file_size=row[1], format=format_, width=width, height=height, mode=mode, bits=bits, frames=frames, orientation=orientation,
        has_alpha=bool(has_alpha), is_flat=bool(is_flat), fault=fault, detail=detail, digest=digest,
        likeness=None if likeness is None else int.from_bytes(likeness, "big"),
    )  # fmt: skip
