"""From the files of a run folder to a RunView."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.events import Status
from launcher.files import read_json
from launcher.monitor.alerts import Alerts
from launcher.monitor.tail import Tail
from launcher.monitor.telemetry import Machine, Training
from launcher.monitor.values import json_object, status_of, text, timestamp, whole
from launcher.monitor.view import Failure, RunView

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.paths import RunPaths

CURVE_POINTS = 600
WARNINGS = 5


class RunMonitor:
    """Follows one run. Any number may follow the same one; none of them disturbs it.

    Args:
        run: the run folder.
        is_alive: whether a process of the run lives. Without it the files are believed.
        curve_points: most points of the loss curve (the other curves have fewer).
        warnings: how many of the last warnings a view holds.
    """

    def __init__(
        self,
        run: RunPaths,
        is_alive: Callable[[], bool] | None = None,
        *,
        curve_points: int = CURVE_POINTS,
        warnings: int = WARNINGS,
    ) -> None:
        self._run = run
        self._is_alive = is_alive
        self._limits = (curve_points, warnings)
        self._events = Tail(run.events)
        self._samples = Tail(run.gpu)
        self._warnings = Tail(run.warnings)
        self._alerts = Alerts()
        self._training = Training(curve_points=curve_points, warnings=warnings)
        self._machine = Machine(curve_points=curve_points)
        self._state: dict[str, object] = {}
        self._state_stamp: tuple[int, int] | None = None
        self._view = RunView(name=run.folder.name)

    def poll(self) -> RunView:
        """Read what is new and return the picture. Never raises for what stands, or is missing, in the folder."""
        if not self._run.folder.is_dir():
            self._view = replace(self._view, gone=True)
            return self._view
        # Asked before reading: all that a process wrote before it was seen dead is then in this very picture.
        is_dead = self._is_alive is not None and not self._is_alive()
        self._read_state()
        self._read_events()
        self._read_samples()
        self._read_alerts()
        self._view = self._picture(is_dead=is_dead)
        return self._view

    def _read_state(self) -> None:
        try:
            stat = self._run.state_json.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._state_stamp:
                self._state = json_object(read_json(self._run.state_json))
                self._state_stamp = stamp
        except (OSError, InputError):
            return  # missing or damaged: the last one read stays true, the events tell the rest

    def _read_events(self) -> None:
        if self._events.has_restarted():
            curve_points, warnings = self._limits
            self._training = Training(curve_points=curve_points, warnings=warnings)
        for batch in self._events.batches():
            for event in batch:
                self._training.take(event)

    def _read_samples(self) -> None:
        if self._samples.has_restarted():
            self._machine = Machine(curve_points=self._limits[0])
        for batch in self._samples.batches():
            for sample in batch:
                self._machine.take(sample)

    def _read_alerts(self) -> None:
        if self._warnings.has_restarted():
            self._alerts = Alerts()
        for batch in self._warnings.batches():
            for event in batch:
                self._alerts.take(event)

    def _status(self, *, is_dead: bool) -> Status:
        """The supervisor's word if it is final, else the shim's, else what the processes show."""
        recorded = status_of(self._state.get("status"))
        if recorded is not None and not recorded.is_live:
            return recorded
        if self._training.ended is not None:
            return self._training.ended
        was_started = self._state.get("supervisor") is not None or self._training.started is not None
        if is_dead and was_started:
            return Status.INTERRUPTED
        if recorded is Status.PENDING and self._training.started is not None:
            return Status.RUNNING
        return recorded or (Status.RUNNING if was_started else Status.PENDING)

    def _picture(self, *, is_dead: bool) -> RunView:
        state, training = self._state, self._training
        status = self._status(is_dead=is_dead)
        view = RunView(
            name=text(state.get("name")) or self._run.folder.name,
            preset=text(state.get("preset")),
            trainer=text(state.get("trainer")) or training.trainer,
            status=status,
            parent=text(state.get("parent")),
            error=_error(training.error, _failure(state.get("error"))),
            started=training.started or timestamp(state.get("created")),
            ended=None if status.is_live else training.ended_at or timestamp(state.get("ended")),
            total_steps=whole(state.get("total_steps")) or None,
            step=whole(state.get("step")) or 0,
            alerts=self._alerts.all(),
        )
        return self._machine.into(self._training.into(view))


def _error(told: Failure | None, recorded: Failure | None) -> Failure | None:
    """The shim's words, which have the traceback; the kind from the record, which has seen the log."""
    if told is None or recorded is None:
        return told or recorded
    return replace(told, kind=recorded.kind)


def _failure(value: object) -> Failure | None:
    error = json_object(value)
    if not error:
        return None
    return Failure(
        error=text(error.get("error")),
        message=text(error.get("message")),
        kind=text(error.get("kind")),
        traceback=text(error.get("traceback")),
        phase=text(error.get("phase")),
        step=whole(error.get("step")),
    )
