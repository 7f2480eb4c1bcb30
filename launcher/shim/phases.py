"""The phases of a training (loading, caching, stepping): when, how long, how much memory."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.shim.pace import ram_peak_mib, take_vram_peak_mib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.shim.reporter import Reporter

PROGRESS_INTERVAL_S = 0.25


class Phases:
    """A stack of open phases. One that ends by an exception stays open: its name belongs to the error."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._open: list[str] = []
        self._began: list[float] = []
        self._peaks: list[float] = []  # VRAM peak of each open phase so far
        self._last_progress = 0.0

    @property
    def current(self) -> str:
        return self._open[-1] if self._open else ""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Report begin and end."""
        self.enter(name)
        yield
        self.leave(name)

    def exclude(self, seconds: float) -> None:
        """Time in which training was held: not part of the phases that are open."""
        self._began = [began + seconds for began in self._began]

    def enter(self, name: str) -> None:
        """Report the begin of a phase whose end is elsewhere."""
        self._reporter.attempt(self._begin, name)

    def leave(self, name: str) -> None:
        """Report the end of the innermost phase, if that is the one."""
        if self.current == name:
            self._reporter.attempt(self._end, name)

    def _begin(self, name: str) -> None:
        self._spread_peak()
        self._open.append(name)
        self._began.append(time.perf_counter())
        self._peaks.append(0.0)
        self._reporter.emit("phase", name=name, state="begin")

    def _end(self, name: str) -> None:
        has_gpu = self._spread_peak()
        self._open.pop()
        seconds = time.perf_counter() - self._began.pop()
        peak = self._peaks.pop()
        memory = {"peak_vram_mib": round(peak, 1) if has_gpu else None, "peak_ram_mib": ram_peak_mib()}
        known = {key: round(value, 1) for key, value in memory.items() if value is not None}
        self._reporter.emit("phase", name=name, state="end", seconds=round(seconds, 3), **known)

    def _spread_peak(self) -> bool:
        """The peak since the last look belongs to every phase that is open; False without a GPU."""
        peak = take_vram_peak_mib()
        if peak is None:
            return False
        self._peaks = [max(known, peak) for known in self._peaks]
        return True

    def progress(self, phase: str, done: int, total: int) -> None:
        """How far a phase is; told some times a second, and at its end."""
        now = time.monotonic()
        if done >= total or now - self._last_progress >= PROGRESS_INTERVAL_S:
            self._last_progress = now
            self._reporter.emit("progress", phase=phase, done=done, total=total)
