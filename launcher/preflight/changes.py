"""Is everything still as it was when the run began? Asked before a run goes on; the answer lies in the run's folder.

The inventory has size and time of each image and caption, no contents: reading them again would take as long as
checking them. A file that was only touched counts as changed, and is told of as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from launcher.checkpoint import quick_print
from launcher.errors import InputError, Problem, Severity
from launcher.files import read_json, write_atomic
from launcher.paths import RunPaths
from launcher.plan import parts_of
from launcher.plan.evidence import FACT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Part, Plan

VERSION = 1
MOST_FILES = 200_000  # about 100 bytes each
MOST_BYTES = 64 << 20
SHOWN = 3
Inventory = dict[str, str]  # path: "size time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Files by what happened to them."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    edited: tuple[str, ...]


def write_inventory(run: RunPaths, plan: Plan) -> None:
    """Keep what the dataset is now. Nothing is written for sets so large that nobody would read the list.

    Raises:
        OSError: the disk does not take it.
    """
    images, words = take_inventory(plan)
    if len(images) + len(words) <= MOST_FILES:
        value = {"v": VERSION, "images": images, "captions": words}
        write_atomic(
            run.inventory, json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
        )


def take_inventory(plan: Plan) -> tuple[Inventory, Inventory]:
    """All images, and all captions and metadata files, with size and time; what cannot be looked at is left out."""
    images: Inventory = {}
    words: Inventory = {}
    for part in parts_of(plan.dataset):
        for image, caption in _files(part):
            _note(images, image)
            _note(words, caption)
    return images, words


def _files(part: Part) -> Iterator[tuple[Path | None, Path | None]]:
    if part.metadata is not None:
        yield None, part.metadata
        return
    folder = part.folder
    for image in folder.images:
        caption = folder.caption_of(image, part.caption_extension)
        yield folder.path / image, folder.path / caption if caption else None


def _note(inventory: Inventory, path: Path | None) -> None:
    if path is None:
        return
    try:
        about = path.stat()
    except (OSError, ValueError):
        return
    inventory[str(path)] = f"{about.st_size} {about.st_mtime_ns}"


def check_changes(paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Images and captions are those that the run before was trained on."""
    before = _read(RunPaths(folder=paths.runs / plan.parent)) if plan.parent else None
    if before is None:
        return
    images, words = take_inventory(plan)
    pictures, found = compare(before[0], images), compare(before[1], words)
    yield from _told(pictures, "image", "an epoch is another one now, and its order too")
    found = _without(found, {_stem(path) for path in (*pictures.added, *pictures.removed)})
    yield from _told(
        found, "caption file", "what was learned of the old words and what follows may not agree"
    )


def compare(before: Mapping[str, str], now: Mapping[str, str]) -> Difference:
    """What was added, removed and edited (or only touched)."""
    return Difference(
        added=tuple(path for path in now if path not in before),
        removed=tuple(path for path in before if path not in now),
        edited=tuple(path for path, mark in now.items() if before.get(path, mark) != mark),
    )


def _without(found: Difference, stems: set[str]) -> Difference:
    """Captions that came or went with their image are no news."""
    return replace(
        found,
        added=tuple(path for path in found.added if _stem(path) not in stems),
        removed=tuple(path for path in found.removed if _stem(path) not in stems),
    )


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _told(found: Difference, noun: str, why: str) -> Iterator[Problem]:
    for verb, files in (("added", found.added), ("taken away", found.removed), ("edited", found.edited)):
        if files:
            count = f"1 {noun} was" if len(files) == 1 else f"{len(files)} {noun}s were"
            names = ", ".join(_name(path) for path in files[:SHOWN])
            yield Problem(
                severity=Severity.WARNING, what=f"{count} {verb} since this run began", why=why,
                fix="put them back as they were to go on exactly, or go on with what is there now",
                where=f"{names} and {len(files) - SHOWN} more" if len(files) > SHOWN else names,
            )  # fmt: skip


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _read(run: RunPaths) -> tuple[Inventory, Inventory] | None:
    """What was kept; None for a run without it, or with a damaged one: then nothing can be compared."""
    try:
        value = read_json(run.inventory) if run.inventory.stat().st_size <= MOST_BYTES else None
    except (OSError, InputError):
        return None
    if not isinstance(value, dict) or value.get("v") != VERSION:
        return None
    kept: list[Any] = [value.get("images"), value.get("captions")]
    is_sound = all(
        isinstance(part, dict) and all(isinstance(mark, str) for mark in part.values()) for part in kept
    )
    return (kept[0], kept[1]) if is_sound else None


def check_same_model(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """The base model is the one that the run was begun with, whatever its name."""
    fact = plan.machine.get(FACT)
    if fact is None or plan.model is None:
        return
    try:
        found = quick_print(plan.model)
    except (OSError, ValueError):
        return  # the check of the model tells
    if found != fact.value:
        yield Problem(
            severity=Severity.ERROR, what="the base model is another file than when this run began",
            why="its weights differ: what was learned on the one does not fit the other",
            fix="put the old file back; for the new one start a new run", where=str(plan.model),
        )  # fmt: skip
