"""Can every image be decoded to its last row, and does the trainer see what its owner sees?

What sd-scripts v0.10.1 does with an image is `Image.open(path).convert("RGB")`, or "RGBA" with `alpha_mask`
(`load_image` in `library/train_util.py`): no rotation by EXIF, no background under transparent parts, no colour
profile, only the first picture of an animation, and 16-bit grey is cut at 255, which leaves white.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity
from launcher.pictures import Copies, look_at
from launcher.plan import parts_of, read_metadata
from launcher.preflight.groups import Groups, Kind, safe
from launcher.preflight.image_kinds import ODDITIES, OF_FAULT, SMALL, TINY, TRANSPARENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.pictures import Look
    from launcher.plan import Part, Plan

    Tell = Callable[[int, int], None]

MOST_THREADS = 8  # Pillow decodes outside of Python's lock
SMALL_SHARE = 4  # an image with less than a quarter of the resolution's pixels is blown up, or a poor teacher
SHOWN_GROUPS = 3
SHOWN_COPIES = 4

# All checks have one signature, without room for a progress bar.
_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


@contextmanager
def told_to(tell: Tell) -> Iterator[None]:
    """While the context lasts, `tell` hears how many images are decoded and how many there are."""
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


def check_images(paths: Paths, plan: Plan, machine: Machine) -> Iterator[Problem]:
    """Decode every image, or remember what it was."""
    wants = wants_of(plan)
    groups, copies = Groups(), Copies()
    threads = max(1, min(MOST_THREADS, machine.cores))
    for look in look_at(list(wants), store=paths.picture_store, threads=threads, tell=_TELL.get()):
        for kind, detail in kinds_of(look, wants[look.path]):
            groups.add(kind, look.path, detail)
        copies.add(look)
    yield from groups.problems("image")
    yield from copy_problems(copies)


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """What is asked of an image."""

    pixels: int  # fewer are blown up
    side: int  # at a shorter one the trainer stops
    has_mask: bool = False  # transparent parts are left out of the loss

    def and_also(self, other: Want) -> Want:
        """For an image that stands in two datasets."""
        return Want(
            pixels=min(self.pixels, other.pixels),
            side=max(self.side, other.side),
            has_mask=self.has_mask and other.has_mask,
        )


def kinds_of(look: Look, want: Want) -> Iterator[tuple[Kind, str]]:
    """All that is wrong or odd about one image, each with a detail."""
    if look.fault:
        yield OF_FAULT[look.fault], look.detail
        return
    size = f"{look.width} × {look.height}"
    if min(look.width, look.height) < want.side:
        yield TINY, size
    elif look.pixels < want.pixels:
        yield SMALL, size
    if look.has_alpha and not want.has_mask:
        yield TRANSPARENT, ""
    for kind, is_so, detail in ODDITIES:
        if is_so(look):
            yield kind, detail(look)


def copy_problems(copies: Copies) -> Iterator[Problem]:
    """Images that count twice."""
    same, alike = copies.same_files(), copies.alike()
    if same:
        count = sum(len(group) - 1 for group in same)
        yield Problem(
            severity=Severity.NOTE, what="1 image is a copy of another" if count == 1 else f"{count} images are copies of others",
            why="the same bytes under another name: the trainer shows them more often than the rest", fix="delete the copies, unless you mean it",
            where=_named(same),
        )  # fmt: skip
    if alike:
        count = sum(len(group) for group in alike)
        yield Problem(
            severity=Severity.NOTE, what=f"{count} images show nearly the same as another one",
            why="the same picture scaled or saved again, or pictures of one series: they count more than the rest", fix="look at them, and keep the best of each",
            where=_named(alike),
        )  # fmt: skip


def _named(groups: list[list[Path]]) -> str:
    """`a.png = b.png, c.png = d.png and 7 more, in FOLDER`."""
    shown = [
        " = ".join(safe(path.name) for path in group[:SHOWN_COPIES])
        + (f" = {len(group) - SHOWN_COPIES} more" if len(group) > SHOWN_COPIES else "")
        for group in groups[:SHOWN_GROUPS]
    ]
    more = f" and {len(groups) - SHOWN_GROUPS} more" if len(groups) > SHOWN_GROUPS else ""
    return f"{', '.join(shown)}{more}, in {safe(str(groups[0][0].parent))}"


def wants_of(plan: Plan) -> dict[Path, Want]:
    """Every image once."""
    options = {name: setting.value for name, setting in plan.options.items()}
    general = plan.dataset.get("general", {})
    wants: dict[Path, Want] = {}
    for part in parts_of(plan.dataset):
        dataset = plan.dataset["datasets"][part.number]
        values = {**general, **dataset}
        size = values["resolution"]
        sides = size if isinstance(size, list) else [size]
        is_kept = bool(values.get("enable_bucket") and values.get("bucket_no_upscale"))
        masks = [options, values, *dataset.get("subsets", [])]
        want = Want(
            pixels=int(sides[0]) * int(sides[-1]) // SMALL_SHARE,
            side=int(values.get("bucket_reso_steps", 64)) if is_kept else 1,
            has_mask=any(place.get("alpha_mask") for place in masks),
        )
        for path in _images_of(plan, part):
            wants[path] = wants[path].and_also(want) if path in wants else want
    return wants


def _images_of(plan: Plan, part: Part) -> list[Path]:
    if part.metadata is None:
        return [part.folder.path / name for name in part.folder.images]
    try:
        entries = read_metadata(part.metadata, part.folder.path, plan.trainer)
    except InputError:  # the check of the data tells
        return []
    return [entry.path for entry in entries if entry.path.is_file()]
