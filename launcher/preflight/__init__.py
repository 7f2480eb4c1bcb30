"""Reasons not to start: every check is a generator of problems, and all of them are shown before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.preflight.captions import check_captions
from launcher.preflight.data import check_data
from launcher.preflight.environment import check_environment
from launcher.preflight.images import check_images
from launcher.preflight.model import check_files, check_model
from launcher.preflight.options import check_options
from launcher.preflight.output import check_output
from launcher.preflight.room import check_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.errors import Problem
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

    Check = Callable[[Paths, Plan, Machine], Iterator[Problem]]

__all__ = ["CHECKS", "check_plan"]

CHECKS: tuple[Check, ...] = (
    check_environment, check_model, check_files, check_data, check_images, check_captions, check_options, check_output, check_room,
)  # fmt: skip


def check_plan(paths: Paths, plan: Plan, machine: Machine) -> list[Problem]:
    """Everything that speaks against starting this plan, in the order in which a run would meet it."""
    return [problem for check in CHECKS for problem in check(paths, plan, machine)]
