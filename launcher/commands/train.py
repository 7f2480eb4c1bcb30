"""`train`: resolve, check, run, watch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.errors import PreflightError, UsageError

if TYPE_CHECKING:
    import argparse

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan, Request


def train(paths: Paths, options: argparse.Namespace) -> int:
    """Train a LoRA from a preset."""
    plan = plan_of(paths, options)
    if options.dry_run:
        return show(paths, plan, as_json=options.json)
    if not options.json:
        from launcher.ui import console

        console.show_summary(plan, common.forecast_of(paths, plan))
    problems = common.check(paths, plan, force=options.force, yes=options.yes, is_json=options.json)
    run = common.launch(paths, plan)
    if options.json:
        from launcher.ui import console

        found = [problem.as_json for problem in problems]
        console.write_json({"run": run.folder.name, "folder": str(run.folder), "problems": found})
    if options.background:
        return common.say_started(run, quiet=options.json)
    return common.follow(paths, run, is_json=options.json)


def plan_of(paths: Paths, options: argparse.Namespace) -> Plan:
    """The plan that the command line asks for; asks for the data folder where somebody can answer."""
    from launcher.plan import Request, resolve

    data = tuple(options.data or ())
    if not data and not _has_default(paths, "data"):
        from launcher.preset import load_preset
        from launcher.ui import prompts

        load_preset(paths, options.preset)  # before the question: one that is not there needs no folder
        if options.yes or not prompts.can_ask():
            raise UsageError(
                "There is nothing to train on yet", fix="give the folder with your images: --data DIR"
            )
        data = (str(prompts.ask_path("Folder with your images", flag="--data", kind="folder")),)
    request = Request(
        preset=options.preset,
        trainer=options.trainer,
        model=Path(options.model) if options.model else None,
        data=data or None,
        reg=tuple(options.reg),
        name=options.name,
        settings=tuple(options.settings),
        gpus=options.gpus,
    )
    machine = common.machine_of(paths)
    if not (options.yes or options.dry_run or options.json):
        request = replace(request, model=_model_for(paths, request, machine))
    return resolve(paths, request, machine)


def _model_for(paths: Paths, request: Request, machine: Machine) -> Path | None:
    """The base model; asked for where one is needed and somebody is there. Else preflight says that it is missing."""
    from launcher.commands.guide import ask_for_model
    from launcher.ui import prompts

    return ask_for_model(paths, request, machine) if prompts.can_ask() else request.model


def _has_default(paths: Paths, key: str) -> bool:
    from launcher.preset import load_settings

    return key in load_settings(paths).defaults


def show(paths: Paths, plan: Plan, *, as_json: bool) -> int:
    """The dry run: the plan and the problems it would meet; nothing is written. 5 when it would not start."""
    from launcher.plan import plan_to_json
    from launcher.preflight import check_plan
    from launcher.ui import console

    with common.images_counted(is_quiet=as_json):
        problems = check_plan(paths, plan, common.machine_of(paths))
    expected = common.forecast_of(paths, plan)
    if as_json:
        found = [problem.as_json for problem in problems]
        console.write_json(
            {"plan": json.loads(plan_to_json(plan)), "forecast": expected.to_json(), "problems": found}
        )
    else:
        console.show_plan(plan, expected)
        console.show_problems(problems)
    return PreflightError.exit_code if common.errors_of(problems) else 0
