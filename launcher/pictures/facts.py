"""What a decoded image tells of itself. Nothing here fails: metadata from others may be nonsense."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.pictures.record import UPRIGHT

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112  # the EXIF and TIFF tag
MOST_ORIENTATION = 8
EXIF_PLACES = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # keys of Pillow's `info`
BITS = {"1": 1, "I": 32, "F": 32}
OPAQUE = 255
FLAT_STEP = (
    2  # levels between the darkest and the brightest pixel of a channel: a JPEG of one colour has as many
)
SEVERAL = 2


def bits_of(image: Image.Image) -> int:
    """Bits of a channel as stored. Asked before the pixels are loaded: Pillow makes 8 of 16 where it can."""
    if image.mode in BITS:
        return BITS[image.mode]
    raw = str(getattr(image, "tile", ""))
    return 16 if image.mode.startswith("I;16") or ";16" in raw else 8


def frames_of(image: Image.Image) -> int:
    """Pictures in the file, 2 for "several" where counting would read all of it. Asked before loading.

    The second picture of a phone's MPO is a brightness map or a stereo view: it counts as a still image.
    """
    if image.format in {"JPEG", "MPO", "BMP", "DIB"}:
        return 1
    with suppress(Exception):
        if image.format in {"GIF", "TIFF"}:
            return SEVERAL if getattr(image, "is_animated", False) else 1
        return max(1, int(getattr(image, "n_frames", 1)))
    return 1


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8."""
    if image.format == "TIFF" or not EXIF_PLACES.isdisjoint(image.info):
        with suppress(Exception):
            value = image.getexif().get(ORIENTATION, UPRIGHT)
            if isinstance(value, int) and UPRIGHT <= value <= MOST_ORIENTATION:
                return value
    return UPRIGHT


def has_transparent_pixels(image: Image.Image) -> bool:
    """Whether any pixel is not fully opaque; a channel that is opaque everywhere is none."""
    if image.mode in {"RGBA", "LA", "PA"}:
        alpha = image.getchannel("A")
    elif "transparency" in image.info and image.mode in {"P", "RGB", "L", "1"}:
        alpha = image.convert("RGBA").getchannel("A")
    else:
        return False
    low = alpha.getextrema()[0]
    return isinstance(low, int) and low < OPAQUE


def is_one_colour(image: Image.Image) -> bool:
    """Whether all pixels are the same, up to what a JPEG adds. A palette's numbers are compared as they are."""
    bands: object = image.getextrema()
    pairs = bands if isinstance(bands, tuple) and bands and isinstance(bands[0], tuple) else (bands,)
    step = 0 if image.mode == "P" else FLAT_STEP
    return all(high - low <= step for low, high in pairs)
