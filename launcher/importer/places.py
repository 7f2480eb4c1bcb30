"""Paths of a script: where they start, and whether they are here. Paths of Windows are known as such on every system."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from launcher.importer.outcome import MissingPath
from launcher.preset.tables import PATH_OPTIONS

if TYPE_CHECKING:
    from launcher.importer.launch import Launch
    from launcher.importer.outcome import Outcome
    from launcher.importer.words import Given

NETWORK = re.compile(r"[\\/]{2}")
FOLDERS = frozenset({"train_data_dir", "reg_data_dir"})
REPEATS = re.compile(r"=\d{1,4}\Z")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")  # `stabilityai/stable-diffusion-xl-base-1.0`


def is_whole(text: str) -> bool:
    """Whether a path stands for itself on some system (with a drive, a root, or a home)."""
    return (
        PureWindowsPath(text).is_absolute()
        or PurePosixPath(text).is_absolute()
        or text.startswith("~")
        or text[:1] == "\\"
    )


def at_work(text: str, launch: Launch, folder: Path, *, is_model: bool = False) -> str:
    """A path as it would have been found: from the working folder that the script set, else from the script's own."""
    if is_whole(text) or (is_model and _is_hub_name(text, folder)):
        return text
    plain = re.sub(r"^(?:\.[\\/])+", "", text)
    work = launch.folder
    if work is not None and is_whole(work):
        sign = "\\" if "\\" in work or PureWindowsPath(work).drive else "/"
        return f"{work.rstrip(chr(92) + '/')}{sign}{plain}"
    base = folder / work.replace("\\", "/") if work else folder
    return str(base / plain.replace("\\", "/"))


def _is_hub_name(text: str, folder: Path) -> bool:
    return bool(HUB_NAME.fullmatch(text)) and not text.startswith(".") and not (folder / text).exists()


def look_for(outcome: Outcome, folder: Path) -> None:
    """List the paths that are not on this computer. Network paths are not looked for: asking would tell a server who asks."""
    found = [item for item in (outcome.model, outcome.data, outcome.reg, *outcome.more) if item is not None]
    found += [outcome.options[name] for name in sorted(PATH_OPTIONS & outcome.options.keys())]
    for given in found:
        for value in given.value if isinstance(given.value, list) else [given.value]:
            text = str(value) if isinstance(given.value, list) else without_repeats(given)
            _look(outcome, given.name, text, given.line, folder)


def without_repeats(given: Given) -> str:
    """`DIR` of a folder that is named as `DIR=10`; any other value as it is."""
    text = str(given.value)
    return REPEATS.sub("", text) if given.name in FOLDERS else text


def _look(outcome: Outcome, name: str, text: str, line: int, folder: Path) -> None:
    if not text:
        return
    if NETWORK.match(text):
        note = "a network path: it was not looked for"
    elif name == "pretrained_model_name_or_path" and _is_hub_name(text, folder):
        note = "a name on a model hub: training runs offline, so the file has to be on this computer"
    elif _exists(text, folder):
        return
    else:
        note = ""
    outcome.missing.append(MissingPath(name=name, path=text[:300], line=line, note=note))


def _exists(text: str, folder: Path) -> bool:
    try:
        return (folder / Path(text).expanduser()).exists()
    except (OSError, ValueError, RuntimeError):
        return False
