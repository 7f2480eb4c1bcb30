"""The guard of a run, as its plan wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.guard.guard import Guard
from launcher.guard.limits import Limits
from launcher.states import size_of

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.paths import RunPaths

MIB = 1 << 20


def guard_of(run: RunPaths) -> Guard | None:
    """The guard of this run; None when its plan cannot be read (then there is no training either)."""
    from launcher.plan import plan_from_json
    from launcher.plan.switches import switch_values

    try:
        plan = plan_from_json(run.plan.read_bytes())
    except (InputError, OSError):
        return None
    return Guard(
        run, Limits.of(switch_values(plan.options)),
        trainer_class=plan.trainer_class, state_mib=_size_mib(plan.resume_state),
    )  # fmt: skip


def _size_mib(state: Path | None) -> float | None:
    try:
        return size_of(state) / MIB if state is not None else None
    except OSError:
        return None
