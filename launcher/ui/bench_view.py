"""`bench` on the screen: what will be done, how far it is, and the table."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from launcher.bench import BOOSTED, STOCK, Measured
from launcher.bench.result import timing_of
from launcher.ui import console, formats
from launcher.ui.boost_words import counted, kinds_used
from launcher.ui.formats import clean
from launcher.ui.palette import columns, is_tty
from launcher.ui.parts import phase_words
from launcher.ui.sheet import crop, spans
from launcher.ui.tables import grid, headed, inset, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table

    from launcher.bench import Row, Turn
    from launcher.monitor import Boost, RunView
    from launcher.plan import Plan
    from launcher.ui.palette import Glyphs

    Tell = Callable[[Turn, RunView | Measured], None]

FRAMES_PER_S = 4


def show_beginning(plan: Plan, turns: Sequence[Turn], *, steps: int, warm_up: int, expected_s: float | None) -> None:  # fmt: skip
    """What is measured, how, and how long that will take."""
    picture = beginning(plan, turns, console.signs(), steps=steps, warm_up=warm_up, expected_s=expected_s)
    console.show(picture)


def beginning(
    plan: Plan, turns: Sequence[Turn], glyphs: Glyphs, *, steps: int, warm_up: int, expected_s: float | None
) -> RenderableType:
    """Two lines."""
    device = plan.machine.get("device")
    card = str(device.reason).partition(", driver")[0] if device and device.value == "cuda" else "CPU"
    facts = f" {glyphs.between} ".join(clean(fact) for fact in (plan.preset, plan.trainer, card))
    names = list(dict.fromkeys(turn.variant.name for turn in turns))
    ways = " and ".join(names) if len(names) < 3 else f"{' and '.join(names[:2])}, then {formats.count(len(names) - 2, 'boost')} alone"  # fmt: skip
    long = f"about {formats.duration(expected_s)}" if expected_s else "some minutes"
    how = f"{ways}, in turn: {formats.count(len(turns), 'run')} of {warm_up} + {steps} steps, {long}"
    return inset(
        Group(Text.assemble(("bench", "title"), "   ", (facts, "muted")), Text(how)),
    )


@contextmanager
def progress(*, is_quiet: bool = False) -> Iterator[Tell]:
    """A callback that draws how far the bench is; elsewhere than on a terminal a line for each run that is done."""
    if is_quiet:
        yield lambda _turn, _news: None
        return
    console.make_safe(sys.stdout)
    shown = _Shown() if is_tty(sys.stdout) else _Plain()
    try:
        yield shown.take
    except KeyboardInterrupt:
        shown.close()
        console.out("  Ending the run; nothing of it stays.", role="muted")
        raise
    finally:
        shown.close()


def run_line(turn: Turn, measured: Measured, glyphs: Glyphs) -> Text:
    """`✓ 1 of 4   stock     1.612 s/step   4.3 GiB`."""
    timing = timing_of([measured])
    sign = (glyphs.tick, "good") if timing else (glyphs.cross, "bad")
    facts = f"{seconds(timing.median_s)} s/step" if timing else "without a result"
    more = f"   {formats.amount(measured.vram_mib)}" if measured.vram_mib else ""
    return spans("  ", sign, f" {_place(turn)}   ", (f"{turn.variant.name:<14}", "strong"), facts, (more, "muted"))  # fmt: skip


def now_line(turn: Turn, view: RunView, left_s: float | None, glyphs: Glyphs) -> Text:
    """`● 2 of 4   boosted   step 7 of 17   about 3 min left`."""
    doing = f"step {view.step} of {view.total_steps}" if view.step else phase_words(view.phase)
    if view.phase_progress and not view.step:
        doing += f" {view.phase_progress[0]} of {view.phase_progress[1]}"
    left = f"   about {formats.duration(left_s)} left" if left_s else ""
    return spans("  ", (glyphs.dot, "accent"), f" {_place(turn)}   ", (f"{turn.variant.name:<14}", "strong"), doing, (left, "muted"))  # fmt: skip


def _place(turn: Turn) -> str:
    digits = len(str(turn.total))
    return f"{turn.number:>{digits}} of {turn.total}"


class _Shown:
    """Finished runs, and below them the one that is going on; leaves no trace, the table follows."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._done: list[Text] = []
        self._now: Text | None = None
        self._took: list[float] = []
        self._began: tuple[int, float] | None = None

    def take(self, turn: Turn, news: RunView | Measured) -> None:
        if self._began is None or self._began[0] != turn.number:
            self._began = turn.number, time.monotonic()
        if isinstance(news, Measured):
            self._took.append(time.monotonic() - self._began[1])
            self._done.append(run_line(turn, news, console.signs()))
            self._now = None
        else:
            self._now = now_line(turn, news, self._left(turn), console.signs())
        self._open()

    def _left(self, turn: Turn) -> float | None:
        if not self._took or self._began is None:
            return None
        each = sum(self._took) / len(self._took)
        spent = min(time.monotonic() - self._began[1], each)
        return each * (turn.total - turn.number + 1) - spent

    def _open(self) -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                self, console=console.get_console(), refresh_per_second=FRAMES_PER_S, transient=True
            )
            self._live.start()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich__(self) -> Group:
        lines = [*self._done, *([self._now] if self._now else [])]
        return Group(spans(), *(crop(line, columns() - 1, console.signs()) for line in lines))


class _Plain:
    """A line for each run, for logs."""

    def take(self, turn: Turn, news: RunView | Measured) -> None:
        if isinstance(news, Measured):
            console.out(run_line(turn, news, console.signs()).plain)

    def close(self) -> None:
        pass


def show_result(rows: Sequence[Row], said: Sequence[str], kept: Path | None) -> None:
    """The table, the boosts, what follows."""
    console.show(result(rows, said, kept, console.signs()))


def result(rows: Sequence[Row], said: Sequence[str], kept: Path | None, glyphs: Glyphs) -> RenderableType:
    """Everything that a bench has found."""
    parts: list[RenderableType] = [inset(table(rows))]
    together = next((row for row in rows if row.name == BOOSTED and row.boosts), None)
    told = grid({"no_wrap": True, "style": "muted", "min_width": 8}, {"overflow": "fold"})
    if together is not None:
        _add_boosts(told, together, glyphs)
    known = together.boosts if together is not None else ()
    alone = [boost for row in rows if (boost := refused_alone(row)) and boost not in known]
    _add_reasons(told, "alone", alone)
    for row in rows:
        if row.error:
            told.add_row(Text("failed", style="bad"), lines_of(row.error))
    if told.row_count:
        parts += ["", inset(told)]
    words = grid({"width": 2}, {"overflow": "fold"}, gap=0)
    for line in said:
        words.add_row(Text(glyphs.dot, style="accent"), lines_of(line))
    if kept is not None:
        words.add_row("", Text(f"Kept for forecasts and plans in {clean(kept)}", style="muted"))
    return Group(*parts, "", inset(words))


def table(rows: Sequence[Row]) -> RenderableType:
    """A row for each way to train; times are medians of the counted steps."""
    right = {"justify": "right", "no_wrap": True}
    found = headed(
        ("", {"no_wrap": True}), ("s/step", right), ("quartiles", right), ("ratio", right), ("VRAM", right), ("first step", right),
        ("boosts", {"overflow": "fold"}),
    )  # fmt: skip
    for row in rows:
        timing = row.timing
        name, boosts = Text(clean(row.name), style="key"), _boosts(row)
        if timing is None:
            found.add_row(name, *[formats.UNKNOWN] * 5, boosts)
            continue
        ratio = Text(f"{row.ratio:.2f}" if row.ratio is not None else formats.UNKNOWN, style=_role(row))
        found.add_row(
            name, Text(seconds(timing.median_s), style="strong"),
            Text(f"{seconds(timing.q1_s)} - {seconds(timing.q3_s)}", style="muted"), ratio, formats.amount(timing.vram_mib),
            formats.duration(timing.first_s), boosts,
        )  # fmt: skip
    return found


def _role(row: Row) -> str:
    if row.ratio is None or row.name == STOCK:
        return "muted"
    return "good" if row.ratio < 1 else "warn"


def _boosts(row: Row) -> Text:
    if row.error:
        return Text("failed", style="bad")
    if row.name == STOCK or not row.boosts:
        return Text("none", style="muted")
    if row.name == BOOSTED:
        return Text(counted(row.boosts), style="muted")
    return Text("not used", style="warn") if refused_alone(row) else Text()


def refused_alone(row: Row) -> Boost | None:
    """The one boost of a row that was to be measured alone, where it was not used."""
    return next((boost for boost in row.boosts if boost.name == row.name and not boost.is_used), None)


def _add_boosts(told: Table, row: Row, glyphs: Glyphs) -> None:
    """What became of each boost: the used ones on a line, the others with their reasons."""
    used = [clean(boost.name) for boost in row.boosts if boost.is_used]
    facts = f" {glyphs.between} ".join(fact for fact in (kinds_used(row.boosts), clean(row.ops)) if fact)
    told.add_row("used", Text.assemble(", ".join(used) or "none", (f"   {facts}", "muted") if used else ""))
    _add_reasons(told, "partly", [boost for boost in row.boosts if boost.is_used and boost.reason])
    _add_reasons(told, "not used", [boost for boost in row.boosts if not boost.is_used])


def _add_reasons(told: Table, title: str, boosts: Sequence[Boost]) -> None:
    if boosts:
        told.add_row(title, reasons(boosts))


def reasons(boosts: Sequence[Boost]) -> RenderableType:
    """Name and reason of each."""
    found = grid({"no_wrap": True}, {"overflow": "fold", "style": "muted"}, gap=2)
    for boost in boosts:
        found.add_row(clean(boost.name), lines_of(boost.reason))
    return found


def seconds(value: float) -> str:
    """Three digits that count: `0.0123`, `0.934`, `1.61`, `12.3`."""
    if value < 0.1:
        return f"{value:.4f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
