"""The detached process that starts a training, watches it, and writes down how it ended.

When it dies, the training goes on: the shim's events and the log go straight to their files, and history puts the
story together from them.
"""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.errors import LauncherError, RunError
from launcher.events import Status
from launcher.guard import Guard, guard_of
from launcher.history import Tally, conclude, read_state, write_state
from launcher.history.verdict import is_stop_requested
from launcher.paths import command
from launcher.process import ProcessId, find_by_arguments, start, stop_tree
from launcher.run.folder import run_lock
from launcher.run.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.history import RunState
    from launcher.paths import Paths, RunPaths
    from launcher.process import Child

POLL_S = 0.25
SAMPLE_S = 2.0
STEP_RECORD_S = 15.0  # the step alone is not worth a flushed file each time: the events have it
STOP_GRACE_S = 60.0  # a step, and a state of half a gigabyte on a slow disk
TEARDOWN_S = 60.0  # a process that has told its end and does not leave (drivers do that) is ended
GONE_S = 30.0  # a deleted run folder: nothing that is trained could be kept
LAST_WRITES = 10


def supervise(paths: Paths, run: RunPaths) -> int:
    """Body of `launcher _supervise`: train the run in `run.folder` from its plan, once.

    Raises:
        RunError: the run was started before, or is being supervised by another process.
    """
    del paths
    with run_lock(run, timeout_s=0):
        state = read_state(run)
        if state.supervisor or state.status is not Status.PENDING:
            raise RunError(f"{run.folder.name} was started before", fix=command("resume", run.folder.name))
        return Supervisor(run, state).supervise()


class Supervisor:
    """One training, from its start to its last word."""

    def __init__(self, run: RunPaths, state: RunState) -> None:
        self._run = run
        self._state = state
        self._tally = Tally()
        self._recorded = 0.0
        self._sampled = 0.0
        self._stop_seen: float | None = None
        self._gone_since: float | None = None
        self._guard: Guard | None = None

    def supervise(self) -> int:
        """Start, watch, conclude; 0 when the run ended as somebody wanted."""
        self._record(replace(self._state, supervisor=ProcessId.of(os.getpid())))
        try:
            child = self._start()
        except LauncherError as error:
            return self._finish(Status.FAILED, {"error": type(error).__name__, "message": error.what})
        except OSError as error:
            return self._finish(
                Status.FAILED, {"error": "Start", "message": f"the training cannot be started: {error}"}
            )
        self._record(replace(self._state, status=Status.RUNNING, trainer_process=ProcessId.of(child.pid)))
        sampler, self._guard = Sampler(self._run), guard_of(self._run)
        while self._lives(child):
            self._tick(sampler)
            time.sleep(POLL_S)
        if self._guard is not None:
            self._guard.close()
        self._tally.update(self._run)
        self._state = replace(self._state, exit_code=child.poll())
        return self._finish(*conclude(self._run, self._tally, child.poll()))

    def _start(self) -> Child:
        from launcher.plan import plan_from_json, render_argv

        plan = plan_from_json(self._run.plan.read_bytes())
        argv = render_argv(plan, self._run)
        return start(argv, cwd=plan.cwd or self._run.output, env=plan.env, log=self._run.log)

    @property
    def _roots(self) -> list[ProcessId]:
        return [
            process for process in (self._state.trainer_process, self._tally.process) if process is not None
        ]

    def _lives(self, child: Child) -> bool:
        """The training's own process counts: accelerate, its parent, may be killed alone."""
        if child.poll() is None:
            return True
        self._tally.update(self._run)
        if self._tally.process is not None:
            return self._tally.process.is_alive
        return bool(find_by_arguments("--run", str(self._run.folder)))  # the shim, before it told its pid

    def _tick(self, sampler: Sampler) -> None:
        now = time.monotonic()
        if now - self._sampled < SAMPLE_S and self._tally.process is not None:
            return
        self._tally.update(self._run)
        if now - self._sampled >= SAMPLE_S:
            self._sampled = now
            self._judge(sampler.sample(self._roots))
        self._record_progress(now)
        self._end_what_should_be_over(now)

    def _judge(self, sample: Mapping[str, Any]) -> None:
        """A guard with a bug is sent home: the training needs a supervisor more than it needs warnings."""
        if self._guard is None or not self._run.plan.exists():
            return
        try:
            self._guard.look(sample)
        except Exception as error:  # noqa: BLE001  (whatever it is)
            self._guard = None
            sys.stderr.write(f"launcher: nobody looks for warnings any more, training goes on: {type(error).__name__}: {error}\n")  # fmt: skip

    def _record_progress(self, now: float) -> None:
        tally = self._tally
        fresh = replace(
            self._state,
            step=tally.step,
            total_steps=tally.total_steps or self._state.total_steps,
            last_state=tally.last_state,
            last_save=tally.last_save,
        )
        is_only_step = replace(fresh, step=self._state.step) == self._state
        if fresh != self._state and (not is_only_step or now - self._recorded >= STEP_RECORD_S):
            self._record(fresh)
            self._recorded = now

    def _end_what_should_be_over(self, now: float) -> None:
        """Stop the tree: asked to and not obeyed in time, ended but not gone, or working into a deleted folder."""
        self._gone_since = None if self._run.plan.exists() else self._gone_since or now
        is_gone = self._gone_since is not None and now - self._gone_since > GONE_S
        ended_at = self._tally.ended_at
        is_hanging = ended_at is not None and time.time() - ended_at > TEARDOWN_S
        if is_gone or is_hanging or self._is_stop_overdue(now):
            stop_tree(self._roots)

    def _is_stop_overdue(self, now: float) -> bool:
        if not is_stop_requested(self._run):
            return False
        self._stop_seen = self._stop_seen or now
        return now - self._stop_seen > stop_grace_s(self._run)

    def _record(self, state: RunState) -> None:
        """Remember and write; what cannot be written now (disk full) is written with the next change."""
        try:
            if self._run.plan.exists():  # a trainer makes its output folder anew: the run is still deleted
                write_state(self._run, state)
        except OSError:
            self._recorded = 0.0
        self._state = state

    def _finish(self, status: Status, error: dict[str, str] | None) -> int:
        tally = self._tally
        final = replace(
            self._state,
            status=status,
            error=error,
            ended=round(tally.ended_at or time.time(), 3),
            step=max(tally.step, self._state.step),
            total_steps=tally.total_steps or self._state.total_steps,
            last_state=tally.last_state or self._state.last_state,
            last_save=tally.last_save or self._state.last_save,
        )
        for _ in range(LAST_WRITES):
            if not self._run.plan.exists():
                break
            try:
                write_state(self._run, final)
                break
            except OSError:
                time.sleep(1)
        return 1 if status in {Status.FAILED, Status.INTERRUPTED} else 0


def stop_grace_s(run: RunPaths) -> float:
    """Seconds between the request to stop and force: second word of the request file."""
    try:
        words = run.pause.read_text(encoding="utf-8", errors="replace").split()
        grace = float(words[1])
    except (OSError, IndexError, ValueError):
        return STOP_GRACE_S
    return grace if math.isfinite(grace) else STOP_GRACE_S  # `nan` and `inf` would never be over
