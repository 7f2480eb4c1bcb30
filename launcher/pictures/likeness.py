"""A number that stays nearly the same when a picture is scaled or saved again: the difference hash (dHash).

The hash comes from `dhash` (MIT, one file, needs nothing). `ImageHash` has more kinds and more users, but brings
numpy, scipy and PyWavelets: 150 MB in an environment that must start in a blink. `dhash` is small and finished
(last release 2022); we hand it 81 grey values, so that it touches no Pillow function that may go away.

Both directions are used, 128 bits: with 64 too many drawings on a white ground look alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDE = 9  # dHash compares neighbours: 9 x 9 values give 8 x 8 bits each way
# Grey levels between the darkest and the brightest of the 81 values. Below it the hash is made of noise.
LEAST_CONTRAST = 8
SMALL_WIDTH = 128  # up to here shrinking in one step is quicker
GAP = 2.0  # Pillow shrinks by whole numbers first, down to twice the size that is asked for


def likeness_of(image: Picture) -> int | None:
    """The 128 bits of dHash, rows first; None where all is so even that there is nothing to compare."""
    import dhash

    grays = grays_of(image)
    if max(grays) - min(grays) < LEAST_CONTRAST:
        return None
    row, column = dhash.dhash_row_col(grays)
    return int(row << 64 | column)


def grays_of(image: Picture) -> list[int]:
    """81 grey values, row by row, transparent parts on white."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return _deep_grays(image)
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "1" or (image.mode == "RGB" and image.width <= SMALL_WIDTH):
        image = image.convert("L")
    gap = GAP if image.width > SMALL_WIDTH else None
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=gap)
    if small.mode in {"RGBA", "LA"}:
        ground = Image.new("L", small.size, 255)
        ground.paste(small.convert("L"), mask=small.getchannel("A"))
        small = ground
    elif small.mode != "L":
        small = small.convert("L")
    return list(small.tobytes())


def _deep_grays(image: Picture) -> list[int]:
    """16 and 32 bits: scaled to 0..255 between their own darkest and brightest."""
    from PIL import Image

    small = image.convert("F").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    values = [float(small.getpixel((x, y)) or 0) for y in range(SIDE) for x in range(SIDE)]  # type: ignore[arg-type]
    low, span = min(values), max(values) - min(values)
    return [int((value - low) * 255 / span) if span > 0 else 0 for value in values]
