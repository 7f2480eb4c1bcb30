"""Images with captions, and prompts, made up: smooth noise, so that files are small and no two are alike."""

import random

WORDS = (
    "river",
    "stone",
    "evening",
    "a tall tree",
    "mist",
    "birds",
    "red roof",
    "snow",
    "a narrow street",
    "lamps",
)
PROMPT = "a river, stone, evening mist --n blurry --w {side} --h {side} --s {steps} --l 5 --d 1\n"


def make_images(folder, *, count, side, seed=1):
    from PIL import Image

    chance = random.Random(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        small = Image.frombytes("RGB", (24, 24), chance.randbytes(24 * 24 * 3))
        small.resize((side, side), Image.Resampling.BICUBIC).save(
            folder / f"pic{number:03}.png", compress_level=1
        )
        words = ", ".join([f"pic{number:03}", *chance.sample(WORDS, 4)])
        (folder / f"pic{number:03}.txt").write_text(words, encoding="utf-8")
    return folder


def make_prompts(file, *, side, steps):
    file.write_text(PROMPT.format(side=side, steps=steps), encoding="utf-8")
    return file
