"""What is known of one image file after it was decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Kinds of fault: why a file could not be decoded to its end. "" is an image that could.
UNREADABLE = "unreadable"  # no right to read it, or a drive that fails
UNREADABLE_NAME = "unreadable-name"  # its name is not text (bytes that are no UTF-8)
EMPTY = "empty"  # 0 bytes
NO_IMAGE = "no-image"  # another kind of file under an image's name
DAMAGED = "damaged"  # begins like an image; its end or a part is missing or broken
HUGE = "huge"  # too many pixels, or a trap that unfolds into gigabytes
FAULTS = (UNREADABLE, UNREADABLE_NAME, EMPTY, NO_IMAGE, DAMAGED, HUGE)

# Pillow's names of the formats, and the endings that a file of that format may have.
ENDINGS = {
    "JPEG": {".jpg", ".jpeg", ".jfif", ".jpe"}, "MPO": {".jpg", ".jpeg", ".mpo"}, "PNG": {".png", ".apng"}, "WEBP": {".webp"},
    "BMP": {".bmp", ".dib"}, "DIB": {".bmp", ".dib"}, "GIF": {".gif"}, "TIFF": {".tif", ".tiff"}, "AVIF": {".avif"},
}  # fmt: skip
MOST_BITS = 8  # a channel; the trainers train on 8
CMYK_MODES = {"CMYK", "YCCK"}
FIRST_TURNED = 5  # EXIF orientations from here on exchange width and height
UPRIGHT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One image file. A file with a `fault` has a size of 0 x 0 where not even its header could be read."""

    path: Path
    file_size: int  # bytes
    format: str = ""  # Pillow's name, by the content: "PNG", "JPEG", ...; "" where it is no image
    width: int = 0  # pixels, as a viewer shows it: after the rotation that EXIF asks for
    height: int = 0
    mode: str = ""  # Pillow's, as stored: "RGB", "RGBA", "CMYK", "P", "I;16", ...
    bits: int = 0  # of a channel, as stored
    frames: int = 0  # 1 for a still image
    orientation: int = UPRIGHT  # EXIF, 1 to 8; 1 is upright
    has_alpha: bool = False  # there are pixels that really are transparent, not only a channel for them
    is_flat: bool = False  # all of one colour, or so nearly that nothing can be recognised
    fault: str = ""  # one of FAULTS
    detail: str = ""  # words beside the fault: "it is a zip archive"
    digest: str = ""  # BLAKE2b-128 of the file's bytes as hexadecimal text
    likeness: int | None = None  # dHash, 128 bits; None for faults and flat images, which would all be alike

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height as they lie in the file: what sd-scripts trains on, because it does not rotate."""
        is_turned = self.orientation >= FIRST_TURNED
        return (self.height, self.width) if is_turned else (self.width, self.height)

    @property
    def is_cmyk(self) -> bool:
        return self.mode in CMYK_MODES

    @property
    def is_animated(self) -> bool:
        return self.frames > 1

    @property
    def is_rotated(self) -> bool:
        return self.orientation != UPRIGHT

    @property
    def is_deep(self) -> bool:
        """More than 8 bits a channel."""
        return self.bits > MOST_BITS

    @property
    def has_wrong_ending(self) -> bool:
        """Named like another format than it is."""
        return bool(self.format) and self.path.suffix.lower() not in ENDINGS.get(self.format, ())
