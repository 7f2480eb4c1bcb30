"""Where a bench's runs lie while they last: on the disk of all runs, hidden from the history, gone afterwards."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, RunError
from launcher.files import lock
from launcher.paths import RunPaths
from launcher.process import find_by_arguments, stop_tree, wait_until
from launcher.run import training_processes
from launcher.states import discard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.paths import Paths
    from launcher.process import ProcessId

PREFIX = ".bench-"  # names with a dot are no runs (launcher.history)
LOCK = "lock"
GONE_S = 20.0
ATTEMPTS = 3


@contextmanager
def scratch(paths: Paths) -> Iterator[Paths]:
    """`paths` with a runs folder of its own. However it is left, its processes are ended and it is removed.

    Raises:
        RunError: another bench is going on, or the folder cannot be made.
    """
    if not sweep(paths):
        raise RunError("another bench is going on: they would measure each other", fix="wait for its end")
    home = paths.runs / f"{PREFIX}{os.getpid()}"
    place = replace(paths, home=home)
    try:
        place.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError("the bench's runs have no place", why=reason, where=str(home)) from error
    try:
        with lock(home / LOCK, timeout_s=0, busy=""):
            try:
                yield place
            finally:
                _insist(home)
    finally:
        discard(home)  # behind the lock: Windows keeps a file that is open


def sweep(paths: Paths) -> bool:
    """Remove what a bench left that was killed. False: one is going on, it holds its lock."""
    are_over = True
    for home in sorted(paths.runs.glob(f"{PREFIX}*")):
        try:
            with lock(home / LOCK, timeout_s=0, busy="it is going on"):
                _insist(home)
        except LauncherError:
            are_over = False
        except OSError:  # not ours to remove
            continue
        else:
            discard(home)
    return are_over


def _insist(home: Path) -> None:
    """End and remove, also where ^C is pressed again meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            for folder in (home / "runs").glob("*"):
                end_run(RunPaths(folder=folder))
            discard(home / "runs")
        except KeyboardInterrupt:
            continue
        return


def end_run(run: RunPaths) -> None:
    """End all processes of a run, also those that have not told of themselves yet, and remove its folder."""
    stop_tree(living(run))
    wait_until(lambda: not living(run), timeout_s=GONE_S, poll_s=0.2)
    discard(run.folder)


def living(run: RunPaths) -> list[ProcessId]:
    """Those that wrote themselves down, and those that are known by their words only: a supervisor, a shim just started."""
    named = ("_supervise", str(run.folder)), ("--run", str(run.folder))
    known = [process for words in named for process in find_by_arguments(*words)]
    with suppress(RunError):  # ^C came before the folder was a run
        known += [process for process in training_processes(run) if process.is_alive]
    return known
