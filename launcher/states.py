"""What makes a resumable state trustworthy: written aside, flushed, described by a manifest, renamed, never overwritten.

Standard library only (psutil inside a function): the shim uses this in the training environment, resume in the launcher's.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json, replace, sha256_of, sync_folder, sync_tree, write_json
from launcher.paths import RunPaths
from launcher.process import ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION = 1
MANIFEST = "manifest.json"
TRAIN_STATE = "train_state.json"  # sd-scripts' own name; without it a resume silently starts from step 0
KEPT_STATES = 3
MAX_LINKS = 1000  # runs of one training
RENAME_ATTEMPTS = 100  # 10 s: Windows renames no folder while a scanner reads one of the fresh files in it
MAX_HEADER_BYTES = 100 << 20  # the limit of safetensors itself
STATE_NAME = re.compile(r"step(\d{8,})")
ASIDE_NAME = re.compile(r"\.tmp-(\d+)-(\d+)-.*")


def state_name(step: int) -> str:
    return f"step{step:08d}"


def state_step(folder: Path) -> int | None:
    """The step in a state folder's name; None when it is not the name of a state."""
    match = STATE_NAME.fullmatch(folder.name)
    return int(match[1]) if match else None


def list_states(run: RunPaths) -> list[Path]:
    """Finished state folders of one run, newest first. Complete by construction, but see `verify_state`."""
    try:
        folders = [path for path in run.states.iterdir() if state_step(path) is not None and path.is_dir()]
    except OSError:
        return []
    return sorted(folders, key=lambda path: state_step(path) or 0, reverse=True)


def aside(folder: Path, label: str) -> Path:
    """A name in `folder` to write under before the rename; it tells which process writes there."""
    own = ProcessId.of(os.getpid())
    started_ms = round((own.started if own else 0.0) * 1000)
    return folder / f".tmp-{os.getpid()}-{started_ms}-{label}"


def clear_leftovers(folder: Path) -> list[Path]:
    """Remove what killed writers left aside in `folder`; a living writer's work is not touched.

    Returns what was removed. What cannot be removed now stays for the next time.
    """
    removed = []
    for path in sorted(folder.glob(".tmp-*")):
        match = ASIDE_NAME.fullmatch(path.name)
        writer = ProcessId(pid=int(match[1]), started=int(match[2]) / 1000) if match else None
        if writer and writer.pid > 0 and not writer.is_alive:
            discard(path)
            removed.append(path)
    return removed


def discard(path: Path) -> None:
    """Remove a file or a tree as far as it can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink()
    except OSError:
        return


def train_step(folder: Path) -> tuple[int, int]:
    """Step and 1-based epoch in a state's `train_state.json`.

    Raises:
        InputError: missing, damaged, or not numbers.
    """
    value = read_json(folder / TRAIN_STATE)
    step, epoch = (
        (value.get("current_step"), value.get("current_epoch")) if isinstance(value, dict) else (None, None)
    )
    if not isinstance(step, int) or not isinstance(epoch, int):
        raise InputError(f"{TRAIN_STATE} does not say the step", where=str(folder / TRAIN_STATE))
    return step, epoch


def write_manifest(folder: Path, *, step: int, epoch: int, extra: Mapping[str, object]) -> int:
    """Flush everything in `folder`, then describe it in `manifest.json`; returns the size of all files in bytes."""
    sync_tree(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in names
        if name != MANIFEST
    }
    manifest = {
        "v": VERSION,
        "step": step,
        "epoch": epoch,
        "created": round(time.time(), 3),
        "files": files,
        **extra,
    }
    write_json(folder / MANIFEST, manifest)
    return sum((folder / name).stat().st_size for name in files)


def publish_state(folder: Path, states: Path, *, extra: Mapping[str, object]) -> tuple[Path, int]:
    """Turn a state written aside into `states/step<N>`, durable when this returns; gives its path and bytes.

    An existing state of that step wins and `folder` is removed: nothing finished is ever overwritten.
    """
    step, epoch = train_step(folder)
    size = write_manifest(folder, step=step, epoch=epoch, extra=extra)
    target = states / state_name(step)
    if target.exists():
        discard(folder)
    else:
        replace(folder, target, attempts=RENAME_ATTEMPTS)
        sync_folder(states)
    return target, size


def training_states(run: RunPaths) -> list[Path]:
    """The states of a run and of those that it continues, in the order in which they are worth keeping.

    Newest first; last those that a run wrote behind the state that was gone on from (its loss was no number any more).
    """
    line: list[Path] = []
    abandoned: list[Path] = []
    first = math.inf  # the oldest state of the run that went on
    for one in _links(run):
        found = list_states(one)
        line += [state for state in found if (state_step(state) or 0) < first]
        abandoned += [state for state in found if (state_step(state) or 0) >= first]
        first = min([first, *(state_step(state) or 0 for state in found)])
    return line + abandoned


def _links(run: RunPaths) -> Iterator[RunPaths]:
    """The run and those that it continues, nearest first; ends where a plan cannot be read."""
    seen: set[Path] = set()
    while run.folder not in seen and len(seen) < MAX_LINKS:
        seen.add(run.folder)
        yield run
        try:
            plan = read_json(run.plan)
        except InputError:
            return
        parent = plan.get("parent") if isinstance(plan, dict) else None
        if not isinstance(parent, str) or not parent:
            return
        run = RunPaths(folder=run.folder.parent / Path(parent).name)  # a name, whatever stands in the file


def retire_states(run: RunPaths, *, keep: int = KEPT_STATES, budget: int = 0) -> str | None:
    """Of a training's states remove all but the newest `keep`, and more while they take over `budget` bytes (0: any).

    Those of the runs that this one continues count, and go, too. The newest always stays, and nothing goes unless that
    one verifies; else the reason why not.
    """
    states = training_states(run)
    kept = _within_budget(states[: max(1, keep)], budget)
    if len(states) <= kept:
        return None
    reason = verify_state(states[0])
    if reason:
        return reason
    for old in states[kept:]:
        gone = aside(old.parent, old.name)  # renamed first: a half-removed state never bears a state's name
        try:
            replace(old, gone)
        except OSError:
            if old.parent == run.states:
                raise
            continue  # an older run's folder, closed to us: no reason to keep this one's
        discard(gone)
    return None


def _within_budget(states: list[Path], budget: int) -> int:
    """How many of the newest states fit; one at least."""
    total = 0
    for count, state in enumerate(states):
        total += size_of(state)
        if budget and count and total > budget:
            return count
    return len(states)


def size_of(state: Path) -> int:
    """Bytes of all files of a state."""
    return sum(path.stat().st_size for path in state.rglob("*") if path.is_file())


def verify_state(folder: Path) -> str | None:
    """Why a state cannot be trusted, in words, or None when every byte is as written."""
    try:
        manifest = read_json(folder / MANIFEST)
        return (
            _verify_manifest(manifest)
            or _verify_files(folder, manifest["files"])
            or _verify_step(folder, manifest["step"])
            or _verify_schedule(manifest)
        )
    except InputError as error:
        return error.what
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _verify_manifest(manifest: Any) -> str | None:
    if not isinstance(manifest, dict) or manifest.get("v") != VERSION:
        return f"{MANIFEST} is not one of ours"
    files = manifest.get("files")
    if not isinstance(files, dict) or not isinstance(manifest.get("step"), int):
        return f"{MANIFEST} lacks the step or the files"
    for name, entry in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            return f"{MANIFEST} names a file outside the state: {name}"
        if not isinstance(entry, dict) or {"bytes", "sha256"} - entry.keys():
            return f"{MANIFEST} says nothing of {name}"
    missing = {TRAIN_STATE} - files.keys()
    return f"{MANIFEST} does not list {TRAIN_STATE}" if missing else None


def _verify_files(folder: Path, files: Mapping[str, Any]) -> str | None:
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != entry["bytes"]:
            return f"{name} has {size} of {entry['bytes']} bytes"
    for name, entry in files.items():  # sizes of all files first: they cost nothing
        if sha256_of(folder / name) != entry["sha256"]:
            return f"{name} is not what was written (checksum)"
        if name.endswith(".safetensors") and not _has_safetensors_header(folder / name):
            return f"{name} is not a safetensors file"
    return None


def _verify_step(folder: Path, step: int) -> str | None:
    own, _ = train_step(folder)
    if own != step or state_step(folder) not in {None, step}:
        return f"the steps disagree: {TRAIN_STATE} says {own}, {MANIFEST} {step}, the folder is {folder.name}"
    return None


def _verify_schedule(manifest: Mapping[str, Any]) -> str | None:
    """The schedule goes on by one step for each process (facts/sd-scripts.md 2.3). States of the rehearsal do not say it.

    A loss scaler (fp16) skips steps whose gradients overflow, and the schedule's with them.
    """
    found, processes = manifest.get("scheduler_step"), manifest.get("processes")
    if not isinstance(found, int) or not isinstance(processes, int):
        return None
    expected = manifest["step"] * processes
    if found == expected or (found < expected and "scaler.pt" in manifest["files"]):
        return None
    return f"the learning-rate schedule is at {found}, which is not {manifest['step']} steps of {processes}"


def _has_safetensors_header(path: Path) -> bool:
    """8 bytes length, then JSON whose offsets lie inside the file (https://github.com/huggingface/safetensors#format)."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        room = path.stat().st_size - 8 - length
        if room < 0 or length > MAX_HEADER_BYTES:
            return False
        try:
            header = json.loads(stream.read(length))
            ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return False
    return max(ends, default=0) <= room
