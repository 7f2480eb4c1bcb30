"""How far the hashes of saved-again pictures lie apart, and those of different ones: where to draw the line.

    python tests/benchmarks/bench_likeness.py [FILE WITH PATHS OF PICTURES]

Without a list it draws 400 pictures: shapes on a plain ground, the worst case for a difference hash. Every picture is saved
again in eight ways. Prints, for each distance, the share of copies within it and the number of pairs of different
pictures within it.
"""

import io
import random
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance

from launcher.pictures.likeness import likeness_of

COUNT = 400
SIDE = 512


def saved(image, kind, **options):
    raw = io.BytesIO()
    image.save(raw, kind, **options)
    return Image.open(raw).convert("RGB")


WAYS = {
    "jpeg 90": lambda image: saved(image, "JPEG", quality=90),
    "jpeg 40": lambda image: saved(image, "JPEG", quality=40),
    "webp 60": lambda image: saved(image, "WEBP", quality=60),
    "gif": lambda image: saved(image, "GIF"),
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "a quarter, jpeg": lambda image: saved(image.resize((image.width // 4, image.height // 4)), "JPEG"),
    "twice": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
}


def drawn(number):
    """A figure of some shapes in the middle of a white or plain ground."""
    dice = random.Random(number)
    ground = (255, 255, 255) if number % 2 else tuple(dice.randrange(256) for _ in range(3))
    image = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(image)
    for _ in range(dice.randrange(3, 9)):
        x, y = dice.gauss(SIDE / 2, SIDE / 6), dice.gauss(SIDE / 2, SIDE / 6)
        a, b = dice.uniform(10, SIDE / 5), dice.uniform(10, SIDE / 5)
        draw.ellipse((x - a, y - b, x + a, y + b), fill=tuple(dice.randrange(256) for _ in range(3)))
    return image


def pictures():
    if len(sys.argv) == 1:
        yield from (drawn(number) for number in range(COUNT))
        return
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
        try:
            with Image.open(line) as image:
                if min(image.size) >= 200:
                    yield image.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError):
            continue


def main():
    hashes, copies = [], {way: Counter() for way in WAYS}
    for image in pictures():
        own = likeness_of(image)
        if own is None or own in hashes:
            continue
        hashes.append(own)
        for way, make in WAYS.items():
            other = likeness_of(make(image))
            copies[way][128 if other is None else (own ^ other).bit_count()] += 1
    apart = Counter((one ^ other).bit_count() for one, other in combinations(hashes, 2))
    pairs = apart.total()
    print(f"{len(hashes)} pictures, {pairs} pairs of different ones")
    print("distance   " + "  ".join(f"{way:>15}" for way in WAYS) + "   different pairs within")
    for distance in (0, 2, 4, 6, 8, 10, 12, 16, 20):
        shares = [
            sum(n for d, n in counts.items() if d <= distance) / len(hashes) for counts in copies.values()
        ]
        wrong = sum(n for d, n in apart.items() if d <= distance)
        print(
            f"{distance:8}   "
            + "  ".join(f"{share:15.1%}" for share in shares)
            + f"   {wrong} ({wrong / pairs:.1e})"
        )


if __name__ == "__main__":
    main()
