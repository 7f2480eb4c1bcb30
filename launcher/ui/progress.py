"""An installation as it goes: finished steps stay above, the running one turns below them; plain lines elsewhere.

`step_lines` draws; it is a pure function of a `StepView`. `LiveSteps` and `PlainSteps` only follow the events.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.ui import console, formats, transfer
from launcher.ui.formats import clean, fit, fit_middle
from launcher.ui.palette import Glyphs, is_tty, look_at_terminal
from launcher.ui.sheet import bar, crop, join, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from launcher.install.steps import StepEvent
    from launcher.ui.transfer import Standing

FRAMES = {"full": "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "blocks": "|/-\\", "ascii": "|/-\\"}
FRAMES_PER_S = 8
DETAIL_EVERY_S = 5.0  # of what a step is doing, where there is no terminal
WORTH_TELLING_S = 2.0
WORTH_TELLING_BYTES = 1_000_000
WIDE = 84  # columns from which bar and numbers stand on one line
LEAST_BAR = 10
SLOT = {"amount": 16, "speed": 11, "left": 18}  # columns of the numbers: they change, their places do not


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """The running step at one moment; everything that its picture depends on."""

    title: str
    number: str = ""  # "6/12 "
    detail: str = ""
    seconds: float = 0.0
    standing: Standing | None = None


@contextmanager
def install_progress() -> Iterator[Callable[[StepEvent], None]]:
    """A callback for step events, drawn while the context lasts."""
    if not is_tty(sys.stdout):
        console.make_safe(sys.stdout)
        yield PlainSteps().take
        return
    from rich.live import Live

    steps = LiveSteps(console.get_console())
    with Live(steps, console=steps.console, refresh_per_second=FRAMES_PER_S, transient=True):
        yield steps.take


def bar_signs(stream: TextIO | None = None) -> Glyphs:
    """The terminal's signs; without colours the two parts of a bar must differ in shape."""
    terminal = look_at_terminal(stream)
    glyphs = terminal.glyphs
    if terminal.colors or glyphs.bar != glyphs.rest:
        return glyphs
    return replace(glyphs, rest=glyphs.line)


class PlainSteps:
    """One line for each begin and each end; what is being done not more often than every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at = -DETAIL_EVERY_S
        self._told = ""
        self._began = clock()
        self._transfer = transfer.Transfer()

    def take(self, event: StepEvent) -> None:
        state, detail, now = event.state.value, clean(event.detail), self._clock()
        if state == "progress":
            self._transfer.take(now, event.done_bytes, event.total_bytes)
            self._tell(self._words(detail, now), now)
        elif state == "note":
            self._write(f"      {detail}")
        else:
            if state == "begin":
                self._began, self._told = now, ""
            tail = f" ({detail})" if detail else _took(self._transfer, now - self._began, state, " ({})")
            words = {"begin": "...", "done": "done", "skipped": "nothing to do", "failed": "FAILED"}
            self._write(f"  {_number(event)}{clean(event.title)}: {words.get(state, state)}{tail}")
            if state != "begin":
                self._transfer = transfer.Transfer()

    def _words(self, detail: str, now: float) -> str:
        if not self._transfer.is_active:
            return detail
        standing = self._transfer.standing(now)
        facts = ", ".join(fact for fact in (transfer.percent(standing), *transfer.facts(standing)) if fact)
        return f"{detail}: {facts}" if detail else facts

    def _tell(self, words: str, now: float) -> None:
        if now - self._told_at < DETAIL_EVERY_S or words == self._told:
            return
        self._told_at, self._told = now, words
        self._write(f"      {words}")

    @staticmethod
    def _write(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _number(event: StepEvent) -> str:
    return f"{event.number}/{event.total} " if event.total else ""


def _took(received: transfer.Transfer, seconds: float, state: str, form: str = "{}") -> str:
    """`2.5 GB in 3 min 41 s`, `12 s`, or nothing for what was quick."""
    if state != "done" or seconds < WORTH_TELLING_S:
        return ""
    took = formats.duration(seconds)
    if received.received >= WORTH_TELLING_BYTES:
        took = f"{transfer.size(received.received)} in {took}"
    return form.format(took)


class LiveSteps:
    """Finished steps go above, for good; the running one turns at the bottom."""

    def __init__(self, rich_console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = rich_console
        self._clock = clock
        self._glyphs = bar_signs(sys.stdout)
        self._view = StepView(title="")
        self._began = clock()
        self._transfer = transfer.Transfer()

    def take(self, event: StepEvent) -> None:
        state, detail = event.state.value, clean(event.detail)
        if state == "begin":
            self._start(event, detail)
        elif state == "progress":
            # Waiting for another window begins with its progress.
            title = self._view.title or clean(event.title)
            self._transfer.take(self._clock(), event.done_bytes, event.total_bytes)
            self._view = replace(self._view, title=title, detail=detail)
        elif state == "note":
            self._keep(detail)
        else:
            self._finish(clean(event.title), state, detail)

    def _start(self, event: StepEvent, detail: str) -> None:
        self._began = self._clock()
        self._transfer = transfer.Transfer()
        self._view = StepView(title=clean(event.title), number=_number(event), detail=detail)

    def _keep(self, detail: str) -> None:
        """What should still be seen afterwards goes above, while the step goes on."""
        from rich.text import Text

        self.console.print(Text(f"    {detail}", "muted"))

    def _finish(self, title: str, state: str, detail: str) -> None:
        from rich.text import Text

        sign, role = {
            "done": (self._glyphs.tick, "good"),
            "skipped": (self._glyphs.tick, "muted"),
            "failed": (self._glyphs.cross, "bad"),
        }.get(state, (self._glyphs.dot, "accent"))
        remark = detail or _took(self._transfer, self._clock() - self._began, state)
        line = Text.assemble(
            "  ", (f"{sign} ", role), (title, "muted" if state == "skipped" else ""),
            (f"  {remark}".rstrip(), "muted"),
        )  # fmt: skip
        self.console.print(line)
        self._view, self._transfer = StepView(title=""), transfer.Transfer()

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        if self._view.title:
            now = self._clock()
            standing = self._transfer.standing(now) if self._transfer.is_active else None
            view = replace(self._view, seconds=now - self._began, standing=standing)
            yield from step_lines(view, options.max_width, self._glyphs)


def step_lines(view: StepView, width: int, glyphs: Glyphs) -> list[Text]:
    """The running step: one line with its spinner; below it, of a download, the bar and the numbers."""
    lines = [_title_line(view, width, glyphs)]
    if view.standing is not None:
        lines += _download_lines(view.standing, width, glyphs)
    return [crop(line, width, glyphs) for line in lines]


def _title_line(view: StepView, width: int, glyphs: Glyphs) -> Text:
    frames = FRAMES[glyphs.level]
    turn = frames[int(view.seconds * FRAMES_PER_S) % len(frames)]
    took = f"  {formats.duration(view.seconds)}" if view.seconds >= WORTH_TELLING_S else ""
    begin = f"{view.number}{view.title}"
    room = max(width - formats.cells(begin) - len(took) - 8, 0)
    shorten = fit_middle if view.standing is not None else fit  # of a file name both ends matter
    detail = shorten(view.detail, room, glyphs.ellipsis) if view.detail else ""
    return spans(
        "  ", (f"{turn} ", "accent"), begin, (f"  {detail}" if detail else "", "muted"), (took, "muted")
    )


def _download_lines(standing: Standing, width: int, glyphs: Glyphs) -> list[Text]:
    amount, pace = transfer.progress_of(standing), transfer.speed(standing)
    left = spans((transfer.remaining(standing), "warn" if standing.is_quiet else "strong"))
    parts = [spans((amount, "text")), *([spans((pace, "muted"))] if pace else []), *([left] if left else [])]
    if standing.fraction is None:
        return [spans("    ").append_text(join(parts, width - 5))]
    percent = f"{transfer.percent(standing):>6}"
    if width < WIDE:
        line = bar(standing.fraction, max(width - 5 - len(percent), LEAST_BAR), glyphs)
        return [
            spans("    ").append_text(line).append(percent, "strong"),
            spans("    ").append_text(join(parts, width - 5)),
        ]
    room = width - 5 - len(percent) - sum(SLOT.values()) - 2
    line = spans("    ").append_text(bar(standing.fraction, min(room, 60), glyphs)).append(percent, "strong")
    line.append(f"  {amount:>{SLOT['amount']}}").append(f"{pace:>{SLOT['speed']}}", "muted")
    return [line.append("  ").append_text(left)]
