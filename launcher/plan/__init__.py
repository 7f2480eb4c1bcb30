"""Plans: everything about a run, decided before anything is touched, printable and storable."""

from launcher.plan.dataset import Part, parts_of
from launcher.plan.files import render_argv, render_dataset_toml, render_train_toml
from launcher.plan.folders import ImageFolder, Survey, is_there, survey
from launcher.plan.metadata import read_metadata
from launcher.plan.names import check_name, make_name
from launcher.plan.proposal import Proposal, fits, in_order, propose, why_too_large
from launcher.plan.records import PLAN_VERSION, Plan, Request
from launcher.plan.resolver import continue_plan, resolve, vary_plan
from launcher.plan.storage import plan_from_json, plan_to_json
from launcher.plan.trainer import choose_trainer

__all__ = [
    "PLAN_VERSION",
    "ImageFolder",
    "Part",
    "Plan",
    "Proposal",
    "Request",
    "Survey",
    "check_name",
    "choose_trainer",
    "continue_plan",
    "fits",
    "in_order",
    "is_there",
    "make_name",
    "parts_of",
    "plan_from_json",
    "plan_to_json",
    "propose",
    "read_metadata",
    "render_argv",
    "render_dataset_toml",
    "render_train_toml",
    "resolve",
    "survey",
    "vary_plan",
    "why_too_large",
]
