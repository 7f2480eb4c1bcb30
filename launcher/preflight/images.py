"""Can every image really be decoded, to its last row? A trainer finds out after minutes, one image at a time."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity
from launcher.plan import parts_of, read_metadata
from launcher.preflight.groups import Groups, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Part, Plan

MOST_IMAGES = 2000  # some tens of milliseconds each: more would let people wait for minutes
MOST_THREADS = 8  # Pillow decodes outside of Python's lock
MOST_PIXELS = 100_000_000  # 300 MB decoded; the trainers refuse more
NO_SIZE = (0, 0)
SMALL_SHARE = 4  # an image with less than a quarter of the resolution's pixels is blown up, or a poor teacher

# What Pillow's decoders raise on damaged files besides OSError.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)

REPLACE = "put a good copy in its place, or move the file out of the folder"
UNREADABLE = Kind(severity=Severity.ERROR, what="not readable", fix="check the file's permissions")
EMPTY = Kind(
    severity=Severity.ERROR,
    what="empty (0 bytes)",
    why="an interrupted download or a full disk leaves such files",
    fix=REPLACE,
)
NO_IMAGE = Kind(severity=Severity.ERROR, what="not what the name says", fix=REPLACE)
DAMAGED = Kind(
    severity=Severity.ERROR,
    what="damaged",
    why="the trainer would stop in the middle of the work",
    fix=REPLACE,
)
HUGE = Kind(
    severity=Severity.ERROR,
    what="too large to decode",
    why=f"more than {MOST_PIXELS // 1_000_000} megapixels",
    fix="scale it down",
)
SMALL = Kind(
    severity=Severity.WARNING, what="much smaller than the resolution", why="the LoRA would learn the blur of small pictures",
    fix="use larger ones, or a lower resolution",
)  # fmt: skip

TINY = Kind(
    severity=Severity.ERROR, what="too small for bucket_no_upscale", why="a side is shorter than bucket_reso_steps: the trainer divides by zero",
    fix="take the file out, or switch bucket_no_upscale off",
)  # fmt: skip

# How files begin that people rename by accident.
BEGINNINGS = {
    b"PK\x03\x04": "a zip archive", b"%PDF": "a PDF", b"<!DOCTYPE": "a web page", b"<html": "a web page", b"<svg": "an SVG drawing",
    b"<?xml": "an SVG drawing", b"8BPS": "a Photoshop file", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7-Zip archive",
}  # fmt: skip
HEIF_BRANDS = {b"heic", b"heix", b"mif1", b"avif"}


def check_images(_paths: Paths, plan: Plan, machine: Machine) -> Iterator[Problem]:
    """Decode every image (the first 2,000 of them)."""
    floors = _floors(plan)
    paths = list(floors)
    groups = Groups()
    with warnings.catch_warnings(), ThreadPoolExecutor(max(1, min(MOST_THREADS, machine.cores))) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of oddities that do no harm; sizes are judged below
        for path, found in zip(paths[:MOST_IMAGES], pool.map(look, paths[:MOST_IMAGES]), strict=True):
            kind, detail, size = found
            kind = kind or _too_small(size, floors[path])
            if kind:
                groups.add(kind, path, detail)
    yield from groups.problems("image")
    if len(paths) > MOST_IMAGES:
        yield Problem(
            severity=Severity.NOTE, what=f"only the first {MOST_IMAGES} of {len(paths)} images were decoded",
            why="to let you wait no longer", where=str(plan.data),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """How small an image may be."""

    pixels: int  # fewer are blown up
    side: int  # at a shorter one the trainer stops


def _too_small(size: tuple[int, int], floor: Floor) -> Kind | None:
    if min(size) < floor.side:
        return TINY
    return SMALL if size[0] * size[1] < floor.pixels else None


def _floors(plan: Plan) -> dict[Path, Floor]:
    """Every image once."""
    general = plan.dataset.get("general", {})
    floors: dict[Path, Floor] = {}
    for part in parts_of(plan.dataset):
        values = {**general, **plan.dataset["datasets"][part.number]}
        size = values["resolution"]
        sides = size if isinstance(size, list) else [size]
        is_kept = bool(values.get("enable_bucket") and values.get("bucket_no_upscale"))
        floor = Floor(
            pixels=int(sides[0]) * int(sides[-1]) // SMALL_SHARE,
            side=int(values.get("bucket_reso_steps", 64)) if is_kept else 1,
        )
        for path in _images_of(plan, part):
            known = floors.get(path, floor)
            floors[path] = Floor(pixels=min(floor.pixels, known.pixels), side=max(floor.side, known.side))
    return floors


def _images_of(plan: Plan, part: Part) -> list[Path]:
    if part.metadata is None:
        return [part.folder.path / name for name in part.folder.images]
    try:
        entries = read_metadata(part.metadata, part.folder.path, plan.trainer)
    except InputError:  # the check of the data tells
        return []
    return [entry.path for entry in entries if entry.path.is_file()]


def look(path: Path) -> tuple[Kind | None, str, tuple[int, int]]:  # noqa: PLR0911  (one return for each way to be broken)
    """What is wrong with one image (or None), a detail, and its width and height."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0:
            return EMPTY, "", NO_SIZE
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                return HUGE, f"{width} × {height}", NO_SIZE
            image.load()
            return None, f"{width} × {height}", (width, height)
    except UnidentifiedImageError:
        return NO_IMAGE, _true_kind(path), NO_SIZE
    except (Image.DecompressionBombError, MemoryError):
        return HUGE, "", NO_SIZE
    except PermissionError as error:
        return UNREADABLE, error.strerror or "", NO_SIZE
    except DAMAGE as error:
        return DAMAGED, _short(error), NO_SIZE


def _short(error: BaseException) -> str:
    """Pillow's reason without its numbers of bytes; the first line of it."""
    return (str(error).splitlines() or [type(error).__name__])[0][:80]


def _true_kind(path: Path) -> str:
    """What the file really is, where its first bytes tell."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else ""
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return "a HEIC or AVIF photo: export it as JPEG or PNG"
    return next((f"it is {kind}" for begin, kind in BEGINNINGS.items() if head.startswith(begin)), "")
