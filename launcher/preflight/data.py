"""Are there images, and are they where the trainer will look?"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan import survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan, Survey

FEW_IMAGES = 5  # below that a LoRA learns the pictures themselves


def check_data(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """The data folder is there, readable, and has images."""
    try:
        is_folder = stat.S_ISDIR(plan.data.stat().st_mode)
    except FileNotFoundError:
        yield _error(
            plan, "the folder with images is not there", fix="check the path; a USB disk may be unplugged"
        )
        return
    except (OSError, ValueError) as error:  # no right to look into the folder above it, a dead network drive
        reason = getattr(error, "strerror", None) or str(error)
        yield _error(
            plan, f"the folder with images cannot be looked at: {reason}", fix="check its permissions"
        )
        return
    if not is_folder:
        yield _error(plan, "--data names a file, not a folder", fix="name the folder that the images lie in")
        return
    found = survey(plan.data)
    for folder in found.folders:
        if folder.error:
            yield _error(
                plan,
                f"the folder {folder.path.name} cannot be read: {folder.error}",
                fix="check the folder's permissions",
            )
    if not any(folder.error for folder in found.folders):
        yield from _count(plan, found)


def _count(plan: Plan, found: Survey) -> Iterator[Problem]:
    if found.image_count == 0:
        inside = ", ".join(found.passed_over[:3])
        yield _error(
            plan, "the folder has no images in it", why="images are .png, .jpg, .jpeg, .webp and .bmp files; folders inside are not searched",
            fix=f"name one of the folders inside it: {inside}" if inside else "copy your images into it, or name another folder",
        )  # fmt: skip
    elif found.image_count < FEW_IMAGES:
        yield Problem(
            severity=Severity.WARNING, what=f"there are only {found.image_count} images",
            why="a LoRA of so few learns the pictures themselves rather than what they have in common",
            fix="15 or more are usual", where=str(plan.data),
        )  # fmt: skip


def _error(plan: Plan, what: str, *, fix: str, why: str = "") -> Problem:
    return Problem(severity=Severity.ERROR, what=what, why=why, fix=fix, where=str(plan.data))
