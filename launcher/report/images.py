"""Sample images for embedding: only real images, only from inside the run, never more than a page can carry."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.paths import RunPaths

MIB = 1024 * 1024
LARGEST_FILE = 64 * MIB
LARGEST_AS_IT_IS = 200 * 1024  # bytes; larger ones become JPEG (a 1024 px PNG has 1.5 MB, the JPEG a tenth)
LARGEST_SIDE = 1024
MOST_PIXELS = 40_000_000  # nothing that a trainer samples is larger; a bomb is
JPEG_QUALITY = 88
FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An image ready for an `img` element."""

    uri: str
    width: int
    height: int


def inside(run: RunPaths, relative: str) -> Path | None:
    """The existing regular file that `relative` names, or None unless it really lies in the run's output folder.

    The words are judged before the disk is touched: on Windows the mere look at a UNC path logs in to a stranger.
    """
    parts = relative.split("/")
    if "\\" in relative or "\0" in relative or PureWindowsPath(relative).anchor or ":" in relative:
        return None
    if relative.startswith("/") or ".." in parts:
        return None
    try:
        output = run.output.resolve(strict=True)
        path = (run.folder / relative).resolve(strict=True)
        return path if path.is_relative_to(output) and path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def kind_of(head: bytes) -> str | None:
    """The MIME type by magic bytes; names prove nothing."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def load_picture(path: Path) -> Picture | None:
    """An image as a data URI, made smaller if it is large; None when it is not an image that can be decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        raw = path.read_bytes()
        kind = kind_of(raw[:16])
        if kind is None:
            return None
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS or width * height == 0:
                return None
            if len(raw) > LARGEST_AS_IT_IS:
                small = image.convert("RGB")
                small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
                width, height = small.size
                raw, kind = _as_jpeg(small), "image/jpeg"
            else:
                image.load()  # a truncated file says so here
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Picture(
        uri=f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}", width=width, height=height
    )


def _as_jpeg(image: object) -> bytes:
    from PIL import Image

    assert isinstance(image, Image.Image)  # noqa: S101  (for the type checker: PIL is imported in functions only)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def spread(steps: list[int]) -> list[int]:
    """Steps in the order in which they matter: the last, the first, then halfway between what is already taken."""
    ordered = sorted(set(steps))
    if len(ordered) <= 2:
        return ordered[::-1]
    taken = [ordered[-1], ordered[0]]
    gaps = [(0, len(ordered) - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low < 2:
            continue
        middle = (low + high) // 2
        taken.append(ordered[middle])
        gaps += [(low, middle), (middle, high)]
    return taken
