"""Does every image have its caption, and every caption its image? Names alone are looked at."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan.folders import CAPTION_SUFFIXES, FACE_PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.plan import Part

SHOWN = 5
OTHER_SUFFIXES = (*CAPTION_SUFFIXES, ".text", ".tags")
NO_CAPTIONS = frozenset(
    {
        "readme", "license", "licence", "notes", "note", "todo", "info", "log", "tags", "tagcount", "classes", "prompt",
        "prompts", "sample_prompts", "requirements", "changelog", "metadata", "list", "files",
    }
)  # fmt: skip
SIGNS = re.compile(r"[\W_]+")


def check_pairs(part: Part) -> Iterator[Problem]:
    """Images without a caption, captions under another ending or name, captions without an image."""
    folder, suffix = part.folder, part.caption_extension
    missing = [image for image in folder.images if folder.caption_of(image, suffix) is None]
    strays = _strays(part)
    if missing:
        yield from _other_names(part, missing)
        yield _missing(part, missing, strays)
    if strays and folder.images:
        yield _unpaired(part, strays)


def _other_names(part: Part, missing: Sequence[str]) -> Iterator[Problem]:
    """Captions that are there, but not where the trainer looks."""
    suffix, names = part.caption_extension, part.folder.names
    for other in dict.fromkeys((*OTHER_SUFFIXES, suffix.upper())):
        found = [image for image in missing if other != suffix and part.folder.caption_of(image, other)]
        if found:
            yield Problem(
                severity=Severity.WARNING,
                what=f"{_count(len(found), 'caption')} end in {other}, but only {suffix} is read",
                why="the trainer reads one ending in each folder",
                fix=_advice(part, found, other), where=str(part.folder.path),
            )  # fmt: skip
    doubled = [image for image in missing if f"{image}{suffix}" in names]
    if doubled:
        stem = PurePath(doubled[0]).stem
        yield Problem(
            severity=Severity.WARNING, what=f"{_count(len(doubled), 'caption')} have the image's ending in their names: {_names([f'{name}{suffix}' for name in doubled])}",
            why=f"for {doubled[0]} the trainer looks for {stem}{suffix}", fix=f"rename them: {doubled[0]}{suffix} to {stem}{suffix}",
            where=str(part.folder.path),
        )  # fmt: skip


def _advice(part: Part, found: Sequence[str], other: str) -> str:
    """One ending for all: the other one, where nothing has the first."""
    has_none = not any(part.folder.caption_of(image, part.caption_extension) for image in part.folder.images)
    if has_none and len(found) == len(part.folder.images):
        return f"read those: --set caption_extension={other}"
    return f"rename them to {part.caption_extension}"


def _missing(part: Part, missing: Sequence[str], strays: Sequence[str]) -> Problem:
    """Regularisation images usually have no captions but their class word."""
    tokens, suffix, count = part.class_tokens, part.caption_extension, len(part.folder.images)
    which = (
        "none of the images has a caption"
        if len(missing) == count
        else f"{len(missing)} of {count} images have no caption"
    )
    if part.folder.is_reg:
        which = which.replace("images", "regularisation images")
    pair = _near(missing, strays)
    fix = f"write beside photo.png a text file photo{suffix} with what is to be seen"
    if pair:
        fix = f"perhaps {pair[1]} belongs to {pair[0]}: give both the same name"
    elif not tokens:
        fix += ', or give all of them one word: --set dataset.class_tokens="word"'
    some = "" if len(missing) == count else f": {_names(missing)}"
    return Problem(
        severity=Severity.NOTE if tokens else Severity.WARNING,
        what=f"{which}",
        why=(
            f'they are trained as "{tokens}"' if tokens else "without words the LoRA cannot be called by any"
        )
        + some,
        fix=fix,
        where=str(part.folder.path),
    )


def _strays(part: Part) -> list[str]:
    """Caption files that belong to no image."""
    suffix, names = part.caption_extension, part.folder.names
    stems = {os.path.splitext(image)[0] for image in part.folder.images}  # noqa: PTH122  (see `ImageFolder.caption_of`)
    stems |= {"_".join(bits[:-4]) for stem in stems if len(bits := stem.split("_")) >= FACE_PARTS}
    found = (name for name in names if name.endswith(suffix) and name[: -len(suffix)] not in stems)
    return sorted(
        name for name in found
        if not name.startswith(".") and name[: -len(suffix)].casefold() not in NO_CAPTIONS and name[: -len(suffix)] not in names
    )  # fmt: skip


def _unpaired(part: Part, strays: Sequence[str]) -> Problem:
    has = "has" if len(strays) == 1 else "have"
    return Problem(
        severity=Severity.NOTE,
        what=f"{_count(len(strays), 'caption')} {has} no image: {_names(strays)}",
        why="nobody reads them: an image was deleted or renamed, or is of a kind that is not read",
        fix="put the images back, or leave it so",
        where=str(part.folder.path),
    )


def _near(missing: Sequence[str], strays: Sequence[str]) -> tuple[str, str] | None:
    """An image and a caption whose names differ in signs or case only."""
    images = {_plain(image): image for image in missing}
    return next(
        ((images[_plain(stray)], stray) for stray in strays if _plain(stray) and _plain(stray) in images),
        None,
    )


def _plain(name: str) -> str:
    return SIGNS.sub("", PurePath(name).stem.casefold())


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _count(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
