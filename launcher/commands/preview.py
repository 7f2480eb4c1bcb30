"""What an installation is going to do, as the record that the screens show: for the question, and for `--dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import LauncherError, Problem, Severity
from launcher.install import accelerate
from launcher.install.choice import choose_set, host_of
from launcher.install.secret import redact
from launcher.ui.install_ask import InstallOptions, Option
from launcher.ui.install_view import AnsweredQuestion, Decision, Download, InstallView, PlannedStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.install.commands import Commands
    from launcher.install.intent import Intent
    from launcher.install.wheels import Wheel
    from launcher.paths import Paths

MIB = 1 << 20
CODE_MIB = 12  # v0.10.1 as a zip; the fork is 3
TOKENIZERS_MIB = 3  # twice vocab.json (0.9) and merges.txt (0.5)
PYTHON_MIB = 35
# `UvEngine.look_lock` on Linux with Python 3.11, 2026-11: the wheels of each lock, without the torch family.
PACKAGES_MIB = {"rehearsal": 48, "sd-scripts": 193, "sd-scripts-fp8": 212}
NOTES = {
    "sd-scripts": "kohya's trainer, the pinned release: for SDXL LoRAs on an NVIDIA card",
    "sd-scripts-fp8": "the original fp8 fork of January 2024, to reproduce old runs",
    "rehearsal": "a small trainer of our own: tries presets and pictures, also without a card",
}


def view_of(intent: Intent, commands: Commands, *, is_full: bool) -> InstallView:
    """The installation on one page, with the sizes that the indexes tell. `is_full` lists every command as well."""
    from launcher.machine import free_disk_mib
    from launcher.ui.console import signs
    from launcher.ui.install_machine import machine_lines

    paths, pins, torch_set = intent.paths, intent.pins, intent.choice.torch_set
    wheels, problems = _wheels(intent, commands)
    return InstallView(
        title=pins.title,
        folder=str(paths.trainer(pins.name)),
        machine=machine_lines(intent.machine, signs()),
        decisions=tuple(_decisions(intent)),
        downloads=tuple(_downloads(intent, wheels)),
        disk_need_mib=torch_set.disk_mib,
        disk_free_mib=free_disk_mib(paths.root),
        steps=tuple(_steps(intent, commands, wheels)) if is_full else (),
        questions=tuple(AnsweredQuestion(text=it.text, answer=it.answer, why=it.why) for it in accelerate.QUESTIONS)
        if is_full
        else (),
        question_remark=accelerate.remark(pins.accelerate) if is_full else "",
        problems=(*problems, *_warnings(paths)),
    )  # fmt: skip


def options_of(paths: Paths, intent: Intent) -> InstallOptions:
    """What can be chosen otherwise; what cannot work here says why."""
    return InstallOptions(
        trainers=tuple(_trainers(paths, intent)),
        torch_sets=tuple(_torch_sets(intent)),
        attentions=tuple(_attentions(intent)),
        has_source=intent.pins.source is not None,
        has_tokenizers=intent.pins.source is not None,
    )


def _trainers(paths: Paths, intent: Intent) -> Iterator[Option]:
    from launcher.install.pins import load_pins
    from launcher.install.upkeep import known

    for name in known(paths):
        pins = load_pins(paths, name)
        yield Option(
            value=name, title=pins.title, reason=NOTES.get(name, ""), is_recommended=name == recommended(intent.machine.gpu)
        )  # fmt: skip


def recommended(gpu: object | None) -> str:
    """The trainer for this computer."""
    return "sd-scripts" if gpu else "rehearsal"


def _torch_sets(intent: Intent) -> Iterator[Option]:
    host = host_of(intent.machine)
    first = _first_choice(intent)
    for name, torch_set in intent.pins.sets.items():
        try:
            choose_set(intent.pins, host, wish=name)
            problem = ""
        except LauncherError as error:
            problem = error.what
        yield Option(
            value=name, title=torch_set.title, reason=torch_set.note, is_recommended=name == first, problem=problem
        )  # fmt: skip


def _first_choice(intent: Intent) -> str:
    try:
        return choose_set(intent.pins, host_of(intent.machine), wish=None).torch_set.name
    except LauncherError:
        return ""


def _attentions(intent: Intent) -> Iterator[Option]:
    host, name = host_of(intent.machine), intent.choice.torch_set.name
    try:
        best = choose_set(intent.pins, host, wish=name).attention
    except LauncherError:
        best = "sdpa"
    for method, reason in (
        ("xformers", "memory-efficient attention by Meta, the guide's choice"),
        ("sdpa", "PyTorch's own; as fast on RTX 30 and newer"),
    ):
        try:
            choose_set(intent.pins, host, wish=name, attention=method)
            problem = ""
        except LauncherError as error:
            problem = error.what
        yield Option(
            value=method, title=method, reason=reason, is_recommended=method == best, problem=problem
        )


def _decisions(intent: Intent) -> Iterator[Decision]:
    choice, pins = intent.choice, intent.pins
    yield Decision(question="PyTorch", answer=", ".join(choice.torch_set.packages), reason=choice.reason)
    yield Decision(question="Attention", answer=choice.attention)
    version = ".".join(map(str, intent.interpreter.version))
    yield Decision(question="Python", answer=version, reason=intent.interpreter.reason)
    yield Decision(question="Installer", answer=intent.engine.name)
    if pins.source:
        answer = redact(intent.wish.source or pins.source.git)
        yield Decision(
            question="Code from", answer=answer,
            reason=f"{pins.source.ref}, checked against git tree {pins.source.tree[:12]}",
        )  # fmt: skip
        yield Decision(question="Tokenizers", answer=redact(intent.wish.tokenizers or "Hugging Face hub"))


def _wheels(intent: Intent, commands: Commands) -> tuple[list[Wheel], list[Problem]]:
    from launcher.install.tasks import searching
    from launcher.install.wheels import find_wheels

    said: list[Problem] = []

    def hear(words: str, /, *, keep: bool = False, done: int | None = None, total: int | None = None) -> None:
        del done, total
        if keep:  # another build than planned
            said.append(Problem(severity=Severity.WARNING, what=words))

    try:
        found = find_wheels(
            intent.choice.torch_set, intent.interpreter.version, searching(intent.paths, commands),
            folder=intent.paths.wheels, tell=hear, may_fetch=False,
        )  # fmt: skip
    except LauncherError as error:
        return [], [Problem(severity=Severity.WARNING, what=error.what, why=error.why, fix=error.fix)]
    return found, said


def _downloads(intent: Intent, wheels: list[Wheel]) -> Iterator[Download]:
    pins, torch_set = intent.pins, intent.choice.torch_set
    if intent.interpreter.path is None:
        yield Download(
            what=f"Python {'.'.join(map(str, intent.interpreter.version))}", source="uv", mib=PYTHON_MIB
        )
    for wheel in wheels:
        mib = None if wheel.size is None else wheel.size / MIB
        yield Download(
            what=wheel.file_name, source=redact(wheel.source), mib=mib, is_here=wheel.file is not None
        )
    if not wheels:
        names = ", ".join(torch_set.packages)
        yield Download(what=names, source="the PyTorch index", mib=torch_set.download_mib or None)
    others = len(pins.locked(torch_set.name, intent.interpreter.version))
    yield Download(
        what=f"{others} more packages, about", source="your package index", mib=PACKAGES_MIB.get(pins.name)
    )
    if pins.source:
        given = intent.wish.source
        yield Download(
            what=pins.title, source=redact(given or pins.source.git), mib=CODE_MIB, is_here=_is_here(given)
        )
        given = intent.wish.tokenizers
        yield Download(
            what="two tokenizers", source=redact(given or "the hub"), mib=TOKENIZERS_MIB, is_here=_is_here(given)
        )  # fmt: skip


def _is_here(place: str | None) -> bool:
    return bool(place) and "://" not in str(place)


def _steps(intent: Intent, commands: Commands, wheels: list[Wheel]) -> Iterator[PlannedStep]:
    """The steps of `install.trainer`, with the very commands: the same functions make them."""
    from pathlib import Path

    paths, pins, engine, torch_set = intent.paths, intent.pins, intent.engine, intent.choice.torch_set
    folder = paths.generation(pins.name, "N")
    venv = folder / "venv"
    if intent.interpreter.path is None:
        from launcher.install.engine import find_uv
        from launcher.install.interpreter import python_plan_words

        uv = find_uv(commands)
        lines = python_plan_words(uv, intent.interpreter.version, paths.pythons) if uv else []
        yield PlannedStep(title="Python", commands=tuple(lines))
    if pins.source:
        yield PlannedStep(
            title=f"Code of {pins.title}",
            words=f"fetch commit {pins.source.commit} by git, else as a zip; check git tree {pins.source.tree}",
        )
    python = intent.interpreter.path or Path(
        f"python{intent.interpreter.version[0]}.{intent.interpreter.version[1]}"
    )
    yield PlannedStep(title="Folder", commands=tuple(engine.commands_for(venv, python=python)))
    files = [wheel.file or paths.wheels / wheel.file_name for wheel in wheels]
    yield PlannedStep(
        title="PyTorch", words=f"fetch the files above into {paths.wheels}, check their hashes, install them alone",
        commands=tuple(engine.commands_for(venv, wheels=files)) if files else (),
    )  # fmt: skip
    lock = pins.lock_file(torch_set.name)
    yield PlannedStep(
        title="Packages, exactly as locked", commands=tuple(engine.commands_for(venv, lock=lock))
    )
    yield PlannedStep(title="accelerate's configuration", words=f"write {folder / 'accelerate.yaml'}")
    if pins.source:
        yield PlannedStep(title="Tokenizers", words=f"two folders in {paths.tokenizers}")
    yield PlannedStep(title="Proof", words="try inside the environment what training needs")
    yield PlannedStep(
        title="Swap", words=f"note it in {paths.current_note(pins.name)}; the one before is kept"
    )


def _warnings(paths: Paths) -> Iterator[Problem]:
    import os
    from pathlib import Path

    from launcher.machine.folder import examine_folder

    yield from examine_folder(paths.root)
    note = accelerate.global_config_note(os.environ, Path.home())
    if note:
        yield Problem(severity=Severity.NOTE, what=note)
