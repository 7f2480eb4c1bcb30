"""What the user asked of a running training: a file in the run folder, looked at between steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.events import Status

if TYPE_CHECKING:
    from pathlib import Path


class Leave(SystemExit):
    """Ends the training on request: a SystemExit, so that no `except Exception` of a trainer swallows it."""

    def __init__(self, status: Status) -> None:
        super().__init__(0)  # accelerate prints a traceback for any other code
        self.status = status


def requested(path: Path) -> Status | None:
    """The status to leave with, or None. Any content but `stop` means pause: a touched file will do."""
    try:
        words = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError:  # absent, as nearly always; or unreadable, and then training goes on
        return None
    return Status.CANCELLED if words[:1] == ["stop"] else Status.PAUSED
