"""SHA-256 of large files, computed once: remembered for as long as nothing at the file has changed.

What counts as unchanged: the resolved path, size, time of the last change of the content, time of the last change of
the file itself (which nobody can set back on Linux and macOS; on Windows it is the time of making), and the inode.
The hashes are metadata of a LoRA and what `check --hash` prints. Nothing is believed for its hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from launcher.files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A thread that hashes beside a busy main thread waits up to 5 ms for Python's lock at each block.
BLOCK_BYTES = 16 << 20
MOST_REMEMBERED = 500
MOST_NOTE_BYTES = 1 << 20
IS_SHA256 = re.compile(r"[0-9a-f]{64}")


def key_of(path: Path) -> str:
    """What tells that a file was not touched.

    Raises:
        OSError: it is not there.
    """
    real = path.resolve()
    about = real.stat()
    return f"{real}|{about.st_size}|{about.st_mtime_ns}|{about.st_ctime_ns}|{about.st_ino}"


def known(notes: Path, path: Path) -> str | None:
    """The SHA-256 of a file, if it was computed before and the file has not been touched since."""
    try:
        found = _read(notes).get(key_of(path))
    except OSError:
        return None
    return found if isinstance(found, str) and IS_SHA256.fullmatch(found) else None


def sha256(
    notes: Path | None, path: Path, tell: Callable[[int, int], None] = lambda _done, _total: None
) -> str:
    """The SHA-256 of the whole file: computed, and remembered where it stayed as it was meanwhile.

    Args:
        notes: the file that remembers; None: nothing does.
        path: what to read.
        tell: hears how many bytes of how many are done; whatever it raises ends the reading.

    Raises:
        OSError: it cannot be read, or is no file.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise FileNotFoundError(2, "it is no file", str(path))
    key, total, done = key_of(path), path.stat().st_size, 0
    digest, block = hashlib.sha256(), bytearray(min(BLOCK_BYTES, max(total, 1)))
    with path.open("rb", buffering=0) as stream, memoryview(block) as view:
        while count := stream.readinto(block):
            digest.update(view[:count])
            done += count
            tell(done, total)
    if notes is not None and key_of(path) == key:  # else it was written to while we read
        remember(notes, key, digest.hexdigest())
    return digest.hexdigest()


def remember(notes: Path, key: str, digest: str) -> None:
    """Note a hash. It is only a convenience: where the note cannot be written, it is computed again."""
    try:
        notes.parent.mkdir(parents=True, exist_ok=True)
        write_json(notes, dict(list({**_read(notes), key: digest}.items())[-MOST_REMEMBERED:]))
    except (OSError, UnicodeError):
        return


def _read(notes: Path) -> dict[str, Any]:
    """What was remembered; damaged notes are as good as none."""
    try:
        if notes.stat().st_size > MOST_NOTE_BYTES:
            return {}
        value = json.loads(notes.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
