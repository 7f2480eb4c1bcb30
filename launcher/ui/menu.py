"""The menu: one screen for people who never type. It starts nothing; it answers what the person wants.

`paint` puts the screen there at once and loads neither rich nor questionary; the question below it comes after.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.paths import COMMAND
from launcher.ui import ink
from launcher.ui.formats import clean, fit, pad, when
from launcher.ui.palette import Glyphs, columns, look_at_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from launcher.history import RunRecord
    from launcher.ui.prompts import Choice

    Kind = Literal[
        "install", "resume", "watch", "train", "demo", "history", "report", "check-up", "quit",
        "bench", "environments", "repair", "update", "rollback", "uninstall", "shortcut", "preflight", "check", "model", "tag", "import", "export",
    ]  # fmt: skip

MOST_SHOWN = 3  # runs of one kind on the first screen; the rest is in the history
MARGIN = "  "
NAME_WIDTH = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class MenuView:
    """What the first screen shows, collected by the command beforehand. Nothing in it costs more than a file."""

    version: str
    machine: str = ""  # one line: the graphics card, or why there is none
    not_ready: str | None = None  # why no trainer can be started yet; None when one can
    resumable: tuple[RunRecord, ...] = ()  # paused, interrupted, failed with a state; newest first
    live: tuple[RunRecord, ...] = ()
    recent: tuple[RunRecord, ...] = ()  # newest first, of any status
    has_environments: bool = False  # offer the entry for them: `install_menu.pick_environment`

    @property
    def is_first_time(self) -> bool:
        return not (self.resumable or self.live or self.recent)


@dataclass(frozen=True, kw_only=True, slots=True)
class MenuAction:
    """What the person chose; `run` is the id of the run that it concerns, `trainer` the environment's."""

    kind: Kind
    run: str | None = None
    trainer: str | None = None


def paint(view: MenuView) -> None:
    """Show the first screen. Called before a prompt is due: loads no rich, no questionary, no prompt_toolkit."""
    paint_title(view.version, view.machine)
    _paint_standing(view)


def paint_title(version: str, machine: str) -> None:
    """The first paint: a sign of life before anything is looked up."""
    _write(title(version, machine))


def _paint_standing(view: MenuView) -> None:
    _write(standing(view, look_at_terminal().glyphs))


def _write(lines: Sequence[ink.Line]) -> None:
    ink.write(list(lines), width=max(columns() - 1, 20), terminal=look_at_terminal())


def first_screen(view: MenuView, glyphs: Glyphs, now: float | None = None) -> list[ink.Line]:
    """The first screen as lines: who, where, ready or not, and the runs that matter tonight."""
    return [*title(view.version, view.machine), *standing(view, glyphs, now)]


def title(version: str, machine: str) -> list[ink.Line]:
    """Who is speaking, and on which card."""
    lines = [(), ink.line(MARGIN, ("SDXL LoRA launcher", "title"), "  ", (version, "muted"))]
    if machine:
        lines.append(ink.line(MARGIN, (machine, "muted")))
    return [*lines, ()]


def standing(view: MenuView, glyphs: Glyphs, now: float | None = None) -> list[ink.Line]:
    """Ready or not, and the runs that matter tonight."""
    lines = [*_guidance(view, glyphs)]
    lines += _runs("Running now", view.live, glyphs, now)
    lines += _runs("Can be resumed", view.resumable, glyphs, now)
    return [*lines, ()]


def _guidance(view: MenuView, glyphs: Glyphs) -> Iterator[ink.Line]:
    if view.not_ready is not None and view.is_first_time:
        yield ink.line(MARGIN, (glyphs.ring, "warn"), " Welcome. The training environment comes first.")
        yield ink.line(
            MARGIN, "  ", ("It is set up once, by itself, and everything stays in this folder.", "muted")
        )
    elif view.not_ready is not None:
        yield ink.line(MARGIN, (glyphs.ring, "warn"), " The training environment is not ready.")
        yield ink.line(MARGIN, "  ", (_sentence(view.not_ready), "muted"))
    elif view.is_first_time:
        yield ink.line(MARGIN, (glyphs.dot, "good"), " Ready. Nothing has been trained yet.")
        yield ink.line(
            MARGIN, "  ", ("A rehearsal on sample images shows the whole way in about a minute.", "muted")
        )
    else:
        yield ink.line(MARGIN, (glyphs.dot, "good"), " Ready to train.")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _runs(title: str, runs: Sequence[RunRecord], glyphs: Glyphs, now: float | None) -> Iterator[ink.Line]:
    if not runs:
        return
    yield ()
    yield ink.line(MARGIN, (title, "strong"))
    for run in runs[:MOST_SHOWN]:
        word, role = STATUS_WORDS[run.status.value]
        yield ink.line(
            MARGIN, pad(clean(run.name), NAME_WIDTH), "  ", (f"{word:<12}", role), f"{progress(run):>15}",
            "   ", (when(run.ended or run.created, now), "muted"),
        )  # fmt: skip
        if run.reason is not None:
            yield ink.line(MARGIN, MARGIN, (_sentence(f"{clean(run.reason.title)}; {_stands(run)}"), "muted"))
    if len(runs) > MOST_SHOWN:
        yield ink.line(MARGIN, (f"and {len(runs) - MOST_SHOWN} more in the history {glyphs.arrow}", "muted"))


def _stands(run: RunRecord) -> str:
    """Whether the reason of a pause has gone."""
    from launcher.history import standing_of

    words = standing_of(run.reason, run.folder) if run.reason is not None else ""
    return words or "it may be resumed"


STATUS_WORDS: dict[str, tuple[str, str]] = {  # what a person calls it, and its colour
    "PENDING": ("starting", "accent"),
    "RUNNING": ("training", "accent"),
    "PAUSED": ("paused", "warn"),
    "SUCCEEDED": ("finished", "good"),
    "FAILED": ("failed", "bad"),
    "CANCELLED": ("stopped", "muted"),
    "INTERRUPTED": ("interrupted", "warn"),
}


def progress(run: RunRecord) -> str:
    """`620 / 1000` as far as it is known."""
    if not run.total_steps:
        return f"step {run.step}" if run.step else ""
    return f"{run.step or 0} / {run.total_steps}"


def entries(view: MenuView, now: float | None = None) -> list[Choice[MenuAction]]:
    """The menu's entries, the one most likely wanted first."""
    from launcher.ui.prompts import Choice

    found: list[Choice[MenuAction]] = []
    if view.not_ready is not None:
        found.append(
            Choice(
                value=MenuAction(kind="install"), title="Set up the training environment", hint="recommended"
            )
        )
    shown = [*view.live[:MOST_SHOWN], *view.resumable[:MOST_SHOWN]]
    for run in shown:
        is_twin = sum(run.name == other.name for other in shown) > 1
        kind: Kind = "watch" if run.status.is_live else "resume"
        hint = _stands(run) if run.reason is not None else _standing(run, now) if is_twin else ""
        found.append(_run_entry(kind, run, hint))
    if view.not_ready is None:
        if view.is_first_time:
            found.append(
                Choice(
                    value=MenuAction(kind="demo"),
                    title="Rehearse on sample images",
                    hint="a minute, recommended",
                )
            )
        found.append(Choice(value=MenuAction(kind="train"), title="Train a LoRA"))
        found.append(Choice(value=MenuAction(kind="check"), title="Check images, a model or a training"))
        found.append(Choice(value=MenuAction(kind="tag"), title="Write captions with a tagger"))
    found.append(
        Choice(
            value=MenuAction(kind="import"),
            title="Import a training",
            hint="script, settings of a tool, LoRA",
        )
    )
    if not view.is_first_time:
        found.append(
            Choice(value=MenuAction(kind="export"), title="Write a training as a script", hint="to share")
        )
        found.append(Choice(value=MenuAction(kind="history"), title="History"))
        if view.not_ready is None:
            found.append(Choice(value=MenuAction(kind="bench"), title="Measure the speed", hint="with boosts and without"))  # fmt: skip
    if view.has_environments:
        found.append(Choice(value=MenuAction(kind="environments"), title="Training environments"))
    found.append(Choice(value=MenuAction(kind="check-up"), title="Check-up"))
    found.append(Choice(value=MenuAction(kind="quit"), title="Quit"))
    return found


def _run_entry(kind: Kind, run: RunRecord, hint: str) -> Choice[MenuAction]:
    from launcher.ui.prompts import Choice

    title = f"{'Watch' if kind == 'watch' else 'Resume'} {fit(clean(run.name), NAME_WIDTH)}"
    return Choice(value=MenuAction(kind=kind, run=run.id), title=title, hint=hint)


def _standing(run: RunRecord, now: float | None) -> str:
    where = f"step {progress(run)}" if run.total_steps else STATUS_WORDS[run.status.value][0]
    return f"{where}, {when(run.ended or run.created, now)}"


def main_menu(view: MenuView, *, has_title: bool = False) -> MenuAction:
    """Paint the first screen (the rest of it when its title stands there already), then ask. ^C and the end of input mean quit."""
    _paint_standing(view) if has_title else paint(view)
    from launcher.ui import prompts

    if not prompts.can_ask():
        sys.stdout.write(f"{MARGIN}There is no terminal to ask on. `{COMMAND} --help` lists the commands.\n")
        return MenuAction(kind="quit")
    try:
        return prompts.ask_choice("What would you like to do?", entries(view), flag="a command (see --help)")
    except prompts.Back:
        return MenuAction(kind="quit")


def pick_check() -> MenuAction | None:
    """What is to be checked. None: back to the menu."""
    from launcher.ui import prompts

    choices = [
        prompts.Choice(value=MenuAction(kind="check"), title="A folder of images"),
        prompts.Choice(value=MenuAction(kind="model"), title="A model file"),
        prompts.Choice(value=MenuAction(kind="preflight"), title="A training, without starting it"),
    ]
    try:
        return prompts.ask_choice("What should be checked?", choices, flag="check or preflight")
    except prompts.Back:
        return None


def pick_run(runs: Sequence[RunRecord], now: float | None = None) -> MenuAction | None:
    """Choose a run of the history, then what to do with it. None: back to the menu."""
    from launcher.ui import prompts

    while True:
        try:
            run = prompts.ask_choice("Which run?", [_history_entry(run, now) for run in runs], flag="RUN")
        except prompts.Back:
            return None
        if run is None:
            return None
        try:
            action = prompts.ask_choice(f"What with {clean(run.name)}?", _run_actions(run), flag="a command")
        except prompts.Back:
            continue
        if action is not None:
            return action


def _history_entry(run: RunRecord, now: float | None) -> Choice[RunRecord]:
    from launcher.ui.prompts import Choice

    word = "resumed" if run.resumed_by else STATUS_WORDS[run.status.value][0]
    facts = f"{word:<12} {progress(run):>13}   {when(run.ended or run.created, now)}"
    return Choice(value=run, title=pad(clean(run.name), NAME_WIDTH), hint=facts)


def _run_actions(run: RunRecord) -> list[Choice[MenuAction | None]]:
    from launcher.ui.prompts import Choice

    found: list[Choice[MenuAction | None]] = []
    if run.status.is_live:
        found.append(Choice(value=MenuAction(kind="watch", run=run.id), title="Watch it"))
    elif run.status.is_resumable and not run.resumed_by:
        found.append(
            Choice(value=MenuAction(kind="resume", run=run.id), title="Resume it", hint=progress(run))
        )
    found.append(Choice(value=MenuAction(kind="report", run=run.id), title="Open its report"))
    if not run.status.is_live:
        found.append(Choice(value=MenuAction(kind="watch", run=run.id), title="Look at its last numbers"))
    found.append(Choice(value=None, title="Back"))
    return found
