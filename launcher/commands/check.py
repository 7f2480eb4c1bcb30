"""`check`: a dataset looked at from all sides, without a model or a training environment."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.errors import UsageError, exit_code_of
from launcher.paths import command

if TYPE_CHECKING:
    import argparse

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Request
    from launcher.preflight.dataset import DatasetReport

FIRST = "style-8gb"  # where no card says which
TITLES = {"captions": "Reading the captions", "images": "Looking at the images"}


def check(paths: Paths, options: argparse.Namespace) -> int:
    """Check a dataset (or one model file) and show what was found; the exit code follows the worst of it."""
    from launcher.commands.model import check_model_file, is_model_file

    if is_model_file(options.folder):
        return check_model_file(paths, options)
    machine = common.machine_of(paths)
    report = look(paths, request_of(paths, options, machine), machine, is_quiet=options.json)
    code = exit_code_of(report.problems, force=options.force)
    page = None
    if options.html or options.open:
        named = Path(options.html).absolute() if options.html else None
        page = write_page(paths, report, named, is_quiet=options.json)
    show(report, code, page, is_json=options.json, words=_words(options))
    if page and options.open:
        webbrowser.open(page.as_uri())
    return code


def request_of(paths: Paths, options: argparse.Namespace, machine: Machine) -> Request:
    """How the dataset would be trained: by the preset that is named, else by the one that fits this card."""
    from launcher.plan import Request
    from launcher.preset import load_settings

    data = (*options.folder, *(options.data or ()))
    if not data and "data" not in load_settings(paths).defaults:
        data = (str(_ask(options)),)
    preset = options.preset or proposed(paths, machine)
    trainer = options.trainer or trainer_of(paths, preset)
    return Request(
        preset=preset, trainer=trainer, data=data or None, reg=tuple(options.reg), settings=tuple(options.settings)
    )  # fmt: skip


def _ask(options: argparse.Namespace) -> Path:
    from launcher.ui import prompts

    if options.yes or options.json or not prompts.can_ask():
        raise UsageError("There is nothing to check", fix=f"name the folder with your images: {command('check', 'DIR')}")  # fmt: skip
    return prompts.ask_path("Folder with your images", flag="DIR", kind="folder")


def proposed(paths: Paths, machine: Machine) -> str:
    """The preset for this card."""
    from launcher.plan import propose
    from launcher.preset import Preset, list_presets

    if machine.gpu is None:
        return FIRST
    proposal = propose([entry for entry in list_presets(paths) if isinstance(entry, Preset)], machine)
    return proposal.preset if proposal else FIRST


def trainer_of(paths: Paths, preset: str) -> str:
    """What would train it where everything is installed: the preset's own trainer, else sd-scripts."""
    from launcher.preset import load_preset
    from launcher.trainers import FULL_TRAINER, TRAINERS

    named = load_preset(paths, preset).trainer
    return named if named in TRAINERS else FULL_TRAINER


def from_menu(paths: Paths) -> bool:
    """Ask for folder and preset, show what was found, and the pictures to who wants them. False: the person went back."""
    from launcher.commands.guide import ask_for_preset, last_answers, remember
    from launcher.plan import Request
    from launcher.ui import console, prompts
    from launcher.ui.dataset_view import dataset_view

    last = last_answers(paths)
    machine = common.machine_of(paths)
    try:
        data = prompts.ask_path("Folder with your images", flag="DIR", kind="folder", default=last.get("data"))  # fmt: skip
        preset = ask_for_preset(paths, last.get("preset"), machine)
    except prompts.Back:
        return False
    remember(paths, data=str(data), preset=preset.name)
    request = Request(preset=preset.name, trainer=trainer_of(paths, preset.name), data=data)
    report = look(paths, request, machine)
    console.show(dataset_view(report, console.signs()))
    try:
        if report.entries and prompts.confirm("Look at the pictures in the browser?", flag="--open"):
            webbrowser.open(write_page(paths, report).as_uri())
    except prompts.Back:
        pass
    return True


def look(paths: Paths, request: Request, machine: Machine, *, is_quiet: bool = False) -> DatasetReport:
    """Examine the dataset of a request, with a bar where it takes long; what has not changed is remembered."""
    from launcher.preflight.remembered import check_again
    from launcher.ui.counting import counting

    with (
        counting(TITLES["captions"], is_quiet=is_quiet) as read,
        counting(TITLES["images"], is_quiet=is_quiet) as looked,
    ):
        tells = {"captions": read, "images": looked}
        return check_again(paths, request, machine, lambda what, done, total: tells[what](done, total))


def write_page(
    paths: Paths, report: DatasetReport, file: Path | None = None, *, is_quiet: bool = False
) -> Path:
    """Write the contact sheet, to a place of ours where none is named."""
    from launcher.plan import make_name
    from launcher.report.contact import write_sheet
    from launcher.ui.counting import counting

    target = file or paths.contact_sheets / f"{make_name('check', report.data.stem)}.html"
    with counting("Drawing the contact sheet", is_quiet=is_quiet) as tell:
        return write_sheet(report, target, tell)


def show(report: DatasetReport, code: int, page: Path | None, *, is_json: bool, words: list[str]) -> None:
    """On the screen, or for programs."""
    from launcher.ui import console

    if is_json:
        console.write_json({**as_json(report), "exit_code": code, "page": str(page) if page else None})
    else:
        from launcher.ui.dataset_view import dataset_view

        again = command("check", *words, "--open")
        console.show(dataset_view(report, console.signs(), page=str(page or ""), command=again))


def _words(options: argparse.Namespace) -> list[str]:
    """The command line again, as far as it names the data."""
    data = [word for folder in options.data or () for word in ("--data", folder)]
    return [*options.folder, *data, *(["--preset", options.preset] if options.preset else [])]


def as_json(report: DatasetReport) -> dict[str, object]:
    """Everything that is known, for programs."""
    from dataclasses import asdict

    steps, tags = report.steps, report.words.tags
    return {
        "data": str(report.data),
        "preset": report.preset,
        "trainer": report.trainer,
        "problems": [problem.as_json for problem in report.problems],
        "images": report.images,
        "formats": dict(report.formats),
        "captions": {
            "files": report.words.files, "token_limit": report.words.limit, "tokens_longest": report.words.longest,
            "tokens_median": report.words.median, "tokens_over": report.words.over.count, "is_exact": report.words.is_exact,
        },
        "tags": {**asdict(tags), "top": dict(tags.top), "spellings": [dict(group) for group in tags.spellings]},
        "buckets": [asdict(table) for table in report.tables],
        "steps": {**asdict(steps), "an_epoch": steps.an_epoch, "epochs": steps.epochs, "seen": steps.seen},
        "copies": {"same": _names(report.same), "alike": _names(report.alike)},
    }  # fmt: skip


def _names(groups: tuple[tuple[object, ...], ...]) -> list[list[str]]:
    return [[str(getattr(entry, "path", "")) for entry in group] for group in groups]
