"""Files that other processes read while we write, and files that we read while others write."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_POLL_S = 0.1
BLOCK_BYTES = 1 << 20
REPLACE_ATTEMPTS = 10  # an antivirus scanner holds a fresh file for some tenths of a second on Windows


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a whole file so that nobody ever reads half of it, even after a power cut: aside, flush, rename."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """`write_atomic` of pretty JSON."""
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        InputError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is damaged: {error}", where=str(path)) from error


def replace(source: Path, target: Path, *, attempts: int = REPLACE_ATTEMPTS) -> None:
    """`os.replace` that outlasts a scanner's short lock on Windows."""
    for attempt in range(attempts):
        try:
            os.replace(source, target)  # noqa: PTH105  (Path.replace is the same call; the name says what it is)
        except PermissionError:
            if sys.platform != "win32" or attempt == attempts - 1:
                raise
            time.sleep(LOCK_POLL_S)
        else:
            return


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as hexadecimal text. Memory: one block."""
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flush every file below `folder`, then the folders themselves."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


@contextmanager
def lock(path: Path, *, timeout_s: float, busy: str) -> Iterator[int]:
    """Hold an exclusive lock on `path` (the operating system drops it when the process dies, however it dies).

    Yields the lock's handle: a child that inherits it (`process.run(keep_open=...)`) holds the lock as well.

    Raises:
        LauncherError: somebody else still holds it after `timeout_s`; `busy` is the sentence to say.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(stream.fileno()):
            if time.monotonic() > deadline:
                raise LauncherError(busy, where=str(path))
            time.sleep(LOCK_POLL_S)
        yield stream.fileno()  # closing the file drops the lock


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def read_lines(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Complete lines of a growing file from `offset`, each with the offset behind it.

    An unfinished last line is left for the next call. A missing file has no lines. Memory: one line.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset
