"""The base model's SHA-256 for the LoRA's metadata: remembered from an earlier start, or computed beside the loading.

Upstream reads all 6.9 GB for it at each start (`train_util.calculate_sha256`). It is answered from the notes when path,
size, times and inode are the same (`launcher.hashes`), else from a thread that began with the process and works while
Python imports and the model loads. What differs in any way is computed by upstream's own function.
"""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import hashes

if TYPE_CHECKING:
    from launcher.shim.context import Context

NOTES = "models.json"  # `launcher.paths.Paths.model_notes`


class Hashes:
    """Of one process: at most one file is hashed in the background."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._key = ""  # of the file in the background, when its reading began
        self._found: str | None = None

    def begin(self, path: Path, folder: Path | None) -> bool:
        """Hash a file in the background, unless its hash is remembered. True when it is being read."""
        notes = None if folder is None else folder / NOTES
        try:
            if notes is not None and hashes.known(notes, path):
                return False
            self._key = hashes.key_of(path)
        except OSError:
            return False
        self._thread = threading.Thread(
            target=self._compute, args=(path, notes), name="checksum", daemon=True
        )
        self._thread.start()
        return True

    def _compute(self, path: Path, notes: Path | None) -> None:
        try:
            self._found = hashes.sha256(notes, path)
        except Exception:  # noqa: BLE001  (whatever it is: upstream computes it itself)
            self._found = None

    def answer(self, name: Any, folder: Path | None) -> str | None:
        """The hash of a file that has not changed since, or None; waits for the background."""
        try:
            path = Path(name)
            known = None if folder is None else hashes.known(folder / NOTES, path)
            if known is not None or self._thread is None or hashes.key_of(path) != self._key:
                return known
            self._thread.join()
            return self._found if hashes.key_of(path) == self._key else None
        except (OSError, TypeError):
            return None


HASHES = Hashes()


def install(context: Context, folder: Path | None) -> None:
    """Answer upstream's question from here; what is not known it computes, and that is remembered."""
    train_util = context.modules["library.train_util"]
    original = train_util.calculate_sha256

    @functools.wraps(original)
    def calculate_sha256(filename: Any) -> Any:
        found = HASHES.answer(filename, folder)
        if found is not None:
            return found
        before = _key(filename)
        computed = original(filename)
        if (
            folder is not None
            and before is not None
            and hashes.IS_SHA256.fullmatch(str(computed))
            and _key(filename) == before
        ):
            hashes.remember(folder / NOTES, before, computed)
        return computed

    train_util.calculate_sha256 = calculate_sha256  # type: ignore[attr-defined]


def _key(name: Any) -> str | None:
    try:
        return hashes.key_of(Path(name))
    except (OSError, TypeError):
        return None
