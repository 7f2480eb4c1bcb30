"""An image as the taggers were trained on it: on white, padded to a square, 448 pixels, blue first, numbers from 0 to 255.

Equal to the last bit to `preprocess_image` of sd-scripts v0.10.1 (finetune/tag_images_by_wd14_tagger.py) with its
`resize_image` (library/utils.py): OpenCV's area filter where the image becomes smaller, Pillow's Lanczos where it
becomes larger. A test holds both together.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 448  # pixels
WHITE = 255
# The padded square of a picture of 1 x 60,000 pixels would have 3.6 billion. Pillow refuses so many pixels itself.
MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)
LARGE_PIXELS = 40_000_000
_one_large = threading.Lock()  # several of them at once would need gigabytes


def load(path: str) -> NDArray[np.float32]:
    """An image file as the model wants it: (448, 448, 3), blue, green, red, 0 to 255.

    Raises:
        ValueError: its square would be too large.
        Exception: whatever Pillow says of a file that it cannot read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warning about many pixels: its error stands
        with Image.open(path) as image:
            side = max(image.size)
            if side * side > MOST_PIXELS:
                raise ValueError(
                    f"{image.width} x {image.height} pixels: its square is too large ({side * side / 1e6:.0f} million pixels)"
                )
            if side * side <= LARGE_PIXELS:
                return prepare(image)
            with _one_large:
                return prepare(image)


def prepare(image: Image.Image) -> NDArray[np.float32]:
    """A picture of any mode as (448, 448, 3), blue, green, red, 0 to 255."""
    return _resized(_squared(np.asarray(_on_white(image))[:, :, ::-1])).astype(np.float32)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"RGBA", "LA"} or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, (WHITE, WHITE, WHITE))
        ground.paste(image, mask=image.getchannel("A"))
        return ground
    return image if image.mode == "RGB" else image.convert("RGB")


def _squared(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture in the middle of a white square; of an odd margin the larger part is below and to the right."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 3), WHITE, dtype=np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square


def _resized(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if len(square) >= SIDE:
        import cv2

        smaller: NDArray[np.uint8] = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return smaller
    # Lanczos works on each channel alone: the order of the channels does not matter.
    larger = Image.fromarray(square).resize((SIDE, SIDE), resample=Image.Resampling.LANCZOS)
    return np.asarray(larger)
