"""Reasons not to start: every check is a generator of problems, and all of them are shown before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.preflight.captions import check_captions
from launcher.preflight.data import check_data
from launcher.preflight.environment import check_environment
from launcher.preflight.gate import Outcome, ask, name_of
from launcher.preflight.images import check_images
from launcher.preflight.model import check_files, check_model
from launcher.preflight.options import check_options
from launcher.preflight.output import check_output
from launcher.preflight.room import check_room

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan
    from launcher.preflight.gate import Check

__all__ = ["CHECKS", "COSTS", "Outcome", "ask", "check_plan", "name_of"]

CHECKS: tuple[Check, ...] = (
    check_environment, check_model, check_files, check_data, check_images, check_captions, check_options, check_output, check_room,
)  # fmt: skip
COSTS = {  # what each of them reads: for people who wait, and for those who add a check
    "environment": "a few small files",
    "model": "the header of the base model, some hundred kilobytes; never its weights",
    "files": "whether they are there",
    "data": "the names in the folders; metadata files as a whole",
    "images": "every image, decoded to its end",
    "captions": "every caption",
    "options": "nothing: it thinks about the plan and this computer",
    "output": "writes four kilobytes where the runs lie, and removes them",
    "room": "asks how much of the disk is free",
}


def check_plan(paths: Paths, plan: Plan, machine: Machine) -> list[Problem]:
    """Everything that speaks against starting this plan, in the order in which a run would meet it."""
    return [problem for outcome in ask(paths, plan, machine, CHECKS) for problem in outcome.problems]
