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

__all__ = ["ABOUT", "CHECKS", "Outcome", "ask", "check_plan", "name_of"]

CHECKS: tuple[Check, ...] = (
    check_environment, check_model, check_files, check_data, check_images, check_captions, check_options, check_output, check_room,
)  # fmt: skip
ABOUT = {  # each check in words for people, and what it reads: for those who wait, and for those who add one
    "environment": ("training environment", "a few small files"),
    "model": ("base model", "its header, some hundred kilobytes; never its weights"),
    "files": ("other files", "whether they are there"),
    "data": ("folders with images", "the names in them; metadata files as a whole"),
    "images": ("images", "every one, decoded to its end"),
    "captions": ("captions", "every one"),
    "options": ("settings and computer", "nothing: it thinks about the plan and the card"),
    "output": ("place of the run", "writes four kilobytes, and removes them"),
    "room": ("room on the disk", "asks how much is free"),
}


def check_plan(paths: Paths, plan: Plan, machine: Machine) -> list[Problem]:
    """Everything that speaks against starting this plan, in the order in which a run would meet it."""
    return [problem for outcome in ask(paths, plan, machine, CHECKS) for problem in outcome.problems]
