"""`check FILE`: what a model file is, and whether a LoRA can be trained on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import exit_code_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from launcher.paths import Paths
    from launcher.preflight.describe import ModelFile

SUFFIXES = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf"})


def is_model_file(words: Sequence[str]) -> bool:
    """Whether what is to be checked is one model file rather than a dataset."""
    return len(words) == 1 and Path(words[0]).suffix.lower() in SUFFIXES and not Path(words[0]).is_dir()


def check_model_file(paths: Paths, options: argparse.Namespace) -> int:
    """Describe the file; with --hash also its SHA-256. The exit code is about training on it."""
    from launcher.ui import console

    found = look(paths, Path(options.folder[0]).absolute(), with_hash=options.hash, is_quiet=options.json)
    code = exit_code_of(found.problems, force=options.force)
    if options.json:
        console.write_json({**found.as_json, "exit_code": code})
    else:
        show(found)
    return code


def from_menu(paths: Paths) -> bool:
    """Ask for the file, show what it is. False: the person went back."""
    from launcher.ui import prompts

    try:
        path = prompts.ask_path("Model file", flag="FILE", kind="file", suffixes=tuple(SUFFIXES))
    except prompts.Back:
        return False
    show(look(paths, path.absolute()))
    return True


def look(paths: Paths, path: Path, *, with_hash: bool = False, is_quiet: bool = False) -> ModelFile:
    """Describe a file; the SHA-256 of all of it only when it is wanted or known."""
    from launcher.checkpoint import full_hash
    from launcher.preflight.describe import describe_model
    from launcher.ui.counting import counting

    found = describe_model(paths, path)
    if with_hash and found.kind and not found.sha256:
        with counting("Computing the SHA-256", is_quiet=is_quiet) as tell:
            return replace(found, sha256=full_hash(paths, path, tell))
    return found


def show(found: ModelFile) -> None:
    """On the screen."""
    from launcher.ui import console
    from launcher.ui.model_view import model_view

    console.show(model_view(found, console.signs()))
