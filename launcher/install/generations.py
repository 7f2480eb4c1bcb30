"""Environments stand side by side: a new one grows in a folder of its own and becomes current when it is proved.

The old one is not touched meanwhile: trainings that run in it go on, and `rollback` is one small write. Nothing is
ever moved (an environment knows its own path), and on Windows nothing that runs has to be replaced.

    vendor/<trainer>/
        current          two lines: the generation that is used, and the one before it
        1/  2/  ...      one generation each: venv/ code/ accelerate.yaml ready.json
        3/growing.json   this one is being made, and from which plan
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError
from launcher.files import read_json, write_atomic, write_json
from launcher.process import find_running_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.paths import Paths

GROWING = "growing.json"
TRASH = ".trash-"
CODE = "code"
FIRST_LAYOUT = (
    "venv",
    "accelerate.yaml",
    "ready.json",
)  # version 0.1.0 had one generation, in the trainer's folder


def begin(paths: Paths, name: str, plan: Mapping[str, Any]) -> str:
    """Number of the generation to build `plan` in: the one that an interrupted installation left, or a new one.

    One that was begun from another plan is removed.
    """
    sweep(paths, name)
    for number in _numbers(paths, name):
        if not _is_growing(paths, name, number):
            continue
        if _plan_of(paths, name, number) == plan:
            return number
        remove(paths.generation(name, number))
    number = str(max(map(int, _numbers(paths, name)), default=0) + 1)
    folder = paths.generation(name, number)
    folder.mkdir(parents=True)
    write_json(folder / GROWING, plan)
    return number


def growing(paths: Paths, name: str) -> str | None:
    """The generation that an interrupted installation left behind, or None."""
    return next((number for number in _numbers(paths, name) if _is_growing(paths, name, number)), None)


def make_current(paths: Paths, name: str, number: str) -> None:
    """Use a proved generation from now on; the one used until now stays as the one before it."""
    before = [other for other in paths.generations(name) if other != number][:1]
    write_atomic(paths.current_note(name), "\n".join([number, *before]) + "\n")
    (paths.generation(name, number) / GROWING).unlink(missing_ok=True)


def before(paths: Paths, name: str) -> str | None:
    """The generation that `rollback` would return to, or None."""
    numbers = paths.generations(name)
    is_there = len(numbers) > 1 and paths.generation(name, numbers[1]).is_dir()
    return numbers[1] if is_there else None


def roll_back(paths: Paths, name: str) -> tuple[str, str]:
    """Use the generation before the current one again; a second time returns.

    Returns:
        The numbers of the one used from now on and of the one used until now.

    Raises:
        InstallError: there is none.
    """
    numbers = paths.generations(name)
    earlier = before(paths, name)
    if earlier is None:
        raise InstallError(
            f"There is no earlier environment of `{name}` to go back to.",
            why="Only the last environment that was replaced is kept.",
        )
    write_atomic(paths.current_note(name), f"{earlier}\n{numbers[0]}\n")
    return earlier, numbers[0]


def prune(paths: Paths, name: str, why_keep: Callable[[Path], str | None]) -> list[str]:
    """Remove what is neither current nor the one before; returns words about what had to stay.

    What still runs stays, and what `why_keep` gives a reason for (code that the user has changed).
    """
    kept = []
    numbers = paths.generations(name)
    for number in _numbers(paths, name):
        if number in numbers or _is_growing(paths, name, number):
            continue
        kept += _remove_unless_used(paths.generation(name, number), why_keep)
    if numbers:  # what version 0.1.0 made in the trainer's own folder
        for part in FIRST_LAYOUT:
            kept += _remove_unless_used(paths.trainer(name) / part, why_keep)
    sweep(paths, name)
    return kept


def sweep(paths: Paths, name: str) -> None:
    """Remove what earlier removals could not (a scanner held a file, or the power went)."""
    for leftover in paths.trainer(name).glob(f"*{TRASH}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder or file so that its name is free at once, whatever interrupts us; earlier leftovers go as well."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()  # what a link leads to is not ours
    elif folder.exists():
        folder.rename(folder.with_name(f"{folder.name}{TRASH}{os.getpid()}"))
    for leftover in folder.parent.glob(f"{folder.name}{TRASH}*"):
        shutil.rmtree(leftover, ignore_errors=True)  # a scanner may hold a file: next time


def strip(folder: Path) -> None:
    """Remove everything of a generation but the trainer's code: gigabytes, and not what the user worked on."""
    for part in folder.iterdir():
        if part.name != CODE:
            remove(part)


def _remove_unless_used(folder: Path, why_keep: Callable[[Path], str | None]) -> list[str]:
    if not folder.exists() and not folder.is_symlink():
        return []
    if find_running_from(folder):
        return [f"{folder} stays: a training still runs from it."]
    reason = why_keep(folder)
    try:
        if reason:
            strip(folder)
            return [f"{folder / CODE} stays: {reason}."]
        remove(folder)
    except OSError as error:  # Windows: in use by something that we do not see
        return [f"{folder} stays: {error.strerror or error}."]
    return []


def _numbers(paths: Paths, name: str) -> list[str]:
    try:
        found = [entry.name for entry in paths.trainer(name).iterdir() if entry.name.isdecimal()]
    except OSError:
        return []
    return sorted(found, key=int)


def _is_growing(paths: Paths, name: str, number: str) -> bool:
    is_marked = (paths.generation(name, number) / GROWING).exists()
    return is_marked and number not in paths.generations(
        name
    )  # killed between the swap and the last clean-up


def _plan_of(paths: Paths, name: str, number: str) -> Any:
    try:
        return read_json(paths.generation(name, number) / GROWING)
    except InputError:
        return None
