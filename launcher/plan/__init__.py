"""Plans: everything about a run, decided before anything is touched, printable and storable."""

from launcher.plan.dataset import Part, parts_of
from launcher.plan.files import render_argv, render_dataset_toml, render_train_toml
from launcher.plan.folders import ImageFolder, Survey, is_there, survey
from launcher.plan.metadata import read_metadata
from launcher.plan.names import check_name, make_name
from launcher.plan.records import PLAN_VERSION, Plan, Request
from launcher.plan.resolver import continue_plan, resolve
from launcher.plan.storage import plan_from_json, plan_to_json

__all__ = [
    "PLAN_VERSION",
    "ImageFolder",
    "Part",
    "Plan",
    "Request",
    "Survey",
    "check_name",
    "continue_plan",
    "is_there",
    "make_name",
    "parts_of",
    "plan_from_json",
    "plan_to_json",
    "read_metadata",
    "render_argv",
    "render_dataset_toml",
    "render_train_toml",
    "resolve",
    "survey",
]
