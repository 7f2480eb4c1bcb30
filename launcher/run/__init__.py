"""Starts, watches and ends runs. Knows no user interface: what it has to say stands in the run folder."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from launcher.errors import RunError
from launcher.events import Status
from launcher.files import write_atomic
from launcher.history import Tally, is_run_alive, read_state
from launcher.history.verdict import read_tail
from launcher.paths import COMMAND, HOME_VARIABLE, PACKAGE, command
from launcher.process import ProcessId, start, stop_tree, wait_until
from launcher.run.folder import check_resumable, create_run
from launcher.run.supervisor import STOP_GRACE_S, supervise

if TYPE_CHECKING:
    from launcher.paths import Paths, RunPaths

__all__ = [
    "check_resumable",
    "create_run",
    "request_pause",
    "request_stop",
    "start_run",
    "supervise",
    "training_processes",
]

START_TIMEOUT_S = 60.0  # a cold disk with a virus scanner; the usual wait is some tenths of a second


def start_run(paths: Paths, run: RunPaths) -> ProcessId:
    """Start the detached supervisor and return it as soon as it has recorded itself in `state.json`.

    Raises:
        RunError: the run was started before, or the supervisor cannot start.
    """
    _claim_start(run)
    argv = [sys.executable, "-X", "utf8", "-m", "launcher", "_supervise", str(run.folder)]
    # cwd, not PYTHONPATH, makes the package importable: a variable would reach into the training environment.
    env = {HOME_VARIABLE: str(paths.home), "PYTHONSAFEPATH": None}
    child = start(argv, cwd=PACKAGE.parent, env=env, log=run.log)
    wait_until(
        lambda: child.poll() is not None or read_state(run).supervisor is not None, timeout_s=START_TIMEOUT_S
    )
    supervisor = read_state(run).supervisor
    if supervisor is None or child.poll() not in {
        None,
        0,
        1,
    }:  # 0 and 1 are ends of a training, the others of the start
        raise RunError(f"{run.folder.name} could not be started", why=_last_lines(run), where=str(run.log))
    return supervisor


def _claim_start(run: RunPaths) -> None:
    """A run is started once; the file that only one can make outlives a launcher that is killed right here."""
    state = read_state(run)
    refusal = RunError(f"{run.folder.name} was started before", fix=command("watch", run.folder.name))
    if state.supervisor or state.status is not Status.PENDING:
        raise refusal
    try:
        (run.folder / ".started").open("x").close()
    except FileExistsError:
        raise refusal from None


def request_pause(run: RunPaths) -> None:
    """Ask a run to save a state at its next step and to exit.

    Raises:
        RunError: it is not running, or was asked to stop.
    """
    _check_live(run)
    write_atomic(run.pause, "pause\n")


def request_stop(run: RunPaths, *, grace_s: float = STOP_GRACE_S) -> None:
    """Ask a run to end for good (it keeps a state); what does not obey within `grace_s` is ended by force.

    Returns at once while the supervisor lives, which does the rest; else waits and ends the tree itself.

    Raises:
        RunError: it is not running.
    """
    _check_live(run)
    write_atomic(run.pause, f"stop\n{grace_s:.0f}\n")
    supervisor = read_state(run).supervisor
    if supervisor is not None and supervisor.is_alive:
        return
    if not wait_until(lambda: not is_run_alive(run), timeout_s=grace_s, poll_s=0.2):
        stop_tree(training_processes(run))


def training_processes(run: RunPaths) -> list[ProcessId]:
    """What may live of a run: supervisor, accelerate and the training itself.

    Raises:
        RunError: the folder is no run.
    """
    state = read_state(run)
    known = (state.supervisor, state.trainer_process, Tally.glance(run).process)
    return [process for process in known if process is not None]


def _check_live(run: RunPaths) -> None:
    state = read_state(run)
    is_starting = state.status is Status.PENDING and time.time() - state.created < START_TIMEOUT_S
    if not is_run_alive(run) and not is_starting:
        raise RunError(f"{run.folder.name} is not running", fix=f"{COMMAND} runs shows what is")


def _last_lines(run: RunPaths) -> str:
    return "\n".join(read_tail(run).splitlines()[-5:])
