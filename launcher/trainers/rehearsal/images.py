"""Images that somebody else made: opened with care, turned upright, put on white, cut to a bucket's size."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from launcher.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
)  # as upstream lists them, without rare plug-ins
MAX_PIXELS = 20_000 * 20_000 // 4  # 100 megapixels: 300 MB decoded; more is a mistake or an attack

# What Pillow's decoders are known to raise on damaged files, besides OSError.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels after the camera's rotation; the pixels are not decoded.

    Raises:
        InputError: the file is no image, or larger than `MAX_PIXELS`.
    """
    with _open(path) as image:
        try:
            turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
        except _DAMAGE:
            turned = False
        width, height = image.size
    return (height, width) if turned else (width, height)


def load_image(path: Path) -> Image.Image:
    """The whole image as RGB: upright, first frame, transparency on white.

    Raises:
        InputError: it cannot be decoded to its last row.
    """
    with _open(path) as image:
        try:
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
        except _DAMAGE as error:
            raise InputError(f"{path} is damaged and cannot be used for training: {error}") from error
        except MemoryError as error:
            raise InputError(f"{path} is too large for this computer's memory") from error


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scaled until it covers `size` (width, height), the rest cut off evenly."""
    return ImageOps.fit(image, size, method=Image.Resampling.LANCZOS)


def _open(path: Path) -> Image.Image:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image, whatever its name says") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} has too many pixels: {error}") from error
    except _DAMAGE as error:
        raise InputError(f"{path} cannot be opened: {error}") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise InputError(
            f"{path} has {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are taken"
        )
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: `convert` would clip it to white
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")
