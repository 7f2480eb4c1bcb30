"""Whose settings a file is, by its content."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, LauncherError
from launcher.importer.source import Source, read_source
from launcher.importer.tools.gathering import refuse
from launcher.importer.tools.kohya_gui import is_kohya_gui, read_kohya_gui
from launcher.importer.tools.loading import load_json, load_toml, why_no_toml
from launcher.importer.tools.lora_easy import is_lora_easy, read_lora_easy
from launcher.importer.tools.lora_file import is_safetensors, read_lora
from launcher.importer.tools.onetrainer import is_onetrainer, read_onetrainer
from launcher.importer.tools.sd_scripts import is_config, is_dataset, read_config_toml, read_dataset_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.importer.launch import Reading
    from launcher.importer.tools.loading import Tree
    from launcher.trainers import Option

SUFFIXES = (".json", ".toml", ".safetensors")  # of files that are worth a look in a folder
WEIGHTS = "safetensors"  # what `Source.encoding` says of a file that is no text
HEAD = 16
MOST_BESIDE = 50


def load(path: Path) -> Source:
    """A file to be imported: its text, or for a safetensors file no text.

    Raises:
        InputError: it is missing, no regular file, too large, or no text.
    """
    return (
        Source(path=path, text="", encoding=WEIGHTS, sha256="") if _has_weights(path) else read_source(path)
    )


def _has_weights(path: Path) -> bool:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return False
        with path.open("rb") as stream:
            return is_safetensors(stream.read(HEAD), about.st_size)
    except (OSError, ValueError):
        return False


def read_tool(source: Source, table: Mapping[str, Option]) -> Reading | None:
    """The settings in a file; None: it is no settings file of a tool (perhaps a script).

    Raises:
        InputError: it is one, and cannot be imported (says what it is).
    """
    if source.encoding == WEIGHTS:
        return read_lora(source, table)
    tree = load_json(source)
    if tree is not None:
        return _read_json(source, tree, table)
    if _may_be_toml(source):
        tree = load_toml(source)
        if tree is not None:
            return _read_toml(source, tree, table)
    _refuse_broken(source)
    return None


def _read_json(source: Source, tree: Tree, table: Mapping[str, Option]) -> Reading:
    tables = tree.tables
    if is_onetrainer(tables):
        return read_onetrainer(source, tree)
    if is_lora_easy(tables):
        return read_lora_easy(source, tree, table)
    if is_dataset(tables):
        return read_dataset_toml(source, tree, table)
    if is_kohya_gui(tables):
        return read_kohya_gui(source, tree, table)
    raise refuse(source, _other_json(tables))


def _other_json(tables: Mapping[str, Any]) -> str:
    if "class_type" in str(next(iter(tables.values()), ""))[:200] or {"nodes", "links"} <= tables.keys():
        return "a ComfyUI workflow"
    if {"job", "config"} <= tables.keys():
        return "a job of ai-toolkit"
    if {"_class_name", "_diffusers_version"} & tables.keys():
        return "a part of a diffusers model"
    return "JSON of a tool that is not known here"


def _read_toml(source: Source, tree: Tree, table: Mapping[str, Option]) -> Reading | None:
    tables = tree.tables
    if is_lora_easy(tables):
        return read_lora_easy(source, tree, table)
    if is_dataset(tables):
        return read_dataset_toml(source, tree, table)
    if isinstance(tables.get("preset"), dict):
        raise refuse(source, "a preset of this launcher", "it can be used as it is: `train FILE`")
    if isinstance(tables.get("options"), dict):
        raise refuse(source, "a preset of this launcher, or a part of one")
    if "model" in tables and "adapter" in tables:
        raise refuse(source, "settings of diffusion-pipe")
    if is_config(tables, table):
        return read_config_toml(source, tree, table, _dataset_beside(source))
    if source.path.suffix.lower() == ".toml":
        raise refuse(source, "TOML of a tool that is not known here")
    return None


def _may_be_toml(source: Source) -> bool:
    """A script is never read as TOML only because its first lines look like it."""
    return source.path.suffix.lower() not in {".ps1", ".bat", ".cmd", ".sh"}


def _dataset_beside(source: Source) -> Path | None:
    """The only dataset file among those that were given together with this one."""
    found = []
    for path in source.beside[:MOST_BESIDE]:
        if path.suffix.lower() == ".toml" and path != source.path:
            try:
                tree = load_toml(read_source(path))
            except LauncherError:
                continue
            if tree is not None and is_dataset(tree.tables):
                found.append(path)
    return found[0] if len(found) == 1 else None


def _refuse_broken(source: Source) -> None:
    """A file that is named as one of ours, and cannot be parsed."""
    suffix = source.path.suffix.lower()
    if suffix == ".toml":
        raise InputError(f"{source.label} is not TOML: {why_no_toml(source)[:200]}", fix="look for a missing quote or bracket", where=str(source.path))  # fmt: skip
    if suffix == ".json":
        raise InputError(f"{source.label} is not a JSON object", fix="look for a missing quote, bracket or comma", where=str(source.path))  # fmt: skip
    if suffix == ".safetensors":
        raise InputError(f"{source.label} is not a safetensors file", fix="take a whole .safetensors file", where=str(source.path))  # fmt: skip


def may_be_settings(path: Path, table: Mapping[str, Option]) -> bool:
    """Whether a file of a folder is worth a line in its list: a LoRA, or settings of a training, importable or not."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        source = replace(load(path), beside=())
        if source.encoding == WEIGHTS:
            return True
        tree = load_json(source) or load_toml(source)
    except LauncherError:
        return False
    if tree is None:
        return False
    tables = tree.tables
    return is_onetrainer(tables) or is_kohya_gui(tables) or is_lora_easy(tables) or is_dataset(tables) or is_config(tables, table)  # fmt: skip
