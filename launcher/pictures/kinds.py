"""What a file is that is no image: people rename, and browsers save web pages under the names of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BytesIO, FileIO

HEAD_BYTES = 512
TEXT_BYTES = frozenset({*range(32, 256), 9, 10, 13})
BEGINNINGS = {
    b"PK\x03\x04": "a zip archive", b"%PDF": "a PDF", b"8BPS": "a Photoshop file", b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive", b"\x1f\x8b": "a gzip archive", b"%!PS": "a PostScript drawing", b"\xc5\xd0\xd3\xc6": "a PostScript drawing",
    b"\x80\x02": "a Python pickle", b"\x80\x03": "a Python pickle", b"\x80\x04": "a Python pickle", b"\x80\x05": "a Python pickle",
    b"MZ": "a Windows program", b"\x7fELF": "a program", b"gimp xcf": "a GIMP file", b"RIFF": "a sound or a video", b"OggS": "a sound or a video",
    b"\x1aE\xdf\xa3": "a video", b"ID3": "a sound", b"\xff\x0a": "a JPEG XL image", b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image", b"\xff\x4f\xff\x51": "a JPEG 2000 image", b"\0\0\x01\0": "an icon", b"qoif": "a QOI image",
    b"DDS ": "a game texture", b"v/1\x01": "an OpenEXR image", b"#?RADIANCE": "a Radiance image", b"P6": "a PPM image", b"P5": "a PGM image",
}  # fmt: skip
MARKUPS = {b"<!doctype html": "a web page", b"<html": "a web page", b"<svg": "an SVG drawing", b"<?xml": "an SVG drawing"}  # fmt: skip
HEIC_BRANDS = {b"heic", b"heix", b"mif1", b"msf1", b"hevc"}
IMAGES = {
    b"\x89PNG": "a PNG", b"\xff\xd8\xff": "a JPEG", b"GIF8": "a GIF", b"BM": "a BMP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF",
}  # fmt: skip
FTYP = slice(4, 8)  # of HEIC, AVIF and videos
BRAND = slice(8, 12)  # of those, and of RIFF


def head_of(stream: BytesIO | FileIO) -> bytes:
    """The first bytes."""
    stream.seek(0)
    return stream.read(HEAD_BYTES) or b""


def begun_image(head: bytes) -> str:
    """The format that a file begins like, as "a PNG"; "" for others."""
    if head.startswith(b"RIFF") and head[BRAND] == b"WEBP":
        return "a WebP"
    if head[FTYP] == b"ftyp" and head[BRAND] in {b"avif", b"avis"}:
        return "an AVIF"
    return next((kind for begin, kind in IMAGES.items() if head.startswith(begin)), "")


def kind_of(head: bytes) -> str:
    """What the first bytes say, as "it is a zip archive"; "" when they say nothing."""
    if head[FTYP] == b"ftyp":
        is_photo = head[BRAND] in HEIC_BRANDS
        return "it is a HEIC photo: export it as JPEG or PNG" if is_photo else "it is a video"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = next((kind for begin, kind in BEGINNINGS.items() if head.startswith(begin)), "") or next(
        (kind for begin, kind in MARKUPS.items() if text.startswith(begin)), ""
    )
    if kind:
        return f"it is {kind}"
    if not any(head):
        return "it holds only zeros"
    return "it is text" if TEXT_BYTES.issuperset(head) else ""
