"""Pictures of every kind that Pillow tells apart, made by a formula: the same on every computer."""

SIZES = ((100, 80), (448, 448), (447, 449), (900, 500), (13, 700), (1, 1))
MODES = ("RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16")
CHANNELS = {"RGB": 3, "RGBA": 4, "L": 1, "LA": 2, "P": 1, "CMYK": 4, "I;16": 2}


def pictures():
    """Names and pictures."""
    from PIL import Image

    for number, (width, height) in enumerate(SIZES):
        for mode in MODES if number in {0, 3} else ("RGB", "RGBA"):
            if mode == "1":
                image = Image.frombytes("L", (width, height), noise(width * height)).convert("1")
            else:
                image = Image.frombytes(mode, (width, height), noise(width * height * CHANNELS[mode]))
            if mode == "P":
                image.putpalette(noise(768))
                image.info["transparency"] = 7
            yield f"{width}x{height} {mode}", image


def noise(count):
    """Bytes of a small generator (numbers of Numerical Recipes) with smooth stretches between, repeated."""
    return (BLOCK * (count // len(BLOCK) + 1))[:count]


def _block(length):
    value, found = 12345, bytearray(length)
    for place in range(length):
        value = (value * 1664525 + 1013904223) & 0xFFFFFFFF
        found[place] = (value >> 24) if place % 97 < 60 else (place // 7) & 0xFF
    return bytes(found)


BLOCK = _block(10_007)  # a prime: rows of a picture differ


def sample(prepared):
    """Some numbers of a prepared image, as text: the corner, the middle, and a grid over all of it."""
    return [int(number) for number in prepared[::64, ::64].reshape(-1)]
