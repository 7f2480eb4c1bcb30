"""The words for everything that may be wrong or odd about an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Severity
from launcher.pictures import DAMAGED, EMPTY, HUGE, NO_IMAGE, UNREADABLE, UNREADABLE_NAME
from launcher.pictures.limits import LARGE_PIXELS, MEGA, MOST_PIXELS
from launcher.preflight.groups import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.pictures import Look

REPLACE = "put a good copy in its place, or move the file out of the folder"

OF_FAULT = {
    UNREADABLE: Kind(severity=Severity.ERROR, what="not readable", fix="check the file's permissions"),
    UNREADABLE_NAME: Kind(
        severity=Severity.ERROR, what="named in signs that are no text", why="neither the launcher nor the trainer can write down such a name",
        fix="rename the file",
    ),
    EMPTY: Kind(
        severity=Severity.ERROR, what="empty (0 bytes)", why="an interrupted download or a full disk leaves such files", fix=REPLACE
    ),
    NO_IMAGE: Kind(severity=Severity.ERROR, what="not what the name says", fix=REPLACE),
    DAMAGED: Kind(severity=Severity.ERROR, what="damaged", why="the trainer would stop in the middle of the work", fix=REPLACE),
    HUGE: Kind(
        severity=Severity.ERROR, what="too large to decode",
        why=f"more than {MOST_PIXELS // MEGA} megapixels, or a trap that unfolds into gigabytes: the trainer refuses it too",
        fix="scale it down, and save it again",
    ),
}  # fmt: skip

SMALL = Kind(
    severity=Severity.WARNING, what="much smaller than the resolution", why="the LoRA would learn the blur of small pictures",
    fix="use larger ones, or a lower resolution",
)  # fmt: skip
TINY = Kind(
    severity=Severity.ERROR, what="too small for bucket_no_upscale", why="a side is shorter than bucket_reso_steps: the trainer divides by zero",
    fix="take the file out, or switch bucket_no_upscale off",
)  # fmt: skip
TRANSPARENT = Kind(
    severity=Severity.WARNING, what="partly transparent",
    why="the trainer drops the transparency and trains on the colours that lie hidden under it, often black",
    fix="put a background under them, or leave these parts out of the training: --set alpha_mask=true",
)  # fmt: skip
WHITE = Kind(
    severity=Severity.ERROR, what="grey with 16 bits or more", why="the trainer cuts the values at 255: such images become white",
    fix="save them again with 8 bits",
)  # fmt: skip
DEEP = Kind(
    severity=Severity.NOTE, what="stored with 16 bits a channel", why="the trainer uses 8 of them: nothing is wrong, the files are only larger",
    fix="nothing needs to be done",
)  # fmt: skip
LYING = Kind(
    severity=Severity.WARNING, what="stored lying or mirrored", why="viewers turn them as the camera's note (EXIF) says, the trainer does not: it learns them as they lie",
    fix="open them in an image viewer, rotate and save them",
)  # fmt: skip
PRINT = Kind(
    severity=Severity.WARNING, what="in print colours (CMYK)", why="the trainer converts them roughly: the colours come out other than you see them",
    fix="save them again as RGB (sRGB)",
)  # fmt: skip
MOVING = Kind(
    severity=Severity.NOTE, what="animated", why="only the first picture of each is trained", fix="save the pictures that you want as files of their own",
)  # fmt: skip
MISNAMED = Kind(
    severity=Severity.NOTE, what="of another format than the name says", why="the trainer looks at the content: it does no harm, but other programs may stumble",
    fix="rename them when you like",
)  # fmt: skip
MODERN = Kind(
    severity=Severity.WARNING, what="AVIF under another name", why="an older Pillow in the training environment cannot read it", fix="save them again as PNG or JPEG",
)  # fmt: skip
FLAT = Kind(
    severity=Severity.WARNING, what="of one colour", why="there is nothing to learn from, and it teaches to paint nothing", fix=REPLACE
)  # fmt: skip
LARGE = Kind(
    severity=Severity.NOTE, what="very large", why=f"over {LARGE_PIXELS // MEGA} megapixels: the trainer scales each one down every time it reads it; only JPEGs of this size were decoded here",
    fix="scaled down to some thousand pixels they train the same, and faster",
)  # fmt: skip


def _size(look: Look) -> str:
    return f"{look.width} × {look.height}"


def _format(look: Look) -> str:
    return f"{look.format} inside"


def _nothing(_look: Look) -> str:
    return ""


# What the trainer takes without a word: the kind, when it is so, and what to say beside the name.
ODDITIES: tuple[tuple[Kind, Callable[[Look], bool], Callable[[Look], str]], ...] = (
    (WHITE, lambda look: look.is_deep and look.mode.startswith(("I", "F")), _nothing),
    (DEEP, lambda look: look.is_deep and not look.mode.startswith(("I", "F")), _nothing),
    (LYING, lambda look: look.is_rotated, _nothing),
    (PRINT, lambda look: look.is_cmyk, _nothing),
    (MOVING, lambda look: look.is_animated, _nothing),
    (MODERN, lambda look: look.format == "AVIF" and look.has_wrong_ending, _nothing),
    (MISNAMED, lambda look: look.format != "AVIF" and look.has_wrong_ending, _format),
    (FLAT, lambda look: look.is_flat, _nothing),
    (LARGE, lambda look: look.pixels > LARGE_PIXELS, _size),
)
