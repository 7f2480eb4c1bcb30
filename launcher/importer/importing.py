"""From a file to what it means, and from there to presets: the steps of `launcher import`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.errors import InputError, LauncherError
from launcher.importer.advice import advise
from launcher.importer.classify import kind_of, trainings
from launcher.importer.config_file import config_path, read_config, unread_note
from launcher.importer.formats import READERS, read
from launcher.importer.launch import Note
from launcher.importer.nearest import nearest
from launcher.importer.outcome import Import
from launcher.importer.remarks import read_remarks
from launcher.importer.source import read_source
from launcher.importer.translate import translate
from launcher.importer.write import file_names, preset_text, queue_text, train_words, write_new
from launcher.preset import load_preset
from launcher.trainers import load_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from launcher.errors import Problem
    from launcher.importer.launch import Launch, Word
    from launcher.importer.nearest import Difference
    from launcher.importer.outcome import Outcome
    from launcher.importer.source import Source
    from launcher.machine import Machine
    from launcher.paths import Paths


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A preset for one training: where it goes, its text, what it extends, and how to train with it."""

    outcome: Outcome
    path: Path
    text: str
    difference: Difference
    train: tuple[str, ...]


def understand(
    paths: Paths,
    path: Path,
    machine: Machine | None = None,
    *,
    follow: Callable[[str], bool] = lambda _: False,
    beside: Sequence[Path] = (),
) -> Import:
    """Read one file.

    Args:
        paths: of this installation.
        path: the file.
        machine: this computer, for the advice; None: none that depends on it.
        follow: asked once for each TOML file of settings that the script names; true reads it.
        beside: the other files that were named with it: settings of sd-scripts may lack only the images.

    Raises:
        InputError: it cannot be read, or is no LoRA training for SDXL (says what it is).
    """
    source = replace(_load(path), beside=tuple(beside))
    table = load_options(paths)
    reading = read(source, table)
    launches = trainings(source, reading)
    notes = list(reading.notes)
    outcomes = []
    for launch in launches:
        words = _config(launch, path.parent, follow, notes)
        outcome = translate(launch, source, table, words)
        read_remarks(outcome, source)
        outcomes.append(outcome)
    for number, outcome in enumerate(outcomes):
        advise(outcome, outcomes[:number], machine)
    others = [f"line {launch.line}: {kind}" for launch in reading.launches if (kind := kind_of(launch))]
    return Import(
        source=source, format=reading.format, outcomes=tuple(outcomes), others=tuple(dict.fromkeys(others)),
        notes=tuple(notes), unreadable=reading.unreadable,
    )  # fmt: skip


def _load(path: Path) -> Source:
    if path.suffix.lower() in READERS:
        return read_source(path)
    from launcher.importer.tools import load  # and with it all readers of settings

    return load(path)


def _config(launch: Launch, folder: Path, follow: Callable[[str], bool], notes: list[Note]) -> list[Word]:
    path = config_path(launch, folder)
    if path is None:
        return []
    if not follow(path):
        notes.append(unread_note(path, launch))
        return []
    try:
        return read_config(path)
    except InputError as error:
        notes.append(Note(line=launch.line, text=f"--config_file: {error.what}"))
        return []


def make(
    paths: Paths, found: Import, output: Path | None = None, taken: set[Path] | None = None
) -> list[Made]:
    """The presets for all trainings of a file; nothing is written yet.

    Raises:
        InputError: the file that was asked for is there already.
        LauncherError: there is no shipped preset to extend.
    """
    table = load_options(paths)
    made = []
    names = file_names(paths, found, output, set() if taken is None else taken)
    for outcome, path in zip(found.outcomes, names, strict=True):
        difference = nearest(paths, outcome.options, table, outcome.launch.says)
        if difference is None:
            raise LauncherError("there is no shipped preset to extend", fix="restore the folder presets/")
        name = path.stem if path.parent == paths.user_presets else str(path)
        text = preset_text(found, outcome, difference, name)
        made.append(
            Made(
                outcome=outcome,
                path=path,
                text=text,
                difference=difference,
                train=tuple(train_words(outcome, name)),
            )
        )
    return made


def write(paths: Paths, made: list[Made], label: str) -> tuple[list[Problem], Path | None]:
    """Write presets, and for more than one the list of their commands. Returns what each preset still has wrong.

    Raises:
        LauncherError: a file cannot be written.
    """
    problems: list[Problem] = []
    for one in made:
        write_new(one.path, one.text)
        try:
            load_preset(paths, one.path)
        except InputError as error:
            problems += error.problems
    if len(made) < 2:
        return problems, None
    queue = made[0].path.with_name(f"{made[0].path.stem}.queue.txt")
    write_new(queue, queue_text([one.train for one in made], label))
    return problems, queue
