"""Goes on where a run stopped: the newest state of its whole chain that proves good, and a new run that starts there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, RunError, UsageError
from launcher.history import chain
from launcher.paths import RunPaths
from launcher.run import check_resumable, create_run, start_run
from launcher.states import clear_leftovers, list_states, state_step, verify_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from launcher.history import RunRecord
    from launcher.paths import Paths
    from launcher.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class ResumePoint:
    """Where to go on. `state` is None when there is no good one: then from the beginning, `step` 0."""

    state: Path | None
    step: int
    run_id: str
    rejected: tuple[tuple[Path, str], ...]  # newer states that are damaged, each with the reason


def find_resume_point(paths: Paths, record: RunRecord) -> ResumePoint:
    """The newest state of the run and of those it continues that is complete and verified."""
    records = [record, *chain(paths, record)]
    folders = [one.folder for one in records]
    unsound, first = {}, math.inf
    for one in records:  # what broke a run down may lie in the state that it began with: its parent's
        first = min(first, _unsound_from(one))
        unsound[one.folder] = first
    rejected: list[tuple[Path, str]] = []
    for state in _newest_first(folders):
        reason = _why_unsound(state, unsound) or verify_state(state)
        if reason is None:
            run_id = state.parent.parent.name
            return ResumePoint(
                state=state, step=state_step(state) or 0, run_id=run_id, rejected=tuple(rejected)
            )
        rejected.append((state, reason))
    return ResumePoint(state=None, step=0, run_id=record.id, rejected=tuple(rejected))


def _unsound_from(record: RunRecord) -> float:
    """The step from which on the states of a run are not to be trusted; infinite: all of them are."""
    said = (record.error or {}).get("unsound_from", "")
    return int(said) if said.isdecimal() else math.inf


def _why_unsound(state: Path, unsound: dict[Path, float]) -> str | None:
    """A state that was written when the loss had stopped being a number is whole, and worth nothing."""
    first = unsound.get(state.parent.parent, math.inf)
    is_bad = (state_step(state) or 0) >= first
    return f"the loss was not a number any more (from step {first} on)" if is_bad else None


def _newest_first(folders: list[Path]) -> Iterator[Path]:
    """States of all runs by step; of two with the same step the younger run's (the sort is stable)."""
    states = [state for folder in folders for state in list_states(RunPaths(folder=folder))]
    yield from sorted(states, key=lambda state: state_step(state) or 0, reverse=True)


def resume_plan(
    paths: Paths, record: RunRecord, point: ResumePoint | None = None, *, settings: Sequence[str] = ()
) -> Plan:
    """The plan of `record`, equal but for its parent, the state to start from, and what `settings` change.

    Raises:
        RunError: the run is going on, finished, or was continued already; or its plan is damaged.
        UsageError: a word of `settings` cannot be understood, or may not be changed in the middle of a run.
    """
    from launcher.plan import continue_plan, plan_from_json
    from launcher.plan.changes import change_plan

    check_resumable(record)
    point = point or find_resume_point(paths, record)
    path = RunPaths(folder=record.folder).plan
    try:
        plan = change_plan(paths, plan_from_json(path.read_bytes()), settings)
        return continue_plan(paths, plan, parent=record.id, state=point.state)
    except OSError as error:
        raise RunError(
            f"{record.id} cannot be continued: its plan.json cannot be read", why=str(error)
        ) from error
    except UsageError:
        raise
    except LauncherError as error:
        reason = error.why or error.fix
        raise RunError(
            f"{record.id} cannot be continued: {error.what}", why=reason, where=str(path)
        ) from error


def resume_run(
    paths: Paths, record: RunRecord, *, settings: Sequence[str] = (), agree: Callable[[Plan], None] = lambda _: None
) -> tuple[ResumePoint, RunPaths]:  # fmt: skip
    """Start the run that goes on with `record`, unless `agree` raises. Of several that try at once, one wins.

    Raises:
        RunError: see `resume_plan`, or another launcher was faster.
        UsageError: see `resume_plan`.
    """
    check_resumable(record)
    for folder in (record.folder, *(parent.folder for parent in chain(paths, record))):
        for place in (RunPaths(folder=folder).states, RunPaths(folder=folder).output):
            clear_leftovers(place)
    point = find_resume_point(paths, record)
    plan = resume_plan(paths, record, point, settings=settings)
    agree(plan)
    run = create_run(paths, plan)
    start_run(paths, run)
    return point, run
