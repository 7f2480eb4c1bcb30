"""Is this the same model file as before? Cheap first: a print of its tensors' names and of places in them, in milliseconds.

The print is not the SHA-256 that model pages show: that needs every byte, a minute for 7 GB on a hard disk. It is
computed only when somebody asks for it, once, and remembered for as long as the file stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from launcher import hashes
from launcher.checkpoint.header import HeaderError, read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.paths import Paths

SAMPLES = 64  # as many places as the shim looks at for its caches
SAMPLE_BYTES = 4096
DIGEST_BYTES = 20
MOST_FILES = 1000  # of a diffusers folder; a real one has about thirty


def quick_print(path: Path) -> str:
    """BLAKE2b of the tensors' names, types, shapes and of 64 places of 4 KiB; of a folder, of all its files.

    Neither name nor time nor metadata count: a copy, or a file that somebody gave a title, has the same print. A changed
    tensor that none of the places meets is not seen; another training, merge or precision changes all of them.

    Raises:
        OSError: it cannot be read, or is neither a file nor a folder.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())[:MOST_FILES]
        names = [f"{file.relative_to(path).as_posix()}:{_print_of(file)}" for file in files]
        return hashlib.blake2b(
            "\n".join(names).encode("utf-8", "surrogateescape"), digest_size=DIGEST_BYTES
        ).hexdigest()
    if not path.is_file():  # opening a pipe would wait for ever
        raise FileNotFoundError(2, "it is no file", str(path))
    return _print_of(path)


def _print_of(path: Path) -> str:
    size, start = path.stat().st_size, 0
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as stream:
        try:
            header = read_header(path)
            start = 8 + int.from_bytes(stream.read(8), "little")
            tensors = sorted((name, header.dtypes[name], shape) for name, shape in header.shapes.items())
            digest.update(json.dumps(tensors).encode())
        except HeaderError:  # some other file: all of it is content
            start = 0
        digest.update(f"{size - start}".encode())
        for number in range(SAMPLES):
            stream.seek(start + (size - start) * number // SAMPLES)
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def known_hash(paths: Paths, path: Path) -> str | None:
    """The SHA-256 of a file, if it was computed before and the file has not been touched since."""
    return hashes.known(paths.model_notes, path)


def full_hash(paths: Paths, path: Path, tell: Callable[[int, int], None] = lambda _done, _total: None) -> str:
    """The SHA-256 of the whole file: remembered, else computed. `tell` hears how many bytes of how many are done.

    sd-scripts wants the same number at each start for its metadata (`train_util.calculate_sha256`, 5.5 s for 6.9 GB
    from a warm cache: facts/gpu.md); the shim answers from the same notes (`launcher.shim.startup.checksums`).

    Raises:
        OSError: it cannot be read.
    """
    return known_hash(paths, path) or hashes.sha256(paths.model_notes, path, tell)
