"""Are there images, and are they where the trainer will look?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity
from launcher.plan import parts_of, read_metadata, survey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Part, Plan

FEW_IMAGES = 5  # below that a LoRA learns the pictures themselves
SHOWN = 3
OTHER_PICTURES = frozenset(
    {".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".psd", ".svg", ".jfif"}
)


def check_data(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Every folder that the plan names is there, readable, and has images."""
    parts = parts_of(plan.dataset)
    problems = [problem for part in parts for problem in _unusable(plan, part)]
    yield from problems
    yield from _metadata(plan, parts)
    yield from _doubles(parts)
    if not problems:
        yield from _counts(plan, parts)
        yield from _regularisation(plan, parts)


def _unusable(plan: Plan, part: Part) -> Iterator[Problem]:
    """A folder that is missing, a file, or closed to us."""
    folders = [] if part.metadata else [part.folder.path]
    for folder in [*folders, *([part.masks] if part.masks else [])]:
        reason = _why_unusable(folder)
        if reason:
            what, fix = reason
            yield _error(plan, what, fix=fix, where=folder)
    if not folders or _why_unusable(folders[0]) or not part.folder.error:
        return
    yield _error(
        plan, f"the folder {part.folder.path.name} cannot be read: {part.folder.error}",
        fix="check the folder's permissions", where=part.folder.path,
    )  # fmt: skip


def _why_unusable(folder: Path) -> tuple[str, str] | None:
    try:
        is_folder = folder.is_dir()
        folder.stat()
    except FileNotFoundError:
        return "the folder with images is not there", "check the path; a USB disk may be unplugged"
    except (OSError, ValueError) as error:  # no right to look into the folder above it, a dead network drive
        reason = getattr(error, "strerror", None) or str(error)
        return f"the folder with images cannot be looked at: {reason}", "check its permissions"
    if not is_folder:
        return (
            "this is a file, not a folder",
            "name the folder that the images lie in, or a dataset file (.toml, .json)",
        )
    return None


def _metadata(plan: Plan, parts: tuple[Part, ...]) -> Iterator[Problem]:
    """Metadata files, and the images that they name."""
    for part in parts:
        if part.metadata is None:
            continue
        try:
            entries = read_metadata(part.metadata, part.folder.path, plan.trainer)
        except InputError as error:
            yield Problem(
                severity=Severity.ERROR, what=str(error), why=error.why, fix=error.fix or "check the file; it is JSON in UTF-8",
                where=str(part.metadata),
            )  # fmt: skip
            continue
        missing = [entry.path for entry in entries if not entry.path.is_file()]
        if missing:
            yield Problem(
                severity=Severity.ERROR, what=f"{len(missing)} of {len(entries)} images are not there: {_names(missing)}",
                why="the trainer stops at the first one", fix="put them back, or take them out of the metadata file",
                where=str(part.metadata),
            )  # fmt: skip
        wordless = sum(not entry.has_words for entry in entries)
        if wordless:
            yield Problem(
                severity=Severity.WARNING, what=f"{wordless} of {len(entries)} images have no caption",
                why="without words the LoRA cannot be called by any", fix="write caption or tags for them", where=str(part.metadata),
            )  # fmt: skip


def _doubles(parts: tuple[Part, ...]) -> Iterator[Problem]:
    """The same folder twice in one dataset, and one folder under two names."""
    seen: dict[tuple[int, str], Part] = {}
    real: dict[tuple[int, str], Path] = {}
    for part in parts:
        place = part.metadata or part.folder.path
        key = (part.number, os.path.normcase(place))
        true = (part.number, os.path.normcase(os.path.realpath(place)))
        if key in seen:
            yield Problem(
                severity=Severity.WARNING, what=f"{place.name} stands twice in one dataset",
                why="the trainer takes the first one and drops the second, whatever its repeats are",
                fix="keep one of them; for more weight write a larger num_repeats", where=str(place),
            )  # fmt: skip
        elif true in real:
            yield Problem(
                severity=Severity.WARNING, what=f"{place.name} and {real[true].name} are the same folder", why="one is a link to the other: its images count twice",
                fix="name it once", where=str(place),
            )  # fmt: skip
        seen.setdefault(key, part)
        real.setdefault(true, place)


def _counts(plan: Plan, parts: tuple[Part, ...]) -> Iterator[Problem]:
    train = [part for part in parts if not part.folder.is_reg]
    count = sum(len(_images(plan, part)) for part in train)
    if count == 0:
        yield _nothing(plan)
        return
    for part in train:
        if not _images(plan, part):
            yield Problem(
                severity=Severity.WARNING, what=f"{part.folder.path.name} has no images in it", why="the trainer leaves it out",
                fix="take it out, or put images into it", where=str(part.metadata or part.folder.path),
            )  # fmt: skip
    if count < FEW_IMAGES:
        yield Problem(
            severity=Severity.WARNING, what=f"there are only {count} images",
            why="a LoRA of so few learns the pictures themselves rather than what they have in common",
            fix="15 or more are usual", where=str(plan.data),
        )  # fmt: skip


def _images(plan: Plan, part: Part) -> tuple[object, ...]:
    if part.metadata is None:
        return part.folder.images
    try:
        return read_metadata(part.metadata, part.folder.path, plan.trainer)
    except InputError:  # told above
        return ()


def _nothing(plan: Plan) -> Problem:
    """No images at all: what is there instead says what was meant."""
    why = "images are .png, .jpg, .jpeg, .webp and .bmp files"
    if not plan.data.is_dir():
        return _error(
            plan,
            "none of the folders in the dataset file has images in it",
            why=why,
            fix="check its image_dir lines",
        )
    inside = survey(plan.data).passed_over or _folders_with_images(plan.data)
    others = _other_pictures(plan.data)
    fix = "copy your images into it, or name another folder"
    if inside:
        why = "images are looked for in it and one folder deeper, not where a name begins with _"
        fix = f"name one of the folders inside it: {', '.join(inside[:SHOWN])}"
    elif others:
        why = f"it has {others}: the trainer reads only .png, .jpg, .jpeg, .webp and .bmp"
        fix = "save them again as PNG or JPEG"
    return _error(plan, "the folder has no images in it", why=why, fix=fix)


def _folders_with_images(folder: Path) -> tuple[str, ...]:
    """Folders two steps down; one step down would have been trained on."""
    try:
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
        return tuple(path.name for path in inner if survey(path).image_count)
    except OSError:
        return ()


def _other_pictures(folder: Path) -> str:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in OTHER_PICTURES)
    except OSError:
        return ""
    return ", ".join(names[:SHOWN])


def _regularisation(plan: Plan, parts: tuple[Part, ...]) -> Iterator[Problem]:
    """Regularisation images are there, and not more than can be used."""
    reg = [part for part in parts if part.folder.is_reg]
    for part in reg:
        if not part.folder.images:
            yield Problem(
                severity=Severity.WARNING, what=f"{part.folder.path.name} has no regularisation images in it",
                why="the training goes on without them", fix="put images into it, or leave the folder out", where=str(part.folder.path),
            )  # fmt: skip
    shown = sum(len(_images(plan, part)) * part.repeats for part in parts if not part.folder.is_reg)
    there = sum(len(part.folder.images) * part.repeats for part in reg)
    if there > shown > 0:
        yield Problem(
            severity=Severity.NOTE, what=f"{there - shown} regularisation images are not used",
            why=f"an epoch takes as many of them as it shows training images ({shown})",
            fix="more repeats of the training images would use more of them", where=str(reg[0].folder.path),
        )  # fmt: skip
    if reg and plan.trainer == "rehearsal":
        yield Problem(
            severity=Severity.NOTE, what="the rehearsal trains regularisation images like all others",
            why="it only shows whether everything fits together", where=str(reg[0].folder.path),
        )  # fmt: skip


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths[:SHOWN]) + (" …" if len(paths) > SHOWN else "")


def _error(plan: Plan, what: str, *, fix: str, why: str = "", where: Path | None = None) -> Problem:
    return Problem(severity=Severity.ERROR, what=what, why=why, fix=fix, where=str(where or plan.data))
