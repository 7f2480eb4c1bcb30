"""Is there a training environment, and is it whole?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.install import trainer_ready
from launcher.paths import command
from launcher.plan import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan


def check_environment(paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """The training environment was made and proved, and the trainer's script is there."""
    reason = trainer_ready(paths, plan.trainer)
    if reason:
        yield Problem(
            severity=Severity.ERROR, what=f"the training environment for {plan.trainer} is not ready", why=reason,
            fix=command("install", plan.trainer), where=str(paths.trainer_venv(plan.trainer)),
        )  # fmt: skip
    if not is_there(plan.script):
        yield Problem(
            severity=Severity.ERROR, what="the training script is missing",
            fix="restore the file from the download of this version", where=str(plan.script),
        )  # fmt: skip
