"""One file, decoded to its last row. Files come from others: whatever they hold, the answer is a `Look`."""

from __future__ import annotations

import hashlib
import stat
from io import BytesIO
from typing import TYPE_CHECKING, Any

from launcher.pictures import limits
from launcher.pictures.facts import (
    bits_of,
    frames_of,
    has_transparent_pixels,
    is_one_colour,
    orientation_of,
)
from launcher.pictures.kinds import begun_image, head_of, kind_of
from launcher.pictures.likeness import likeness_of
from launcher.pictures.record import (
    DAMAGED,
    EMPTY,
    FIRST_TURNED,
    HUGE,
    NO_IMAGE,
    UNREADABLE,
    UNREADABLE_NAME,
    Look,
)

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from PIL import Image

# What the trainers can read by content, whatever the name says. Pillow knows many more, some of which start other
# programs (EPS) or unpack for minutes (JPEG 2000).
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF")
SCAN_MARKER = b"\xff\xda"  # cannot stand inside JPEG data
EIGHTH = 8
DETAIL_LENGTH = 80


class Fault(Exception):  # noqa: N818  (it is no error of ours: it is what was found)
    """Ends the look at one file."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


def decode(path: Path, budget: limits.Budget) -> Look:
    """Read, decode and describe one file. Memory: its bytes and its pixels, within `budget`."""
    size = 0
    digest = ""
    try:
        size = _size_of(path)
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  (half the time of Path.open)
            source, digest = _read(stream, size)
            return Look(path=path, file_size=size, digest=digest, **_examine(source, budget))
    except Fault as fault:
        return Look(path=path, file_size=size, digest=digest, fault=fault.kind, detail=fault.detail)
    except OSError as error:
        return Look(path=path, file_size=size, fault=UNREADABLE, detail=error.strerror or _short(error))


def _size_of(path: Path) -> int:
    """Bytes of a plain file.

    Raises:
        Fault: it is none, or empty, or its name is not text.
        OSError: it cannot be looked at.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise Fault(UNREADABLE_NAME) from None
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Fault(UNREADABLE, "it is no plain file")
    if status.st_size == 0:
        raise Fault(EMPTY)
    return status.st_size


def _read(stream: FileIO, size: int) -> tuple[BytesIO | FileIO, str]:
    """Where to decode from, and the digest of the bytes ("" for a file so large that reading it would take long)."""
    if size <= limits.MOST_READ_BYTES:
        raw = stream.read(size)  # a larger number would cost memory of that size first
        return BytesIO(raw), hashlib.blake2b(raw, digest_size=16).hexdigest()
    if size > limits.MOST_DIGESTED_BYTES:
        return stream, ""
    digest = hashlib.blake2b(digest_size=16)
    while block := stream.read(1 << 20):
        digest.update(block)
    stream.seek(0)
    return stream, digest.hexdigest()


def _examine(source: BytesIO | FileIO, budget: limits.Budget) -> dict[str, Any]:
    """The fields of a `Look` that come from the image.

    Raises:
        Fault: it is no image, or a broken one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source, formats=FORMATS) as image:
            _guard(image, source)
            with budget.spend(image.width * image.height):
                return _facts(image)
    except Fault:
        raise
    except UnidentifiedImageError:
        raise _no_image(source) from None
    except (Image.DecompressionBombError, MemoryError):
        raise Fault(HUGE) from None
    except Exception as error:  # what Pillow's plugins raise on hostile files is in no list
        if "MAX_TEXT" in str(error):
            raise Fault(HUGE, "its text unfolds to more than a megabyte") from error
        raise Fault(DAMAGED, _short(error)) from error


def _no_image(source: BytesIO | FileIO) -> Fault:
    """Why Pillow does not know it: it ends within its header, or it is something else."""
    head = head_of(source)
    begun = begun_image(head)
    return (
        Fault(DAMAGED, f"it begins like {begun} and ends there") if begun else Fault(NO_IMAGE, kind_of(head))
    )


def _guard(image: Image.Image, source: BytesIO | FileIO) -> None:
    """Refuse what would take too long, before any pixel is decoded."""
    pixels = image.width * image.height
    if pixels > limits.MOST_PIXELS:
        raise Fault(HUGE, f"{image.width} × {image.height}")
    if image.format in {"JPEG", "MPO"} and isinstance(source, BytesIO):
        scans = source.getvalue().count(SCAN_MARKER)
        if scans > limits.MOST_SCANS and scans * pixels > limits.MOST_SCANNED:
            raise Fault(HUGE, f"made of {scans} scans")


def _facts(image: Image.Image) -> dict[str, Any]:
    width, height = image.size
    facts: dict[str, Any] = {
        "format": image.format or "",
        "mode": image.mode,
        "bits": bits_of(image),
        "frames": frames_of(image),
    }
    if width * height <= limits.LARGE_PIXELS:
        facts |= _pixels(image)
    elif image.format in {"JPEG", "MPO"}:
        image.draft(None, (width // EIGHTH, height // EIGHTH))
        facts |= _pixels(image)
    else:
        image.verify()
    orientation = orientation_of(image)
    if orientation >= FIRST_TURNED:
        width, height = height, width
    return {**facts, "orientation": orientation, "width": width, "height": height}


def _pixels(image: Image.Image) -> dict[str, Any]:
    """Decode, and what only pixels tell."""
    image.load()
    likeness = likeness_of(image)
    return {
        "has_alpha": has_transparent_pixels(image),
        "likeness": likeness,
        "is_flat": likeness is None and is_one_colour(image),
    }


def _short(error: BaseException) -> str:
    """The first line of a reason."""
    return (str(error).splitlines() or [type(error).__name__])[0][:DETAIL_LENGTH]
