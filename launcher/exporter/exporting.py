"""From a plan to files: the steps of `launcher export`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError, LauncherError
from launcher.exporter.dataset import (
    IMAGES_TO_CHANGE,
    MODEL_TO_CHANGE,
    dataset_text,
    folders_of,
    plain_folder,
)
from launcher.exporter.languages import LANGUAGES
from launcher.exporter.lost import lost, marks
from launcher.exporter.script import Script, about, accelerate_words, environment
from launcher.exporter.words import MODEL, Said, check, said
from launcher.preset.tables import PATH_OPTIONS
from launcher.trainers import FULL_TRAINER, load_trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.exporter.languages import Language
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

LONGEST_COMMAND = {".bat": 8000}  # cmd stops at 8191 characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """The files of a script, not written yet, and what to say about them."""

    script: Script
    path: Path
    files: tuple[tuple[Path, bytes], ...]  # the dataset first: a script without it would be half a training
    paths: tuple[str, ...]  # of this computer, as they stand in it
    secrets: tuple[str, ...]  # options that were left out


def export(
    paths: Paths, plan: Plan, language: str, output: Path | None = None, *, origin: str = "", has_data: bool = True,
    machine: Machine | None = None, notes: Sequence[str] = (),
) -> Exported:  # fmt: skip
    """The files for a plan; nothing is written.

    Args:
        paths: of this installation.
        plan: what is trained; its place within a chain of resumed runs does not matter.
        language: one of `LANGUAGES`.
        output: the script's file, or an existing folder; None: the plan's name in the current folder.
        origin: where the plan is from, in words.
        has_data: false: the images are still to be named by who uses the script.
        machine: this computer, for the forecast of what is lost; None: no numbers.
        notes: what to tell beside that.

    Raises:
        InputError: the plan is a rehearsal's, a value cannot be written in that language, or a file is there already.
    """
    trainer = load_trainer(paths, plan.trainer)
    if not trainer.needs_model:
        raise InputError(
            "a rehearsal trains a small model of the launcher's own: there is no script for that",
            fix=f"export with --trainer {FULL_TRAINER}, or another preset",
        )
    spoken = LANGUAGES[language]
    path = _path(plan, spoken, output)
    options, secrets = said(plan, trainer.options)
    data, files = _data(plan, path, has_data=has_data)
    model = plan.train.get(MODEL, MODEL_TO_CHANGE)
    named = [str(model), *([IMAGES_TO_CHANGE] if not has_data else folders_of(plan))]
    named += [text for one in options if one.name in PATH_OPTIONS for text in one.texts]
    own_marks = [("trainer", plan.trainer)] if plan.trainer != FULL_TRAINER else []
    script = Script(
        about=about(plan, origin or f"preset {plan.preset}", named, notes),
        lost=tuple(lost(paths, plan, machine)),
        marks=(*own_marks, *marks(plan)),
        env=environment(plan, is_windows=spoken.IS_WINDOWS),
        accelerate=accelerate_words(plan),
        model=str(model),
        words=(data, *options),
    )
    _refuse_unfit(script, spoken)
    text = spoken.render(script)
    if len(text) > LONGEST_COMMAND.get(spoken.SUFFIX, len(text)) and _command_length(text) > LONGEST_COMMAND[spoken.SUFFIX]:  # fmt: skip
        raise InputError(
            "the command is longer than cmd can take (8191 characters)", fix="export with --to ps1"
        )
    raw = text.replace("\n", spoken.NEWLINE).encode(spoken.CODEC)
    return Exported(
        script=script, path=path, files=(*files, (path, raw)), paths=tuple(named), secrets=tuple(secrets)
    )


def write(exported: Exported) -> None:
    """Write all files, each new.

    Raises:
        LauncherError: one is there by now, or cannot be written; then none is left behind.
    """
    done: list[Path] = []
    try:
        for path, raw in exported.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as stream:
                done.append(path)
                stream.write(raw)
        if exported.path.suffix == ".sh" and os.name != "nt":
            exported.path.chmod(0o755)
    except OSError as error:
        for path in done:
            path.unlink(missing_ok=True)
        raise LauncherError(
            f"the script cannot be written: {error.strerror or error}", fix="choose another place with -o",
            where=str(error.filename or exported.path),
        ) from error  # fmt: skip


def _path(plan: Plan, language: Language, output: Path | None) -> Path:
    """Where the script goes: a file that is not there yet."""
    folder = Path.cwd() if output is None else output
    is_exact = output is not None and not output.is_dir()
    path = folder if is_exact else folder / f"{plan.name}{language.SUFFIX}"
    check("-o", path.name)
    _refuse_taken(path)
    return path.absolute()


def _refuse_taken(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path.name} is there already", fix="give another name with -o", where=str(path))


def _data(plan: Plan, path: Path, *, has_data: bool) -> tuple[Said, list[tuple[Path, bytes]]]:
    """The option that names the images, and the file that it may need."""
    folder = plain_folder(plan) if has_data else None
    if folder is not None:
        check("train_data_dir", folder.as_posix())
        return Said(name="train_data_dir", texts=(folder.as_posix(),)), []
    file = path.with_name(f"{path.stem}.dataset.toml")
    raw = dataset_text(plan, is_open=not has_data).encode()
    is_same = file.is_file() and file.read_bytes() == raw  # of the same training in another language
    if not is_same:
        _refuse_taken(file)
    return Said(name="dataset_config", texts=(f"./{file.name}",)), [] if is_same else [(file, raw)]


def _refuse_unfit(script: Script, language: Language) -> None:
    for name, text in script.all_texts:
        check(name, text)
        why = language.why_not(text)
        if why:
            raise InputError(
                f"{name}: this value cannot stand in a {language.SUFFIX} file: {text[:80]}", why=why,
                fix="export with --to sh, which takes every text, or change the value",
            )  # fmt: skip


def _command_length(text: str) -> int:
    """Of the longest command, its continued lines joined."""
    return max(len(command) for command in text.replace("^\n", "").split("\n"))
