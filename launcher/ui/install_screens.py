"""Shows the screens of an installation. What they look like is decided in `install_view` and its neighbours."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.ui import console, prompts
from launcher.ui.palette import is_tty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from launcher.errors import LauncherError
    from launcher.install.findings import Report
    from launcher.machine import Machine
    from launcher.ui.install_end import Done, Gone
    from launcher.ui.install_machine import Surroundings
    from launcher.ui.install_view import InstallView

LOW = 28  # rows; on less, all reasons would push the head of the plan off the screen
LOWEST = 18  # rows; here the answers alone fill the screen
MAIN_DECISIONS = 2  # PyTorch and attention


def show_machine(machine: Machine, around: Surroundings) -> None:
    """What was found on this computer."""
    from launcher.ui.install_machine import render_machine

    put(render_machine(machine, around, console.get_console().width, console.signs()))


def show_summary(view: InstallView) -> None:
    """The plan in short; the question stands below it."""
    from launcher.ui.install_view import render_summary

    screen = console.get_console()
    reasons = None
    if is_tty(sys.stdout) and screen.height < LOW:
        reasons = MAIN_DECISIONS if screen.height > LOWEST else 0
    put(render_summary(view, console.signs(), reasons=reasons))


def show_plan(view: InstallView) -> None:
    """Everything, for `--dry-run`; in a pipe every command is one line."""
    from launcher.ui.install_view import render_plan

    width = console.get_console().width if is_tty(sys.stdout) else None
    put(render_plan(view, width, console.signs()))


def show_proof(report: Report) -> None:
    """The proof as a table."""
    from launcher.ui.install_end import render_proof

    put(render_proof(report, console.signs()))


def show_done(done: Done) -> None:
    """What is ready, and what next."""
    from launcher.ui.install_end import render_done

    put(render_done(done, console.get_console().width, console.signs()))


def show_gone(gone: Gone) -> None:
    """What was removed, and what stays."""
    from launcher.ui.install_end import render_gone

    put(render_gone(gone, console.signs()))


def show_changes(title: str, changes: Sequence[str]) -> None:
    """What differs from the plan, or what an update would change."""
    from launcher.ui.install_end import render_changes

    put(render_changes(title, changes, console.signs()))


def show_failure(error: LauncherError, *, log: Path | None = None) -> None:
    """What happened, why, what to do; the raw log is one key away, or its path where nobody presses keys.

    `log` is by default the error's `where`, when that is a file.
    """
    console.show_error(error)
    place = log or _log_of(error)
    if place is not None:
        from launcher.ui.log_view import offer_log

        offer_log(place, is_named=error.where == str(place))


def _log_of(error: LauncherError) -> Path | None:
    with suppress(OSError, ValueError):  # no path, or one that this system cannot look up
        place = Path(error.where)
        return place if error.where and place.suffix == ".log" and place.is_file() else None
    return None


def offer_shortcut() -> tuple[bool, bool]:
    """Ask where shortcuts are wanted: (desktop, start menu). Without a terminal: nowhere."""
    if not prompts.can_ask():
        return False, False
    choices = [
        prompts.Choice(value=(True, True), title="On the desktop and in the start menu", hint="recommended"),
        prompts.Choice(value=(True, False), title="On the desktop"),
        prompts.Choice(value=(False, True), title="In the start menu"),
        prompts.Choice(value=(False, False), title="None"),
    ]
    try:
        return prompts.ask_choice("A shortcut for next time?", choices, flag="--shortcut")
    except prompts.Back:
        return False, False


def put(parts: Sequence[RenderableType]) -> None:
    """Print parts below an empty line. Texts that must not be cut (paths, commands) are not; a pipe gets no blanks at line ends."""
    from rich.text import Text

    from launcher.ui.ink import write_text

    screen = console.get_console()

    def draw() -> None:
        screen.print()
        for part in parts:
            screen.print(part, soft_wrap=isinstance(part, Text) and part.overflow == "ignore")

    if is_tty(sys.stdout):
        draw()
        return
    with screen.capture() as captured:
        draw()
    lines = [line.rstrip() for line in captured.get().splitlines()]
    write_text(sys.stdout, "\n".join([*lines, ""]))
