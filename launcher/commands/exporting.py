"""`export`: a run or a preset as a plain script that trains the same without the launcher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError, RunError, UsageError
from launcher.paths import RunPaths, command
from launcher.trainers import DEFAULT_TRAINER

if TYPE_CHECKING:
    import argparse

    from launcher.exporter import Exported
    from launcher.paths import Paths
    from launcher.plan import Plan

RECENT = 12
LANGUAGE_TITLES = {
    "ps1": "PowerShell script (.ps1)",
    "bat": "batch file (.bat)",
    "sh": "bash script (.sh)",
    "accelerate": "one line to paste",
}
NO_DATA = "CHANGE-ME"  # a folder that is not there stands for images that are still to be named


def export(paths: Paths, options: argparse.Namespace) -> int:
    """Write the script, and the dataset file that it may need; nothing that is there is overwritten."""
    from launcher.commands.common import machine_of
    from launcher.exporter import export as make
    from launcher.exporter import write

    what = options.what or _ask(paths, options)
    plan, origin, has_data, notes = plan_of(paths, what, options)
    exported = make(
        paths, plan, options.to or _usual_language(), Path(options.output).expanduser() if options.output else None,
        origin=origin, has_data=has_data, machine=machine_of(paths), notes=notes,
    )  # fmt: skip
    write(exported)
    if options.json:
        from launcher.ui import console

        console.write_json(to_json(exported))
    else:
        from launcher.ui.export_view import show_export

        show_export(exported, typed_again(exported))
    return 0


def _usual_language() -> str:
    import os

    return "ps1" if os.name == "nt" else "sh"


def _ask(paths: Paths, options: argparse.Namespace) -> str:
    """Which run or preset; asked for where somebody can answer."""
    from launcher.ui import prompts

    if options.yes or options.json or not prompts.can_ask():
        raise UsageError("there is nothing to export", fix="name a run or a preset: export RUN")
    from launcher.history import list_runs
    from launcher.preset import Preset, list_presets

    runs = [
        prompts.Choice(value=run.id, title=run.name, hint=f"run {run.id}")
        for run in list_runs(paths, limit=RECENT)
    ]
    presets = [
        prompts.Choice(value=preset.name, title=preset.name, hint=preset.title)
        for preset in list_presets(paths)
        if isinstance(preset, Preset) and preset.trainer != DEFAULT_TRAINER
    ]
    what = prompts.ask_choice("Write which training as a script?", [*runs, *presets], flag="RUN")
    if options.to is None:
        choices = [prompts.Choice(value=name, title=title) for name, title in LANGUAGE_TITLES.items()]
        options.to = prompts.ask_choice("As what?", choices, flag="--to", default=_usual_language())
    return what


def plan_of(paths: Paths, what: str, options: argparse.Namespace) -> tuple[Plan, str, bool, tuple[str, ...]]:
    """The plan, where it is from, whether its images are known, and what to tell. A preset's name comes before a run's.

    Raises:
        InputError: the preset or the run's plan is wrong.
        RunError: it is neither a preset nor a run.
    """
    from launcher.history import find_run
    from launcher.preset import list_presets

    is_file = what.endswith(".toml")
    if is_file or what in {preset.name for preset in list_presets(paths)}:
        return _from_preset(paths, what, options)
    if options.data or options.model or options.settings or options.reg or options.trainer or options.gpus:
        raise UsageError(
            "a run is exported as it is: --model, --data and --set are for presets", fix=f"leave them out, or name a preset instead of {what}"
        )  # fmt: skip
    try:
        record = find_run(paths, what)
    except RunError as error:
        raise RunError(
            f"there is no preset and no run {what!r}", why=error.why, fix=f"{error.fix or ''} `{command('presets')}` lists the presets.".strip(),
        ) from error  # fmt: skip
    return _from_run(paths, record.id, record.folder, options)


def _from_preset(paths: Paths, what: str, options: argparse.Namespace) -> tuple[Plan, str, bool, tuple[str, ...]]:  # fmt: skip
    from launcher.commands.common import machine_of
    from launcher.plan import Request, resolve
    from launcher.preset import AUTOMATIC_TRAINER, load_preset, load_settings
    from launcher.trainers import FULL_TRAINER

    preset = load_preset(paths, what)
    data = tuple(options.data or ())
    has_data = bool(data) or "data" in load_settings(paths).defaults
    trainer = options.trainer or (FULL_TRAINER if preset.trainer == AUTOMATIC_TRAINER else preset.trainer)
    request = Request(
        preset=what, trainer=trainer, model=Path(options.model) if options.model else None,
        data=data or (None if has_data else NO_DATA), reg=tuple(options.reg),
        name=options.name or (None if has_data else preset.name), settings=tuple(options.settings), gpus=options.gpus,
    )  # fmt: skip
    plan = resolve(paths, request, machine_of(paths))
    notes = [f"{name} = {item.value}: {item.source}" for name, item in plan.options.items() if item.source.startswith("this computer")]  # fmt: skip
    return plan, f"preset {preset.name}", has_data, tuple(notes)


def _from_run(
    paths: Paths, run_id: str, folder: Path, options: argparse.Namespace
) -> tuple[Plan, str, bool, tuple[str, ...]]:
    """The whole training of a run, from its beginning, also where it went on with another."""
    from launcher.plan import continue_plan, plan_from_json

    path = RunPaths(folder=folder).plan
    try:
        stored = plan_from_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"the plan of {run_id} cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    plan = continue_plan(paths, stored, parent=run_id, state=None)
    if options.name:
        plan = replace(plan, name=options.name)
    notes = (f"{run_id} went on with {stored.parent}; this is the whole training, from its beginning.",)
    return plan, f"run {run_id}", True, notes if stored.parent else ()


def typed_again(exported: Exported) -> str:
    """The command that makes a preset of the script again."""
    return command("import", str(exported.path))


def to_json(exported: Exported) -> dict[str, object]:
    """What a machine may want to know."""
    script = exported.script
    return {
        "script": str(exported.path),
        "files": [str(path) for path, _ in exported.files],
        "accelerate": list(script.accelerate),
        "words": script.trainer_words,
        "environment": dict(script.env),
        "switches_without_effect": dict(script.marks),
        "lost": list(script.lost),
        "paths": list(exported.paths),
        "secrets_withheld": list(exported.secrets),
    }
