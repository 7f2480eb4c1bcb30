"""What the events of a run add up to for its `state.json`: where it is, what it has, how it ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.events import Status, parse_event, read_events
from launcher.process import ProcessId

if TYPE_CHECKING:
    from launcher.history.record import Failure
    from launcher.paths import RunPaths

HEAD_BYTES = 64 << 10  # the `start` event is among the first lines
TAIL_BYTES = 256 << 10  # hundreds of steps, more than lie between two states


class Tally:
    """A fold over events. `update` reads what is new since the last time; `glance` only head and tail."""

    def __init__(self) -> None:
        self.process: ProcessId | None = None  # the training process itself, which may outlive its parent
        self.step = 0
        self.total_steps: int | None = None
        self.last_state: str | None = None
        self.last_save: str | None = None
        self.error: Failure | None = None
        self.ended: Status | None = None
        self.ended_at: float | None = None
        self._offset = 0

    def update(self, run: RunPaths) -> None:
        """Take the events that came since the last call. A missing file has none."""
        for event, behind in read_events(run.events, self._offset):
            self._offset = behind
            self._take(event)

    @classmethod
    def glance(cls, run: RunPaths) -> Tally:
        """The sum of the first and the last events, at a cost that does not grow with the run."""
        tally = cls()
        try:
            with run.events.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(len(head), size - TAIL_BYTES))
                tail = stream.read()
        except OSError:
            return tally
        for line in (head + tail).splitlines():  # a line cut in the middle is garbage, and garbage is skipped
            event = parse_event(line)
            if event:
                tally._take(event)
        return tally

    def _take(self, event: dict[str, Any]) -> None:
        kind, step, path = event["type"], event.get("step"), event.get("path")
        if kind in {"step", "state", "end"} and isinstance(step, int):
            self.step = max(self.step, step)
        if kind == "start":
            self.process = ProcessId.from_json(event)
            resumed = event.get("resumed_step")
            self.step = resumed if isinstance(resumed, int) else 0
        elif kind == "totals" and isinstance(event.get("total_steps"), int):
            self.total_steps = event["total_steps"]
        elif kind == "state" and isinstance(path, str):
            self.last_state = path
        elif kind == "save" and isinstance(path, str):
            self.last_save = path
        elif kind == "error":
            self.error = {"error": str(event.get("error") or ""), "message": str(event.get("message") or "")}
            unsound = event.get("unsound_from")
            if isinstance(unsound, int):
                self.error["unsound_from"] = str(unsound)
        elif kind == "end":
            self._end(event)

    def _end(self, event: dict[str, Any]) -> None:
        try:
            self.ended = Status(event.get("status"))
        except ValueError:
            return
        self.ended_at = float(event["t"])
