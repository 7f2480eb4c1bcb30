"""A run, live: poll, render, sleep. Leaving it, however, never touches the training."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol

from launcher.paths import COMMAND
from launcher.ui import console, formats, prompts

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.live import Live

    from launcher.monitor import RunView

Outcome = Literal["ended", "detached"]
Answer = Literal["pause", "detach", "stop", "back"]
FRAME_S = 0.5
NOTES = {
    "pause": "Pausing: the next step is finished and saved first.",
    "stop": "Stopping: the training ends at the next step.",
}


class Monitor(Protocol):
    """What follows a run: see launcher.monitor.RunMonitor."""

    def poll(self) -> RunView: ...


def follow(monitor: Monitor, *, on_pause: Callable[[], object], on_stop: Callable[[], object]) -> Outcome:
    """Show a run until it ends or the person leaves. ^C asks once; ^C in that question leaves, too.

    Without a terminal it is `follow_plain`.
    """
    if not prompts.can_ask():
        return follow_plain(monitor)
    note = ""
    while True:
        view = _watch(monitor, note)
        if view is not None:
            return "ended"
        answer = ask_on_interrupt()
        if answer == "detach":
            return "detached"
        if answer in NOTES:
            (on_pause if answer == "pause" else on_stop)()
            note = NOTES[answer]


def _watch(monitor: Monitor, note: str) -> RunView | None:
    """The live screen, until the run has ended (its last view) or ^C (None)."""
    try:
        with _open_screen() as live:
            while True:
                view = monitor.poll()
                _draw(live, view, note)
                if not view.status.is_live or view.gone:
                    break
                time.sleep(FRAME_S)
    except KeyboardInterrupt:
        return None
    _leave_last_frame(view)
    return view


def _open_screen() -> Live:
    from rich.live import Live

    # No refresh thread and no redirection: this loop alone draws, and nobody else prints meanwhile.
    return Live(
        console=console.get_console(), screen=True, auto_refresh=False, vertical_overflow="crop",
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip


def _draw(live: Live, view: RunView, note: str) -> None:
    from launcher.ui.frame import render

    size = live.console.size
    picture = render(view, size.width, size.height, glyphs=console.signs(), note=note, is_full_screen=True)
    live.update(picture, refresh=True)


def _leave_last_frame(view: RunView) -> None:
    """The other screen is gone with its picture: leave the last one in the scroll-back."""
    from launcher.ui.frame import render

    screen = console.get_console()
    screen.print(render(view, screen.width, min(screen.height - 2, 22), glyphs=console.signs()))


def ask_on_interrupt() -> Answer:
    """What ^C shall mean. A second ^C leaves the training alone and goes."""
    choices: list[prompts.Choice[Answer]] = [
        prompts.Choice(value="pause", title="Pause", hint="save a state at the next step, then exit"),
        prompts.Choice(value="detach", title="Leave it running", hint="training goes on in the background"),
        prompts.Choice(value="stop", title="Stop", hint="end this run; what was saved stays"),
        prompts.Choice(value="back", title="Back to the picture", hint=""),
    ]
    try:
        return prompts.ask_choice(
            "The training is still running. What now?", choices, flag=f"{COMMAND} pause"
        )
    except KeyboardInterrupt:
        return "detach"


PLAIN_EVERY_S = 10.0


def follow_plain(monitor: Monitor, *, every_s: float = PLAIN_EVERY_S) -> Outcome:
    """A line for everything of interest and for every few seconds of training; for logs and pipes. Ends with the run."""
    console.make_safe(sys.stdout)
    before: RunView | None = None
    spoke = 0.0
    while True:
        view = monitor.poll()
        is_due = time.monotonic() - spoke >= every_s
        lines = news(before, view, is_due=is_due)
        if lines:
            spoke = time.monotonic()
            with suppress(ValueError):  # a closed pipe's stream; BrokenPipeError goes up and ends us quietly
                sys.stdout.write("".join(f"{line}\n" for line in lines))
                sys.stdout.flush()
        if not view.status.is_live or view.gone:
            return "ended"
        before = view
        time.sleep(FRAME_S)


def news(before: RunView | None, view: RunView, *, is_due: bool) -> list[str]:
    """What has happened between two views, as plain lines."""
    from launcher.ui.alerts import alert_news
    from launcher.ui.parts import status_word

    lines = []
    state = status_word(view)[0]
    if before is None:
        lines.append(f"{formats.clean(view.name)}: {state}")
    elif state != status_word(before)[0] and view.status.is_live:
        lines.append(state)
    if view.boosts and (before is None or not before.boosts):
        lines += boost_lines(view)
    if view.last_state is not None and (before is None or view.last_state != before.last_state):
        lines.append(f"state of step {view.last_state.step} is saved")
    if view.last_save is not None and (before is None or view.last_save != before.last_save):
        lines.append(f"LoRA of step {view.last_save.step}: {formats.clean(view.last_save.path)}")
    lines += alert_news(before, view)
    known = {warning.message for warning in before.warnings} if before is not None else set()
    lines += [
        f"warning: {formats.clean(warning.message)}"
        for warning in view.warnings
        if warning.message not in known
    ]
    is_new_step = view.step and (before is None or view.step != before.step or not view.status.is_live)
    if is_new_step and (is_due or not view.status.is_live):
        lines.append(step_line(view))
    if not view.status.is_live:
        lines += _last_words(view)
    return lines


def boost_lines(view: RunView) -> list[str]:
    """`boosts: 9 of 11 (exact, rounding)`, and a line for each that was expected and is not used."""
    from launcher.ui.boost_words import counted, kinds_used, surprising

    kinds = kinds_used(view.boosts)
    lines = [f"boosts: {counted(view.boosts)}" + (f" ({kinds})" if kinds else "")]
    return [
        *lines,
        *(formats.clean(f"boost {one.name} is not used: {one.reason}") for one in surprising(view.boosts)),
    ]


def step_line(view: RunView) -> str:
    """`step 620/1000 (62 %), epoch 16/25, loss 0.1763 (average 0.1179), 1.61 s/step, 10 min left`."""
    facts = [
        f"step {view.step}"
        + (f"/{view.total_steps} ({view.step * 100 // view.total_steps} %)" if view.total_steps else "")
    ]
    if view.epoch is not None:
        facts.append(f"epoch {view.epoch}" + (f"/{view.epochs}" if view.epochs else ""))
    if view.loss is not None:
        facts.append(f"loss {formats.loss(view.loss)} (average {formats.loss(view.avg_loss)})")
    if view.seconds_per_step is not None:
        facts.append(formats.step_time(view.seconds_per_step))
    if view.eta_s is not None and view.status.is_live:
        facts.append(f"{formats.duration(view.eta_s)} left")
    return ", ".join(facts)


def _last_words(view: RunView) -> list[str]:
    from launcher.ui.advice import error_words
    from launcher.ui.parts import status_word

    lines = [f"{formats.clean(view.name)}: {status_word(view)[0]}"]
    if view.error is not None:
        lines.append(formats.clean(f"{view.error.error}: {view.error.message}"))
        lines.append(formats.clean(error_words(view.error)[0]))
    return lines
