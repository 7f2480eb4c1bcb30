"""Files of cached tensors: where each lies, whether it is whole, how it is written.

By default all lie in the launcher's cache folder. "beside" puts them beside the images under upstream's own names,
with a record in the cache folder that says what they were made from; a file there that we did not make is nobody's
but the user's: it is neither read nor changed, and that image's cache goes to the folder.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json, replace, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One cache file: where it is looked for and written, what it was made from, what must be in it."""

    path: Path
    name: str  # the fingerprint's name, whatever the file is called
    shapes: Mapping[str, tuple[int, ...] | None]  # None: any shape
    is_beside: bool = False


class CacheFiles:
    """The cache folder of this training."""

    def __init__(self, folder: Path, *, beside: bool, trusts_files: bool = False) -> None:
        """`trusts_files`: upstream's --skip_cache_check, a file that is there is not looked into."""
        self._folder = folder
        self._beside = beside
        self._trusts_files = trusts_files
        self._claimed: dict[Path, str] = {}  # stock names that this training uses, each for one fingerprint
        self.foreign: list[Path] = []  # files of the user's that we went around
        self.damaged: list[Path] = []

    def want(self, name: str, stock: Path, shapes: Mapping[str, tuple[int, ...] | None]) -> Wanted:
        """Where the tensors of one fingerprint lie. `stock`: the path that upstream would take."""
        if not self._beside or not self._may_use(stock, name):
            return Wanted(path=self._folder / name, name=name, shapes=shapes)
        self._claimed[stock] = name
        return Wanted(path=stock, name=name, shapes=shapes, is_beside=True)

    def _may_use(self, stock: Path, name: str) -> bool:
        """Two images of one stem, or one image at two resolutions, have one stock name: the first gets it."""
        if self._claimed.get(stock, name) != name:
            return False
        if not os.access(stock.parent, os.W_OK):  # a CD, a network share of somebody else's
            return False
        if not stock.exists() or self._record_of(stock) is not None:
            return True
        self.foreign.append(stock)
        return False

    def has(self, wanted: Wanted) -> bool:
        """Whether the file is there, whole, and made from what is wanted; a damaged one of ours is removed."""
        if wanted.is_beside and self._record_of(wanted.path) != wanted.name:
            return False
        if not wanted.path.is_file():
            return False
        if self._trusts_files:
            return True
        reason = why_unusable(wanted.path, wanted.shapes)
        if reason is None:
            return True
        logger.warning("a damaged cache file is made again: %s (%s)", wanted.path, reason)
        self.damaged.append(wanted.path)
        wanted.path.unlink(missing_ok=True)
        return False

    def write(self, wanted: Wanted, save: Callable[[str], Any]) -> None:
        """`save` gets a path that ends in .npz; the file appears under its name when it is whole.

        Not flushed to the disk each time, which would cost more than encoding does: what a power cut leaves damaged is
        found by its checksums at the next start, and made again.

        Raises:
            OSError: the disk is full, or the folder may not be written.
        """
        wanted.path.parent.mkdir(parents=True, exist_ok=True)  # somebody may tidy up during a long caching
        aside = wanted.path.with_name(f".{wanted.name[:-4]}.{os.getpid()}.tmp.npz")
        try:
            save(str(aside))
            if wanted.is_beside:
                self._forget(wanted.path)
            replace(aside, wanted.path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        if wanted.is_beside:
            self._remember(wanted)

    def _record(self, stock: Path) -> Path:
        place = hashlib.blake2b(str(stock).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self._folder / "beside" / f"{place}.json"

    def _record_of(self, stock: Path) -> str | None:
        """The fingerprint of a file beside the images, if we made exactly this file."""
        try:
            record = read_json(self._record(stock))
            about = stock.stat()
        except (InputError, OSError):
            return None
        if not isinstance(record, dict) or record.get("path") != str(stock):
            return None
        is_same = record.get("size") == about.st_size and record.get("mtime_ns") == about.st_mtime_ns
        return str(record.get("name")) if is_same else None

    def _remember(self, wanted: Wanted) -> None:
        about = wanted.path.stat()
        record = {
            "path": str(wanted.path), "name": wanted.name, "size": about.st_size, "mtime_ns": about.st_mtime_ns,
        }  # fmt: skip
        self._record(wanted.path).parent.mkdir(parents=True, exist_ok=True)
        write_json(self._record(wanted.path), record)

    def _forget(self, stock: Path) -> None:
        self._record(stock).unlink(missing_ok=True)


def why_unusable(path: Path, shapes: Mapping[str, tuple[int, ...] | None]) -> str | None:
    """Read a file to its end (its checksums are checked): why it cannot be used, or None."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            for key, shape in shapes.items():
                found = stored[key].shape
                if shape is not None and tuple(found) != tuple(shape):
                    return f"{key} is {found}, not {shape}"
    except Exception as error:  # noqa: BLE001  (zip, zlib, numpy and the system each have errors of their own for this)
        return f"{type(error).__name__}: {error}"
    return None
