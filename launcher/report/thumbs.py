"""Small pictures for a contact sheet, as the trainer sees them: not turned by EXIF, no background under what is transparent."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from launcher.report.images import LARGEST_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SIDE = 256  # pixels; shown at half of it, for sharp screens
QUALITY = 70
MOST_PIXELS = 100_000_000  # as much as the check decodes
MOST_BYTES = 14 * 1024 * 1024  # of data URIs in one page: browsers and mail still take it
THREADS = 4
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB")


def load_thumbs(paths: Sequence[Path], tell: Callable[[int, int], None] | None = None) -> dict[Path, str]:
    """Data URIs of as many of the pictures as a page can carry, in their order; those that cannot be decoded are left out."""
    found: dict[Path, str] = {}
    used = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for done, (path, uri) in enumerate(zip(paths, pool.map(load_thumb, paths), strict=True), 1):
            if uri and used + len(uri) <= MOST_BYTES:
                used += len(uri)
                found[path] = uri
            if tell:
                tell(done, len(paths))
    return found


def load_thumb(path: Path) -> str:
    """One small JPEG as a data URI; empty for what is no image, too large, or damaged."""
    from PIL import Image

    try:
        if path.stat().st_size > LARGEST_FILE:
            return ""
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return ""
            image.draft("RGB", (SIDE, SIDE))  # a JPEG is decoded small at once
            small = image.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=QUALITY)
    except Exception:  # noqa: BLE001  (Pillow's decoders raise anything; the check has told what is wrong)
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
