"""Draw the shipped sample images again: python launcher/demo/generate.py [FOLDER]

Layered hills in flat colours, one palette a picture, everything from one seed, so that the folder can be rebuilt
and nobody else's pictures are needed.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

SEED = 20
SCALE = 4  # drawn larger, then reduced: smooth edges without a drawing library
WIDE, SQUARE, TALL = (384, 256), (320, 320), (256, 384)

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One picture: `hills` counts layers, `sun` is its height in the sky (1 top, 0 horizon; None: hidden)."""

    name: str
    size: tuple[int, int]
    sky: tuple[Colour, Colour]
    light: Colour
    near: Colour
    far: Colour
    hills: int = 4
    sun: float | None = 0.5
    trees: int = 0
    lake: bool = False
    stars: bool = False
    caption: str = ""


SCENES = (
    Scene(
        name="01_morning", size=WIDE, sky=((142, 202, 230), (253, 240, 213)), light=(255, 183, 3),
        near=(33, 92, 84), far=(160, 205, 190), sun=0.35, trees=9,
        caption="flathills style, morning, layered green hills, low sun, fir trees",
    ),
    Scene(
        name="02_dusk", size=WIDE, sky=((94, 60, 108), (255, 170, 120)), light=(255, 226, 160),
        near=(48, 25, 62), far=(196, 110, 122), sun=0.2, hills=5,
        caption="flathills style, dusk, layered purple hills, setting sun, orange sky",
    ),
    Scene(
        name="03_lake", size=WIDE, sky=((120, 190, 220), (235, 245, 240)), light=(255, 244, 200),
        near=(40, 84, 110), far=(150, 190, 205), sun=0.5, hills=3, trees=6, lake=True,
        caption="flathills style, day, blue hills, a lake with reflections, fir trees",
    ),
    Scene(
        name="04_night", size=WIDE, sky=((16, 24, 58), (58, 80, 128)), light=(240, 240, 220),
        near=(10, 16, 36), far=(62, 84, 128), sun=0.58, trees=7, stars=True,
        caption="flathills style, night, dark blue hills, full moon, stars, fir trees",
    ),
    Scene(
        name="05_autumn", size=SQUARE, sky=((250, 214, 165), (255, 243, 220)), light=(236, 120, 60),
        near=(120, 52, 36), far=(232, 170, 110), sun=0.5, hills=5, trees=8,
        caption="flathills style, autumn, layered orange hills, red sun, fir trees",
    ),
    Scene(
        name="06_winter", size=SQUARE, sky=((176, 204, 224), (240, 244, 250)), light=(255, 250, 235),
        near=(96, 124, 150), far=(226, 236, 244), sun=0.55, trees=10,
        caption="flathills style, winter, snowy pale hills, white sun, fir trees",
    ),
    Scene(
        name="07_desert", size=SQUARE, sky=((255, 200, 140), (255, 236, 200)), light=(255, 255, 240),
        near=(168, 82, 50), far=(240, 190, 130), sun=0.58, hills=3,
        caption="flathills style, noon, sand dunes, white sun, yellow sky",
    ),
    Scene(
        name="08_dawn", size=TALL, sky=((255, 175, 189), (255, 238, 210)), light=(255, 120, 120),
        near=(70, 50, 96), far=(224, 160, 180), sun=0.4, hills=6, trees=5,
        caption="flathills style, dawn, layered violet hills, pink sky, red sun, fir trees",
    ),
    Scene(
        name="09_valley", size=TALL, sky=((110, 198, 202), (224, 246, 226)), light=(255, 214, 90),
        near=(22, 70, 52), far=(140, 204, 160), sun=0.7, hills=6, trees=8,
        caption="flathills style, day, layered green hills, yellow sun, fir trees",
    ),
    Scene(
        name="10_mist", size=TALL, sky=((190, 198, 206), (232, 232, 228)), light=(250, 246, 238),
        near=(58, 70, 78), far=(204, 210, 212), sun=None, hills=5, trees=6, lake=True,
        caption="flathills style, mist, layered grey hills, hidden sun, a lake, fir trees",
    ),
)  # fmt: skip


def draw(scene: Scene, chance: random.Random) -> Image.Image:
    """One picture, from the sky down to the nearest trees."""
    width, height = (side * SCALE for side in scene.size)
    picture = Image.new("RGB", (width, height))
    canvas = ImageDraw.Draw(picture)
    horizon = int(height * (0.62 if scene.lake else 0.48))
    _sky(canvas, scene, width, height, chance)
    if scene.sun is not None:
        _sun(canvas, scene, width, horizon, chance)
    bottom = int(height * 0.74) if scene.lake else height
    for layer in range(scene.hills):
        depth = layer / max(1, scene.hills - 1)  # 0 far, 1 near
        colour = _mix(scene.far, scene.near, depth)
        crest = _crest(width, horizon, bottom, depth * (0.55 if scene.lake else 0.8), chance)
        canvas.polygon([(0, bottom), *crest, (width, bottom)], fill=colour)
        if layer == scene.hills - 1:
            _trees(canvas, crest, scene, height, chance)
    if scene.lake:
        _reflect(picture, scene, bottom)
    return picture.resize(scene.size, Image.Resampling.LANCZOS)


def _mix(one: Colour, two: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, two, strict=True))
    return red, green, blue


def _sky(canvas: ImageDraw.ImageDraw, scene: Scene, width: int, height: int, chance: random.Random) -> None:
    bands = 7
    for band in range(bands):
        top = height * band * 0.7 / bands
        canvas.rectangle((0, top, width, height), fill=_mix(*scene.sky, band / (bands - 1)))
    for _ in range(40 if scene.stars else 0):
        x, y, size = chance.uniform(0, width), chance.uniform(0, height * 0.4), chance.uniform(2, 5)
        canvas.ellipse((x - size, y - size, x + size, y + size), fill=(235, 235, 225))


def _sun(canvas: ImageDraw.ImageDraw, scene: Scene, width: int, horizon: int, chance: random.Random) -> None:
    assert scene.sun is not None  # noqa: S101  (the caller looked)
    x, y = width * chance.uniform(0.25, 0.75), horizon * (1 - scene.sun)
    radius = min(width, horizon * 2) * 0.11
    halo = _mix(scene.sky[1], scene.light, 0.25)
    for size, colour in ((radius * 1.45, halo), (radius, scene.light)):
        canvas.ellipse((x - size, y - size, x + size, y + size), fill=colour)


def _crest(
    width: int, horizon: int, bottom: int, depth: float, chance: random.Random
) -> list[tuple[float, float]]:
    """A soft ridge: three sine waves around a base line that comes nearer with `depth`."""
    base = horizon + (bottom - horizon) * depth
    waves = [
        (chance.uniform(0.6, 1.6) * (2**octave), chance.uniform(0, math.tau), 0.05 / (1.7**octave))
        for octave in range(3)
    ]
    return [
        (
            x,
            base
            + sum(
                math.sin(math.tau * rate * x / width + phase) * size * bottom for rate, phase, size in waves
            ),
        )
        for x in range(0, width + SCALE, SCALE)
    ]


def _trees(
    canvas: ImageDraw.ImageDraw,
    crest: list[tuple[float, float]],
    scene: Scene,
    height: int,
    chance: random.Random,
) -> None:
    dark = _mix(scene.near, (0, 0, 0), 0.3)
    for _ in range(scene.trees):
        x, y = chance.choice(crest)
        tall = height * chance.uniform(0.08, 0.16)
        foot = y + tall * 0.15
        for tier in range(3):
            top, half = foot - tall * (0.45 + 0.275 * tier), tall * (0.24 - 0.055 * tier)
            base = foot - tall * 0.22 * tier
            canvas.polygon([(x, top), (x - half, base), (x + half, base)], fill=dark)


def _reflect(picture: Image.Image, scene: Scene, shore: int) -> None:
    """The lake: what stands above the shore, upside down, flatter and a little lighter."""
    width, height = picture.size
    depth = height - shore
    above = picture.crop((0, max(0, shore - 2 * depth), width, shore))
    mirrored = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((width, depth))
    water = Image.new("RGB", mirrored.size, scene.sky[1])
    picture.paste(Image.blend(mirrored, water, 0.35), (0, shore))
    canvas = ImageDraw.Draw(picture)
    for line in range(3):
        y = shore + depth * (line + 1) / 4
        canvas.rectangle(
            (width * 0.12 * (line + 1), y, width * (0.55 + 0.12 * line), y + SCALE), fill=scene.sky[1]
        )


def write(folder: Path) -> None:
    """Every scene as a picture and its caption; two of them JPEG, as people's folders are mixed."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(SCENES):
        picture = draw(scene, random.Random(SEED + number))  # noqa: S311  (drawing, not secrets)
        if scene.size == SQUARE:
            picture.save(folder / f"{scene.name}.jpg", quality=90, optimize=True)
        else:
            small = picture.quantize(128, dither=Image.Dither.NONE)
            small.save(folder / f"{scene.name}.png", optimize=True)
        (folder / f"{scene.name}.txt").write_text(scene.caption + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "images")
