"""Files in a dataset's folder that are named like images."""

import io
import struct
import zipfile
import zlib
from functools import cache

from PIL import Image, PngImagePlugin

from tests.hostile.case import Case, file_of

SIZE = (900, 800)


def picture(mode="RGB", size=SIZE, **options):
    """The bytes of a sound image of noise."""
    buffer = io.BytesIO()
    noise = Image.effect_noise(size, 60)
    image = Image.merge(mode, [noise] * len(mode)) if mode in {"RGBA", "CMYK"} else noise.convert(mode)
    image.save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


@cache
def sound():
    """A sound image, made once."""
    return picture()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, body=b"", *, depth=8, color=2, more=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def inflating(kind, megabytes):
    """A chunk of some kilobytes that unfolds to that many megabytes."""
    bomb = zlib.compress(bytes(megabytes << 20), 9)
    beginning = {b"zTXt": b"Comment\0\0", b"iCCP": b"icc\0\0", b"iTXt": b"Comment\0\1\0\0\0"}[kind]
    return png(900, 800, bytes(800 * 2701), more=chunk(kind, beginning + bomb))


def many_texts():
    """A hundred texts of a megabyte each, every one below the limit for one."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000), 9))
    return png(900, 800, bytes(800 * 2701), more=text * 100)


def animation(format_, count):
    frames = [Image.new("RGB", (300, 300), ((n * 50) % 256, 9, 9)) for n in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=format_, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(format="JPEG", exif=exif)


def exif_of(raw):
    return picture(format="JPEG", exif=b"Exif\0\0" + raw)


def exif_ring():
    """A directory of tags that names itself as the next one."""
    return exif_of(
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", 1)
        + struct.pack("<HHII", 0x0112, 3, 1, 6)
        + struct.pack("<I", 8)
    )


def tiff_bomb():
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, format="TIFF", compression="group4")
    return buffer.getvalue()


def with_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "\x1b[31mred\x07" * 1000)
    return picture(pnginfo=info)


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(10 << 20))
    return buffer.getvalue()


def scans():
    """A JPEG whose scans come a thousand times."""
    raw = picture(format="JPEG", progressive=True)
    at = raw.index(b"\xff\xda")
    return raw[:at] + raw[at:-2] * 100 + b"\xff\xd9"


def image(name, raw, says, *, file="x.png", severity="error"):
    return Case(name=name, build=file_of(file, raw), says=says, severity=severity)


IMAGES = (
    image("empty", b"", "empty (0 bytes)"),
    image("three bytes", b"abc", "it is text"),
    image("truncated PNG", lambda: picture()[:5000], "damaged"),
    image("truncated JPEG", lambda: picture(format="JPEG")[:9000], "damaged", file="x.jpg"),
    image("truncated WebP", lambda: picture(format="WEBP")[:900], "damaged", file="x.webp"),
    image("the beginning of a PNG alone", b"\x89PNG\r\n\x1a\n", "damaged"),
    image("rows missing", png(600, 500, bytes(1000)), "damaged"),
    image("absurd width", png(2**31 - 1, 1), "too large"),
    image("absurd size", png(100_000, 100_000), "too large"),
    image("no width", png(0, 500), "damaged"),
    image("160 megapixels of nothing", lambda: png(12_600, 12_600, bytes(12_600 * 1576), depth=1, color=0), "very large", severity="note"),
    image("a text that unfolds to 20 MB", lambda: inflating(b"zTXt", 20), "unfolds"),
    image("an international text that unfolds to 20 MB", lambda: inflating(b"iTXt", 20), "unfolds"),
    image("a colour profile that unfolds to 20 MB", lambda: inflating(b"iCCP", 20), "unfolds"),
    image("a hundred texts of a megabyte", many_texts, "unfolds"),
    image("a TIFF bomb named .jpg", tiff_bomb, "too large", file="x.jpg"),
    image("an SVG named .png", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "an SVG drawing"),
    image("a web page named .jpg", b"<!DOCTYPE html><html>" * 9, "a web page", file="x.jpg"),
    image("a zip named .png", zipped, "a zip archive"),
    image("a pickle named .webp", b"\x80\x04cos\nsystem\n.", "a Python pickle", file="x.webp"),
    image("a program named .bmp", b"MZ" + bytes(500), "a Windows program", file="x.bmp"),
    image("a HEIC named .jpg", b"\0\0\0\x18ftypheic" + bytes(500), "a HEIC photo", file="x.jpg"),
    image("PostScript named .png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n", "a PostScript drawing"),
    image("only zeros", bytes(9000), "only zeros"),
    image("a JPEG named .png", lambda: picture(format="JPEG"), "another format", severity="note"),
    image("grey of 16 bits", lambda: picture("I;16"), "16 bits"),
    image("CMYK", lambda: picture("CMYK", format="JPEG"), "CMYK", file="x.jpg", severity="warning"),
    image("transparent", lambda: picture("RGBA"), "transparent", severity="warning"),
    image("an animation", lambda: animation("WEBP", 5), "animated", file="x.webp", severity="note"),
    image("a PNG of 200 frames", lambda: animation("PNG", 200), "animated", severity="note"),
    image("turned by EXIF", turned, "lying or mirrored", file="x.jpg", severity="warning"),
    image("EXIF in a ring", exif_ring, "lying or mirrored", file="x.jpg", severity="warning"),
    image("EXIF of 60 KB of nothing", lambda: exif_of(b"\xff" * 60_000), "", file="x.jpg"),
    image("a JPEG of a thousand scans", scans, "scans", file="x.jpg"),
    image("a text that would draw on the terminal", with_text, ""),
    image("one pixel", lambda: picture(size=(1, 1)), "too small"),
    image("a strip", lambda: picture(size=(6000, 2)), "too small"),
    image("a BMP of -2 billion rows", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 2**32 - 1, 0, 0, 54, 40, 600, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0), "too large", file="x.bmp"),
)  # fmt: skip
