"""All run folders: what stands in them, and what is true now."""

from __future__ import annotations

import difflib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import RunError
from launcher.events import Status
from launcher.history.reason import Reason, has_gone, reason_of, standing_of
from launcher.history.record import RunRecord, RunState, read_state, write_state
from launcher.history.tally import Tally
from launcher.history.verdict import conclude
from launcher.paths import COMMAND, RunPaths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.paths import Paths

__all__ = [
    "Reason", "RunRecord", "RunState", "Tally", "chain", "conclude", "find_run", "has_gone", "is_run_alive", "list_runs",
    "load_run", "read_state", "reason_of", "standing_of", "write_state",
]  # fmt: skip

STARTING_S = 30.0  # between making a run folder and its supervisor's first word
MAX_CHAIN = 1000  # runs in one chain of resumes; also ends a circle in damaged files


def list_runs(paths: Paths, limit: int | None = None) -> list[RunRecord]:
    """The runs, newest first; folders that are no runs, or damaged, are left out. Costs one small file a run."""
    records: list[RunRecord] = []
    for folder in _folders(paths):
        try:
            records.append(load_run(folder))
        except RunError:
            continue
        if len(records) == limit:
            break
    return records


def load_run(folder: Path) -> RunRecord:
    """One run as it stands now.

    Raises:
        RunError: the folder is no run, or its state.json is damaged.
    """
    run = RunPaths(folder=folder)
    state = read_state(run)
    if not state.status.is_live:
        return _record(folder, state)
    tally = Tally.glance(run)
    return _record(folder, settle(run, state, tally, is_alive=_is_alive(state, tally)))


def is_run_alive(run: RunPaths) -> bool:
    """Whether any process of the run lives: supervisor, accelerate, or the training itself."""
    try:
        state = read_state(run)
    except RunError:
        return False
    if not state.status.is_live:
        return False
    known = (state.supervisor, state.trainer_process)  # asked first: a dashboard asks often, events cost more
    return any(process is not None and process.is_alive for process in known) or _is_alive(
        state, Tally.glance(run)
    )


def settle(run: RunPaths, state: RunState, tally: Tally, *, is_alive: bool) -> RunState:
    """`state` brought up to what the events and the processes say: a killed supervisor wrote no end."""
    from dataclasses import replace

    state = replace(
        state,
        step=max(state.step, tally.step),
        total_steps=tally.total_steps or state.total_steps,
        last_state=tally.last_state or state.last_state,
        last_save=tally.last_save or state.last_save,
    )
    if is_alive:
        return replace(state, status=Status.RUNNING if tally.process else state.status)
    if _is_starting(state):
        return state
    status, error = conclude(run, tally, state.exit_code)
    return replace(state, status=status, error=error, ended=tally.ended_at or state.ended or _last_sign(run))


def _is_alive(state: RunState, tally: Tally) -> bool:
    processes = (state.supervisor, state.trainer_process, tally.process)
    return any(process is not None and process.is_alive for process in processes)


def _is_starting(state: RunState) -> bool:
    age = time.time() - state.created
    return state.status is Status.PENDING and state.supervisor is None and 0 <= age < STARTING_S


def _last_sign(run: RunPaths) -> float | None:
    """When the run last wrote anything."""
    times = []
    for path in (run.events, run.log, run.state_json):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=None)


def chain(paths: Paths, record: RunRecord) -> list[RunRecord]:
    """The runs that `record` continues, nearest first; ends at one that is gone or damaged."""
    ancestors: list[RunRecord] = []
    seen = {record.id}
    parent = record.parent
    while parent and parent not in seen and len(ancestors) < MAX_CHAIN:
        seen.add(parent)
        folder = paths.runs / Path(parent).name  # a name, never a path, whatever stands in the file
        try:
            ancestors.append(load_run(folder))
        except RunError:
            break
        parent = ancestors[-1].parent
    return ancestors


def find_run(paths: Paths, text: str | None, *, live: bool = False, resumable: bool = False) -> RunRecord:
    """The run that `text` means: its id or folder, the beginning of its id, or its name; None means the newest.

    Among several, `live` prefers one that is going on, `resumable` one that can be continued and was not yet.
    With None only such a run will do; a run that was named is returned as it is.

    Raises:
        RunError: none fits, or several do.
    """
    suits = _suits(live=live, resumable=resumable)
    if text is None:
        return _newest(paths, suits, live=live, resumable=resumable)
    word = Path(text).name if os.sep in text or "/" in text else text
    ids = [folder.name for folder in _folders(paths)]
    if word in ids:
        return load_run(paths.runs / word)
    starting = [name for name in ids if word and name.startswith(word)]
    if len(starting) == 1:
        return load_run(paths.runs / starting[0])
    records = list_runs(paths)
    found = [record for record in records if record.name == word] or [
        r for r in records if r.id in set(starting)
    ]
    if not found:
        raise _unknown(text, records)
    if len({record.name for record in found}) > 1:
        raise RunError(
            f"{text!r} is the beginning of several runs", fix=f"say which: {', '.join(r.id for r in found)}"
        )
    return next((record for record in found if suits(record)), found[0])


def _suits(*, live: bool, resumable: bool) -> Callable[[RunRecord], bool]:
    def suits(record: RunRecord) -> bool:
        if live:
            return record.status.is_live
        return not resumable or (record.status.is_resumable and not record.resumed_by)

    return suits


def _newest(paths: Paths, suits: Callable[[RunRecord], bool], *, live: bool, resumable: bool) -> RunRecord:
    for folder in _folders(paths):
        try:
            record = load_run(folder)
        except RunError:
            continue
        if suits(record):
            return record
    if live:
        raise RunError("no training is going on", fix=f"start one: {COMMAND} train PRESET --data FOLDER")
    if resumable:
        raise RunError(
            "there is no run to go on with",
            why="every run is finished, going on, or was continued by another",
        )
    raise RunError("there are no runs yet", fix=f"start one: {COMMAND} train PRESET --data FOLDER")


def _unknown(text: str, records: list[RunRecord]) -> RunError:
    names = [record.id for record in records] + [record.name for record in records]
    close = difflib.get_close_matches(text, names, n=1)
    return RunError(
        f"there is no run {text!r}",
        fix=f"did you mean {close[0]}?" if close else f"{COMMAND} runs --all lists them",
    )


def _folders(paths: Paths) -> Iterator[Path]:
    """Run folders, newest first: their names begin with the time. One look at the folder, no `stat` each."""
    try:
        with os.scandir(paths.runs) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return
    for name in sorted(names, reverse=True):
        yield paths.runs / name


def _continuation(folder: Path, run_id: str | None) -> str | None:
    """The run that went on with this one, while it is there: without it this one can be continued again."""
    if not run_id:
        return None
    name = Path(run_id).name  # a name, never a path, whatever stands in the file
    return name if RunPaths(folder=folder.parent / name).state_json.exists() else None


def _record(folder: Path, state: RunState) -> RunRecord:
    return RunRecord(
        id=folder.name,
        folder=folder,
        name=state.name,
        preset=state.preset,
        trainer=state.trainer,
        status=state.status,
        created=state.created,
        ended=state.ended,
        step=state.step,
        total_steps=state.total_steps,
        last_state=state.last_state,
        error=state.error,
        parent=state.parent,
        resumed_by=_continuation(folder, state.resumed_by),
        reason=reason_of(RunPaths(folder=folder)) if state.status is Status.PAUSED else None,
    )
