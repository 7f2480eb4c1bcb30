"""`state.json`: everything that a list of runs needs of one run, in one small file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import RunError
from launcher.events import Status
from launcher.files import write_json
from launcher.process import ProcessId

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.history.reason import Reason
    from launcher.paths import RunPaths

VERSION = 1
MAX_COUNT = 10**9  # steps; more than any training has
LAST_MOMENT = 32_503_680_000.0  # the year 3000, where localtime of Windows ends
# {"error": class name, "message": its words, "kind": in launcher.failures, "unsound_from": states from this step on}
Failure = dict[str, str]
MORE_OF_FAILURE = ("kind", "unsound_from")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """The content of `state.json`, as its writer last knew it. Times are seconds since the epoch."""

    name: str
    preset: str
    trainer: str
    created: float
    status: Status = Status.PENDING
    ended: float | None = None
    supervisor: ProcessId | None = None
    trainer_process: ProcessId | None = None
    exit_code: int | None = None
    step: int = 0
    total_steps: int | None = None
    last_state: str | None = None
    last_save: str | None = None
    error: Failure | None = None
    parent: str | None = None
    resumed_by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run as it stands: `status` is what is true now, whatever the last writer of `state.json` knew."""

    id: str
    folder: Path
    name: str
    preset: str
    trainer: str
    status: Status
    created: float
    ended: float | None
    step: int
    total_steps: int | None
    last_state: str | None
    error: Failure | None
    parent: str | None
    resumed_by: str | None
    reason: Reason | None = None  # why it was paused by itself


def write_state(run: RunPaths, state: RunState) -> None:
    """Replace `state.json` as a whole.

    Raises:
        OSError: disk full, or the run folder is gone.
    """
    value: dict[str, Any] = {"v": VERSION, **asdict(state)}
    for key in ("supervisor", "trainer_process"):
        process = getattr(state, key)
        value[key] = process.to_json() if process else None
    write_json(run.state_json, {**value, "status": state.status.value})


def read_state(run: RunPaths) -> RunState:
    """The state of a run; single values that make no sense are left at their defaults.

    Raises:
        RunError: there is no `state.json`, or it is damaged as a whole.
    """
    path = run.state_json
    try:
        with open(path, "rb") as stream:  # noqa: PTH123  (a list of runs opens thousands: pathlib costs as much as JSON)
            value = json.loads(stream.read())
    except OSError as error:
        raise RunError(f"{run.folder.name} is not a run folder, or cannot be read", why=str(error)) from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"state.json of {run.folder.name} is damaged", where=str(path)) from error
    if not isinstance(value, dict):
        raise RunError(f"state.json of {run.folder.name} is damaged", where=str(path))
    return _from_json(run.folder.name, value)


def _from_json(run_id: str, value: dict[str, Any]) -> RunState:
    return RunState(
        name=_text(value.get("name")) or run_id,
        preset=_text(value.get("preset")) or "",
        trainer=_text(value.get("trainer")) or "",
        created=_moment(value.get("created")) or 0.0,
        status=_status(value.get("status")),
        ended=_moment(value.get("ended")),
        supervisor=ProcessId.from_json(value.get("supervisor")),
        trainer_process=ProcessId.from_json(value.get("trainer_process")),
        exit_code=_whole(value.get("exit_code")),
        step=_count(value.get("step")) or 0,
        total_steps=_count(value.get("total_steps")),
        last_state=_text(value.get("last_state")),
        last_save=_text(value.get("last_save")),
        error=_failure(value.get("error")),
        parent=_text(value.get("parent")),
        resumed_by=_text(value.get("resumed_by")),
    )


def _status(value: object) -> Status:
    try:
        return Status(value)
    except ValueError:
        return Status.PENDING  # unknown word: then processes and events decide


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _count(value: object) -> int | None:
    number = _whole(value)
    return number if number is not None and 0 <= number <= MAX_COUNT else None


def _moment(value: object) -> float | None:
    """A time that every system's clock can show: one damaged file must not take the whole history down."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= LAST_MOMENT:
        return None
    return float(value)


def _failure(value: object) -> Failure | None:
    if not isinstance(value, dict):
        return None
    more = {name: str(value[name]) for name in MORE_OF_FAILURE if isinstance(value.get(name), (str, int))}
    return {"error": str(value.get("error") or ""), "message": str(value.get("message") or ""), **more}
