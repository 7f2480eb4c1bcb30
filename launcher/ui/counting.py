"""A bar for work that is counted in pieces: it comes when the work takes long enough to wonder, and leaves no trace."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.ui import console
from launcher.ui.formats import duration
from launcher.ui.palette import columns, is_tty
from launcher.ui.sheet import bar, join, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.live import Live
    from rich.text import Text

    from launcher.ui.palette import Glyphs

    Tell = Callable[[int, int], None]

PATIENCE_S = 0.4  # quicker work shows nothing
PLAIN_EVERY_S = 5.0
PACE_AFTER_S = 1.0
FRAMES_PER_S = 8
BAR = 20  # columns
MARGIN = "  "


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How far the work is; everything that the picture depends on."""

    title: str  # "Looking at the images"
    done: int
    total: int
    pace: float | None = None  # pieces a second; None before there is one

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far."""
        return (self.total - self.done) / self.pace if self.pace and self.done < self.total else None


@contextmanager
def counting(title: str, *, is_quiet: bool = False) -> Iterator[Tell]:
    """A callback for "done" and "total", drawn while the context lasts; elsewhere than on a terminal a line now and then."""
    if is_quiet:
        yield lambda _done, _total: None
    elif not is_tty(sys.stdout):
        console.make_safe(sys.stdout)
        yield _Plain(title).take
    else:
        shown = _Shown(title)
        try:
            yield shown.take
        finally:
            shown.close()


def count_line(count: Count, width: int, glyphs: Glyphs) -> Text:
    """`Looking at the images  ████────  12,000 / 100,000  1 min 10 s left`."""
    share = bar(count.done / max(1, count.total), BAR, glyphs)
    facts = [spans(MARGIN, (count.title, "muted")), share]
    facts.append(spans(f"{count.done:,} / {count.total:,}"))
    if count.left_s is not None:
        facts.append(spans((f"{duration(count.left_s)} left", "muted")))
    return join(facts, width)


class _Shown:
    """A live line that begins late."""

    def __init__(self, title: str) -> None:
        self._title, self._began = title, time.monotonic()
        self._live: Live | None = None
        self._first: tuple[float, int] | None = None
        self._count = Count(title=title, done=0, total=1)

    def take(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._count = Count(title=self._title, done=done, total=total, pace=self._pace(now, done))
        if self._live is None and now - self._began > PATIENCE_S and done < total:
            from rich.live import Live

            self._live = Live(
                self, console=console.get_console(), refresh_per_second=FRAMES_PER_S, transient=True
            )
            self._live.start()

    def _pace(self, now: float, done: int) -> float | None:
        """Counted from the first piece on: what comes before it is no work of this kind."""
        began, first = self._first = self._first or (now, done)
        return (done - first) / (now - began) if now - began > PACE_AFTER_S else None

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def __rich__(self) -> Text:
        return count_line(self._count, columns() - 1, console.signs())


class _Plain:
    """A line every few seconds, for logs."""

    def __init__(self, title: str) -> None:
        self._title, self._told = title, time.monotonic()

    def take(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= PLAIN_EVERY_S and done < total:
            self._told = now
            console.out(f"{self._title}: {done} of {total}")
