"""A tagging as it goes: one line on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.ui import console
from launcher.ui.formats import duration
from launcher.ui.palette import columns, is_tty
from launcher.ui.progress import bar_signs
from launcher.ui.sheet import bar, join, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from launcher.tagger.records import Result
    from launcher.ui.palette import Glyphs

MARGIN = "  "
BAR = 20  # columns
FRAMES_PER_S = 8
PLAIN_EVERY_S = 5.0
RATE_AFTER_S = 1.0


@contextmanager
def progress(total: int, *, is_quiet: bool) -> Iterator[Callable[[Result, int], None]]:
    """A callback for the result so far and the number of images done, drawn while the context lasts."""
    if is_quiet:
        yield lambda _result, _done: None
    elif not is_tty(sys.stdout):
        console.make_safe(sys.stdout)
        yield _Plain(total).take
    else:
        from rich.live import Live

        live = _Live(total)
        with Live(live, console=console.get_console(), refresh_per_second=FRAMES_PER_S, transient=True):
            yield live.take


class _Pace:
    """Images a second, counted from the first batch on: loading the model is no tagging."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self.rate: float | None = None

    def take(self, done: int) -> None:
        now = time.monotonic()
        if done and self._began is None:
            self._began = (now, done)
        elif self._began and now - self._began[0] >= RATE_AFTER_S:
            self.rate = (done - self._began[1]) / (now - self._began[0])


class _Live:
    def __init__(self, total: int) -> None:
        self._total, self._done, self._pace = total, 0, _Pace()
        self._result: Result | None = None

    def take(self, result: Result, done: int) -> None:
        self._result, self._done = result, done
        self._pace.take(done)

    def __rich__(self) -> Text:
        return progress_line(
            self._result,
            self._done,
            self._total,
            self._pace.rate,
            width=columns() - 1,
            glyphs=bar_signs(),
        )


def progress_line(
    result: Result | None, done: int, total: int, rate: float | None, *, width: int, glyphs: Glyphs
) -> Text:
    """`████────  120 / 400   8.2 images/s   34 s left   on the graphics card`."""
    if result is None or result.ready is None:
        return spans(MARGIN, ("Loading the tagger", "muted"), glyphs.ellipsis)
    facts = [spans(f"{done} / {total}")]
    if rate:
        facts += [
            spans((f"{rate:.1f} images/s", "muted")),
            spans((f"{duration((total - done) / rate)} left", "muted")),
        ]
    facts.append(spans((device_words(result), "muted")))
    return join([spans(MARGIN).append_text(bar(done / max(total, 1), BAR, glyphs)), *facts], width)


def device_words(result: Result) -> str:
    """Where the work was done."""
    if result.ready is None:
        return ""
    return "on the graphics card" if result.ready.device == "gpu" else "on the processor"


class _Plain:
    """A line every few seconds, for logs."""

    def __init__(self, total: int) -> None:
        self._total, self._told, self._pace = total, -PLAIN_EVERY_S, _Pace()

    def take(self, result: Result, done: int) -> None:
        self._pace.take(done)
        now = time.monotonic()
        if now - self._told < PLAIN_EVERY_S and done < self._total:
            return
        self._told = now
        rate = f", {self._pace.rate:.1f} images/s" if self._pace.rate else ""
        sys.stdout.write(f"  {done} of {self._total} images{rate} ({device_words(result)})\n")
        sys.stdout.flush()
