"""Waits between two steps while the supervisor wants it: a card has to cool down, a laptop is without mains power.

Nothing is unloaded and no number changes: the next step simply begins later. The request is the file `hold` in the run
folder, and it counts only as long as somebody keeps touching it: a supervisor that was killed cannot hold a training
for ever. Two clocks need not agree for that: what counts is whether the file's time stamp still changes.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from launcher.events import Status
from launcher.shim.requests import requested

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.paths import RunPaths
    from launcher.shim.crew import Crew
    from launcher.shim.reporter import Reporter

POLL_S = 1.0
EXPIRES_S = 60.0  # the supervisor touches the file every ten seconds (launcher.guard.requests)
REQUESTS = (None, Status.PAUSED, Status.CANCELLED)  # as numbers, for processes that must agree


class Hold:
    """The request file, looked at between steps: one `stat` each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._changed = 0.0

    def is_on(self) -> bool:
        """Whether training shall wait. False also for a file that nobody has touched for a minute."""
        stamp = self._stat()
        if not stamp:
            return False
        if stamp != self._stamp:
            self._stamp, self._changed = stamp, time.monotonic()
        return time.monotonic() - self._changed < EXPIRES_S

    @property
    def is_there(self) -> bool:
        return self._stat() > 0

    @property
    def reason(self) -> str:
        """The kind of warning that asks for it, the file's first word."""
        try:
            return next(iter(self._path.read_text(encoding="utf-8", errors="replace").split()), "")
        except OSError:
            return ""

    def _stat(self) -> int:
        try:
            return os.stat(self._path).st_mtime_ns  # noqa: PTH116  (between all steps: no object for it)
        except OSError:  # absent, as nearly always; or unreadable, and then training goes on
            return 0


class Holding:
    """What is asked of the training, agreed among its processes; a wait happens in here.

    Args:
        run: the run folder with its request files.
        on_end: called with the seconds of each wait: they belong to no step and no phase.
    """

    def __init__(
        self, run: RunPaths, reporter: Reporter, crew: Crew, on_end: Callable[[float], None]
    ) -> None:
        self._run = run
        self._reporter = reporter
        self._crew = crew
        self._on_end = on_end
        self._hold = Hold(run.hold)

    def ask(self, step: int) -> Status | None:
        """The status to leave with, or None. Waits first while it must; pause and stop are heard meanwhile."""
        status, is_held = self._look()
        return self._wait(step) if is_held and status is None else status

    def _look(self) -> tuple[Status | None, bool]:
        asked = REQUESTS.index(requested(self._run.pause))
        agreed = self._crew.agree(asked + len(REQUESTS) * self._hold.is_on())
        return REQUESTS[agreed % len(REQUESTS)], agreed >= len(REQUESTS)

    def _wait(self, step: int) -> Status | None:
        self._reporter.emit("hold", state="begin", reason=self._hold.reason, step=step)
        began = time.perf_counter()
        status, is_held = None, True
        while is_held and status is None:
            time.sleep(POLL_S)
            status, is_held = self._look()
        seconds = time.perf_counter() - began
        is_expired = status is None and self._hold.is_there
        more = {"expired": True} if is_expired else {}
        self._reporter.emit("hold", state="end", seconds=round(seconds, 1), step=step, **more)
        if is_expired:
            self._reporter.emit("warning", count=1, message="waiting is over although its reason may not be: nobody watches this training any more (its supervisor is gone)")  # fmt: skip
        self._on_end(seconds)
        return status
