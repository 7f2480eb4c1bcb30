"""When a training environment counts as ready: it has proved itself, and its files are those that were proved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError
from launcher.files import read_json, write_json
from launcher.install.accelerate import config_text
from launcher.paths import venv_python

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.findings import Report
    from launcher.install.pins import Pins, TorchSet
    from launcher.install.steps import Tell
    from launcher.paths import Paths

VERSION = 3
OLDER = 2  # made by 0.1.0, whose environments had no folder of their own; still good
CONFIG_OF_OLDER = config_text("")
MOST_CHANGES = 4  # named one by one; the rest are counted


def marker(paths: Paths, name: str) -> Path:
    return paths.generation(name) / "ready.json"


def pins_file(paths: Paths, name: str) -> Path:
    return paths.pins / f"{name}.toml"


def pins_text(raw: bytes) -> str:
    """What is compared of a pins file: not its line ends, which git changes on Windows."""
    return raw.replace(b"\r\n", b"\n").decode("utf-8", "replace")


def not_ready(paths: Paths, name: str, torch_set: str | None = None) -> str | None:
    """Why the environment cannot be used (for this torch build), or None. Starts nothing, reads a few small files.

    Newer pins do not make it useless: what was proved stays proved. `outdated` tells what they would change.
    """
    return not_proved(paths.generation(name), torch_set)


def not_proved(folder: Path, torch_set: str | None = None) -> str | None:
    """The same for one folder, current or not: why the environment in it cannot be used, or None."""
    try:
        ready = read_json(folder / "ready.json")
    except (InputError, OSError):
        return "it is not installed, or its installation was not finished"
    if not isinstance(ready, dict):
        return "its record is damaged"
    config = ready.get("accelerate_config") if ready.get("v") == VERSION else CONFIG_OF_OLDER
    reasons = {
        "it was made by another version of the launcher": ready.get("v") not in (VERSION, OLDER),
        f"it has the torch build `{ready.get('torch_set')}`": torch_set is not None
        and ready.get("torch_set") != torch_set,
        "its Python is gone": not venv_python(folder / "venv").exists(),
        "its accelerate.yaml is missing or was changed": _read(folder / "accelerate.yaml") != config,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None


def outdated(paths: Paths, name: str) -> str | None:
    """What `update` would change in a proved environment, in words; None: nothing, or nobody can tell."""
    from launcher.install.pins import load_pins

    try:
        ready = read_json(marker(paths, name))
        pins = load_pins(paths, name)
        if not isinstance(ready, dict) or not isinstance(ready.get("versions"), dict):
            return None
        name = str(ready.get("torch_set"))
        if name not in pins.sets:
            return f"the torch build `{name}` is no longer planned for"
        changes = _changes(ready, pins, pins.sets[name])
    except (LauncherError, OSError, ValueError):
        return None
    more = [f"{len(changes) - MOST_CHANGES} more"] if len(changes) > MOST_CHANGES else []
    return ", ".join([*changes[:MOST_CHANGES], *more]) or None


def _changes(ready: Mapping[str, Any], pins: Pins, torch_set: TorchSet) -> list[str]:
    from launcher.install.pins import exact

    changes = []
    commit = pins.source.commit if pins.source else None
    if commit != ready.get("commit"):
        changes.append(f"the trainer's code {str(ready.get('commit'))[:7]} -> {str(commit)[:7]}")
    major, minor = (int(part) for part in str(ready.get("python")).split(".")[:2])
    present = ready["versions"]
    others = dict(map(exact, torch_set.fallback))  # a build that was to be had instead is no change
    for package, version in {
        **dict(map(exact, torch_set.packages)),
        **pins.locked(torch_set.name, (major, minor)),
    }.items():
        found = present.get(package)
        if found is None and ready.get("v") == OLDER:
            continue  # it recorded only what the pins named themselves
        if found not in {version, others.get(package, version)} and not (
            package == "xformers" and found is None
        ):
            changes.append(f"{package} {found or 'not there'} -> {version}")
    return changes


def record(folder: Path, pins: Pins, torch_set: str, engine: str, report: Report) -> None:
    """Write the marker into the environment's folder: from now on it counts as proved."""
    write_json(
        folder / "ready.json",
        {
            "v": VERSION,
            "trainer": pins.name,
            "torch_set": torch_set,
            "pins": pins.text,
            "commit": pins.source.commit if pins.source else None,
            "tree": pins.source.tree if pins.source else None,
            "engine": engine,
            "made": round(time.time(), 3),
            "accelerate_config": _read(folder / "accelerate.yaml"),
            **report.to_json(),
        },
    )


def probe(
    commands: Commands,
    python: Path,
    code: Path | None,
    pins: Pins,
    planned: Mapping[str, str],
    *,
    torch_set: TorchSet,
    attention: str,
    attention_reason: str = "",
    tokenizers: Path | None = None,
    accelerate_config: Path | None = None,
    tell: Tell,
) -> Report:
    """Try inside the environment what training will need.

    Args:
        commands: runs the processes and keeps the log.
        python: of the environment.
        code: folder of the trainer's own code, or None.
        pins: the plan: what to import, and whether the trainer's `--help` belongs to the proof.
        planned: every package and the exact version that it must have.
        torch_set: the build that was installed.
        attention: the wish, `xformers` or `sdpa`.
        attention_reason: why, if it is already known.
        tokenizers: folder of the tokenizers, to try them; None leaves them out.
        accelerate_config: to be tried with a real launch; None leaves it out.
        tell: hears what is being tried.

    Returns:
        What was found. An xformers that does not work is no error: `attention` is then `sdpa`, with the reason.

    Raises:
        ProofError: something that training needs does not work; its `report` has all findings.
        InstallError: the environment does not start at all.
    """
    from launcher.install.proving import Proof

    return Proof(
        commands=commands, python=python, code=code, pins=pins, planned=planned, torch_set=torch_set,
        attention=attention, attention_reason=attention_reason, tokenizers=tokenizers,
        accelerate_config=accelerate_config, tell=tell,
    ).run()  # fmt: skip
