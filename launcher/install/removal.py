"""Removes exactly what the installer made, and says what it leaves: never a run, a preset, an image or a log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.install.generations import TRASH, remove, strip
from launcher.process import find_running_from

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from launcher.paths import Paths

# Beside the generations (folders named by a number), this is all that is made in a trainer's folder.
MADE = ("venv", "accelerate.yaml", "ready.json", "current", "choice.json", "install.jsonl")
LOCK = "install.lock"  # held while we work


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What went and what stayed."""

    removed: tuple[Path, ...]
    freed_bytes: int
    kept: tuple[str, ...]  # what stays and why, in words


def made_for(paths: Paths, name: str) -> list[Path]:
    """Everything that stands there and was made for one trainer."""
    folder = paths.trainer(name)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if entry.name in MADE or entry.name.isdecimal() or TRASH in entry.name]


def shared(paths: Paths) -> list[Path]:
    """What all trainers share: Pythons, tokenizers, taggers, downloads."""
    return [
        folder
        for folder in (paths.pythons, paths.tokenizers, paths.tagger, paths.cache)
        if folder.exists() or folder.is_symlink()
    ]


def uninstall(
    paths: Paths, names: Sequence[str], *, with_shared: bool, why_keep: Callable[[Path], str | None]
) -> Removal:
    """Remove the environments of some trainers, and what all of them share if wished.

    What a training still runs from stays, and so does what `why_keep` gives a reason for.
    """
    wanted = [path for name in names for path in made_for(paths, name)]
    wanted += shared(paths) if with_shared else []
    removed, kept, freed = [], [], 0
    for path in wanted:
        size = size_of(path)
        try:
            reason = _take_away(path, why_keep)
        except OSError as error:
            reason = error.strerror or str(error)
        if reason is None:
            removed.append(path)
            freed += size
        else:
            kept.append(f"{path} stays: {reason}.")
            freed += size - size_of(path)
    return Removal(removed=tuple(removed), freed_bytes=freed, kept=tuple(kept))


def _take_away(path: Path, why_keep: Callable[[Path], str | None]) -> str | None:
    """Remove it, or say why it stays; of a generation whose code somebody changed only the code stays."""
    if find_running_from(path):
        return "something still runs from it"
    reason = why_keep(path)
    if reason is None:
        remove(path)
    elif path.is_dir():
        strip(path)
    return reason


def close(folder: Path) -> str | None:
    """After the lock was let go: the trainer's folder goes with its last file. What we did not make is named."""
    try:
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        return None
    except OSError:
        ours = {LOCK, *MADE}
        strangers = sorted(
            entry.name for entry in folder.iterdir() if entry.name not in ours and not entry.name.isdecimal()
        )
        if strangers:
            return f"{folder} stays: the launcher did not make {', '.join(strangers)}."
    return None


def size_of(path: Path) -> int:
    """Bytes below `path` that removing it would free; a file with several names (uv links its cache) counts its share."""
    if path.is_symlink():
        return 0
    if path.is_file():
        return path.stat().st_size
    total = 0.0
    for folder, _, files in os.walk(path):
        for file in files:
            try:
                status = os.lstat(os.path.join(folder, file))  # noqa: PTH118  (20,000 Path objects cost seconds)
            except OSError:
                continue
            total += status.st_size / max(1, status.st_nlink)
    return round(total)
