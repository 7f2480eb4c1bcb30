"""Makes a run folder from a plan, and lets exactly one new run continue an old one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, RunError
from launcher.files import lock, write_atomic
from launcher.history import RunState, load_run, read_state, write_state
from launcher.paths import RunPaths, command
from launcher.states import discard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from launcher.history import RunRecord
    from launcher.paths import Paths
    from launcher.plan import Plan

CLAIM_TIMEOUT_S = 5.0  # a supervisor that writes its last state holds the lock for a moment


def run_lock(run: RunPaths, *, timeout_s: float) -> AbstractContextManager[object]:
    """The one lock of a run: its supervisor holds it for life, who wants to continue the run needs it for a moment."""
    return lock(
        run.folder / ".lock", timeout_s=timeout_s, busy=f"{run.folder.name} is in use by another launcher"
    )


def create_run(paths: Paths, plan: Plan) -> RunPaths:
    """Make the run folder: plan, the trainer's two TOML files, and last of all `state.json`, which makes it a run.

    A plan with a parent also marks the parent as continued; of several that try at once, one wins.

    Raises:
        RunError: the parent is going on, or was continued by another run; or the disk does not take the files.
    """
    try:
        return _create(paths, plan) if plan.parent is None else _continue(paths, plan, plan.parent)
    except RunError:
        raise
    except LauncherError as error:  # the parent's lock
        raise RunError(error.what, fix=command("watch", plan.parent or ""), where=error.where) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError("the run folder cannot be made", why=reason, where=str(paths.runs)) from error


def _continue(paths: Paths, plan: Plan, parent_id: str) -> RunPaths:
    """The run folder of a resume, and the mark in its parent: both or neither."""
    parent = RunPaths(folder=paths.runs / parent_id)
    with run_lock(parent, timeout_s=CLAIM_TIMEOUT_S):
        record = load_run(parent.folder)
        check_resumable(record)
        run = _create(paths, plan)
        # the settled record, not the file's own words: a killed supervisor left RUNNING there
        state = replace(read_state(parent), status=record.status, ended=record.ended, step=record.step)
        state = replace(state, error=record.error, last_state=record.last_state, resumed_by=run.folder.name)
        try:
            write_state(parent, state)
        except OSError:
            discard(run.folder)
            raise
    return run


def check_resumable(record: RunRecord) -> None:
    """Refuse what cannot be continued.

    Raises:
        RunError: says what the run is doing, or which run went on with it.
    """
    if record.status.is_live:
        raise RunError(f"{record.id} is going on", fix=f"look at it: {command('watch', record.id)}")
    if record.resumed_by:
        raise RunError(
            f"{record.id} was already continued by {record.resumed_by}",
            fix=f"go on with that one: {command('resume', record.resumed_by)}",
        )
    if not record.status.is_resumable:
        raise RunError(f"{record.id} is finished: there is nothing to go on with")


def _create(paths: Paths, plan: Plan) -> RunPaths:
    from launcher.plan import plan_to_json, render_dataset_toml, render_train_toml
    from launcher.preflight.changes import write_inventory

    run = RunPaths(folder=_make_folder(paths.runs, plan.name))
    created = round(time.time(), 3)
    state = RunState(
        name=plan.name, preset=plan.preset, trainer=plan.trainer, created=created, total_steps=plan.total_steps,
        parent=plan.parent,
    )  # fmt: skip
    try:
        for folder in (run.states, run.output):
            folder.mkdir()
        write_atomic(run.plan, plan_to_json(plan))
        write_atomic(run.train_toml, render_train_toml(plan, run))
        write_atomic(run.dataset_toml, render_dataset_toml(plan))
        write_inventory(run, plan)
        write_state(run, state)
    except OSError:
        discard(run.folder)  # a full disk: half a run folder helps nobody
        raise
    return run


def _make_folder(runs: Path, name: str) -> Path:
    """A new folder, its own also when several are made in the same second."""
    runs.mkdir(parents=True, exist_ok=True)
    for candidate in _candidates(f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"):
        try:
            (runs / candidate).mkdir()
        except FileExistsError:
            continue
        return runs / candidate
    raise AssertionError("unreachable: the candidates do not end")


def _candidates(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1
