"""Reasons not to start: every check is a generator of problems, and all of them are shown before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Severity
from launcher.preflight.captions import check_captions
from launcher.preflight.changes import check_changes, check_same_model
from launcher.preflight.data import check_data
from launcher.preflight.environment import check_environment
from launcher.preflight.gate import Outcome, ask, name_of
from launcher.preflight.images import check_images
from launcher.preflight.model import check_files, check_model
from launcher.preflight.need import check_forecast
from launcher.preflight.options import check_options
from launcher.preflight.output import check_output
from launcher.preflight.room import check_room
from launcher.preflight.shapes import check_shapes

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan
    from launcher.preflight.gate import Check

__all__ = ["ABOUT", "CHECKS", "RESUME_CHECKS", "Outcome", "ask", "check_plan", "check_resume", "name_of"]

CHECKS: tuple[Check, ...] = (
    check_environment, check_model, check_files, check_data, check_images, check_captions, check_shapes, check_options, check_forecast, check_output,
    check_room,
)  # fmt: skip
# Before a run goes on. What a forecast thinks of it is not asked: it has been training.
RESUME_CHECKS: tuple[Check, ...] = (
    check_environment, check_model, check_same_model, check_files, check_data, check_changes, check_images, check_captions,
    check_options, check_output, check_room,
)  # fmt: skip
# Of these also warnings and notes are told at a resume; what the others warn of was known when the run began.
TOLD_AGAIN = frozenset({"environment", "same_model", "changes", "output", "room"})
ABOUT = {  # each check in words for people, and what it reads: for those who wait, and for those who add one
    "environment": ("training environment", "a few small files"),
    "model": ("base model", "its header, some hundred kilobytes; never its weights"),
    "files": ("other files", "whether they are there"),
    "data": ("folders with images", "the names in them; metadata files as a whole"),
    "images": ("images", "every one, decoded to its end"),
    "captions": ("captions", "every one"),
    "shapes": ("buckets and length", "nothing new: the sizes that the check of the images found"),
    "options": ("settings and computer", "nothing: it thinks about the plan and the card"),
    "forecast": (
        "memory of card and computer",
        "nothing of yours: it counts, and asks the driver who is on the card",
    ),
    "changes": ("images as before", "size and time of every image and caption; only at a resume"),
    "same_model": ("base model as before", "its header and 64 places in it; only at a resume"),
    "output": ("place of the run", "writes four kilobytes, and removes them"),
    "room": ("room on the disk", "asks how much is free"),
}


def check_plan(paths: Paths, plan: Plan, machine: Machine) -> list[Problem]:
    """Everything that speaks against starting this plan, in the order in which a run would meet it."""
    return [problem for outcome in ask(paths, plan, machine, CHECKS) for problem in outcome.problems]


def check_resume(paths: Paths, plan: Plan, machine: Machine) -> list[Problem]:
    """What speaks against going on with a run: every error, and of warnings those that may be new since it began."""
    found = [problem for outcome in ask(paths, plan, machine, RESUME_CHECKS) for problem in outcome.problems]
    return [it for it in found if it.severity is Severity.ERROR or it.check in TOLD_AGAIN]
