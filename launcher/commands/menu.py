"""The menu: what one gets without words. Every entry is also a command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launcher import __version__
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.paths import Paths
    from launcher.ui.menu import MenuAction, MenuView

RECENT = 12


def menu(paths: Paths, options: argparse.Namespace) -> int:
    """Show the menu until the person leaves."""
    del options
    from launcher.ui import console
    from launcher.ui.menu import main_menu

    while True:
        action = main_menu(look(paths))
        if action.kind == "quit":
            return 0
        try:
            carry_out(paths, action)
        except LauncherError as error:
            console.show_error(error)
        except KeyboardInterrupt:  # one level back, as in every prompt
            continue


def look(paths: Paths) -> MenuView:
    """What the first screen shows; costs one small file a run."""
    from launcher.history import list_runs
    from launcher.install import trainer_ready
    from launcher.trainers import DEFAULT_TRAINER
    from launcher.ui.menu import MenuView

    records = list_runs(paths, limit=RECENT)
    return MenuView(
        version=__version__,
        not_ready=trainer_ready(paths, DEFAULT_TRAINER),
        live=tuple(record for record in records if record.status.is_live),
        resumable=tuple(record for record in records if record.status.is_resumable and not record.resumed_by),
        recent=tuple(records),
    )


def carry_out(paths: Paths, action: MenuAction) -> None:
    """One entry. Raises what the command of the same name raises."""
    steps = {
        "install": _install,
        "demo": _demo,
        "train": _train,
        "resume": _resume,
        "watch": _watch,
        "history": _history,
        "report": _report,
        "check-up": _checkup,
    }
    steps[action.kind](paths, action.run)


def _install(paths: Paths, _run: str | None) -> None:
    from launcher.commands.environments import install
    from launcher.trainers import DEFAULT_TRAINER

    install(paths, argparse.Namespace(trainer=DEFAULT_TRAINER, cuda=None, yes=False))


def _demo(paths: Paths, _run: str | None) -> None:
    from launcher.commands.demo import demo
    from launcher.ui import prompts

    demo(paths, argparse.Namespace(steps=None))
    prompts.pause_for_enter()


def _train(paths: Paths, _run: str | None) -> None:
    from launcher.commands import common
    from launcher.commands.guide import ask_for_plan
    from launcher.ui import console, prompts

    plan = ask_for_plan(paths)
    if plan is None:
        return
    console.show_plan(plan)
    if not prompts.confirm("Start?", flag="--yes"):
        return
    common.check(paths, plan, force=False, yes=False)
    common.follow(paths, common.launch(paths, plan), is_attended=True)
    prompts.pause_for_enter()


def _resume(paths: Paths, run: str | None) -> None:
    from launcher.commands.control import resume
    from launcher.ui import prompts

    resume(paths, argparse.Namespace(run=run, json=False, background=False, yes=False))
    prompts.pause_for_enter()


def _watch(paths: Paths, run: str | None) -> None:
    from launcher.commands.control import watch
    from launcher.ui import prompts

    watch(paths, argparse.Namespace(run=run))
    prompts.pause_for_enter()


def _history(paths: Paths, _run: str | None) -> None:
    from launcher.history import list_runs
    from launcher.ui.menu import pick_run

    chosen = pick_run(list_runs(paths, limit=RECENT))
    if chosen is not None:
        carry_out(paths, chosen)


def _report(paths: Paths, run: str | None) -> None:
    from launcher.commands.history import report
    from launcher.ui import prompts

    report(paths, argparse.Namespace(run=run, open=True))
    prompts.pause_for_enter()


def _checkup(paths: Paths, _run: str | None) -> None:
    from launcher.commands.environments import doctor
    from launcher.ui import prompts

    doctor(paths, argparse.Namespace(json=False))
    prompts.pause_for_enter()
