"""What a cached tensor was made from, as plain data, and the file name that follows from it.

Upstream names a cache file after its image and looks only whether the file is there, so an edited caption, another
resolution or another model meets what was made for the old one. Here the name is a hash of everything that goes in:
whatever changes, the old file is simply not asked for any more.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK_BYTES = 1 << 20
HASH_THREADS = 4  # hashlib works outside of Python's lock
SAMPLES = 64  # pieces of a checkpoint that are looked at; the whole of it would take a minute on a hard disk
SAMPLE_BYTES = 4096
MOST_HEADER_BYTES = 100 * 1024 * 1024  # the limit of the safetensors library
DIGEST_BYTES = 20


def name_of(kind: str, fingerprint: Mapping[str, Any]) -> str:
    """`latents-<40 hexadecimal digits>.npz`."""
    text = json.dumps(fingerprint, sort_keys=True, ensure_ascii=True)
    return f"{kind}-{hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()}.npz"


class ImageHashes:
    """Contents of images, each read once in a training.

    The whole content and nothing else: a copied or touched image keeps its cache, two images of one name in two
    folders never share one, and no clock or time stamp has to be trusted. It costs a gigabyte a second per core,
    and the disk; encoding the same images takes a hundred times longer.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def look(self, paths: Iterable[str]) -> None:
        """Hash those that are not known yet, several at a time."""
        new = sorted({path for path in paths if path not in self._known})
        with ThreadPoolExecutor(HASH_THREADS) as pool:
            self._known |= dict(zip(new, pool.map(content_hash, new), strict=True))

    def of(self, path: str) -> str:
        if path not in self._known:
            self._known[path] = content_hash(path)
        return self._known[path]


def content_hash(path: str) -> str:
    """BLAKE2b of a whole file, as hexadecimal text.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with Path(path).open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def model_identity(path: str | None) -> str:
    """What tells one model from another without reading gigabytes: names of tensors, size, samples, and time stamp.

    A folder (diffusers) counts by all its files. What is not there (a name on a hub) counts by its name.
    """
    if not path:
        return ""
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.is_file())
        parts = [f"{file.relative_to(place).as_posix()}:{_file_identity(file)}" for file in files]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=DIGEST_BYTES).hexdigest()
    if not place.is_file():
        return str(path)
    return _file_identity(place)


def _file_identity(path: Path) -> str:
    about = path.stat()
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(f"{about.st_size} {about.st_mtime_ns}".encode())
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length <= min(MOST_HEADER_BYTES, about.st_size):
            digest.update(stream.read(length))
        for number in range(SAMPLES):
            stream.seek(about.st_size * number // SAMPLES)
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def latents_fingerprint(
    common: Mapping[str, Any], info: Any, content: str, *, flip: bool, alpha: bool
) -> dict[str, Any]:
    """Everything that latents of one image depend on. `common`: the model's part, the same for all images."""
    return {
        **common,
        "image": content,
        "image_size": _sizes(info.image_size),
        "resized_size": _sizes(info.resized_size),
        "bucket": _sizes(info.bucket_reso),
        "interpolation": getattr(info, "resize_interpolation", None),
        "flip": flip,
        "alpha_mask": alpha,
    }


def text_fingerprint(common: Mapping[str, Any], caption: str) -> dict[str, Any]:
    """Everything that text encoder outputs depend on: the caption as upstream encodes it, and the encoders' part."""
    return {**common, "caption": caption}


def _sizes(size: Iterable[Any] | None) -> list[int] | None:
    return None if size is None else [int(side) for side in size]
