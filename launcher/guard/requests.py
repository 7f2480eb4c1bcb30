"""The two files with which the guard asks something of the training: `hold` (wait) and `pause` (save and leave)."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.files import write_atomic

if TYPE_CHECKING:
    from launcher.guard.look import Concern
    from launcher.paths import RunPaths

FRESH_S = 10.0  # launcher.shim.holding believes a file for a minute: five of these may fail


class Requests:
    """Writes them, keeps a hold fresh, takes it back. What cannot be written is tried again at the next look."""

    def __init__(self, run: RunPaths) -> None:
        self._run = run
        self._touched: float | None = None

    def hold(self, concern: Concern) -> None:
        """Ask the training to wait, or to go on waiting. A full disk takes no new file, but it takes a new time."""
        now = time.monotonic()
        if self._touched is not None and now - self._touched < FRESH_S:
            return
        with suppress(OSError):
            if self._run.hold.exists():
                os.utime(self._run.hold)
            else:
                write_atomic(self._run.hold, f"{concern.kind}\n{concern.message}\n")
            self._touched = now

    def release(self) -> None:
        """Let it go on. A file that cannot be removed is not kept fresh any more, which does the same in a minute."""
        if self._touched is None:
            return
        self._touched = None
        with suppress(OSError):
            self._run.hold.unlink(missing_ok=True)

    def pause(self, concern: Concern) -> None:
        """Ask it to save a state and to leave, and say why; somebody's own request is not touched."""
        words = {"kind": concern.kind, "message": concern.message, "fix": concern.fix, "needs_mib": concern.needs_mib}  # fmt: skip
        with suppress(OSError), self._run.pause.open("x", encoding="utf-8") as stream:
            stream.write(f"pause\n{json.dumps(words, ensure_ascii=False)}\n")
