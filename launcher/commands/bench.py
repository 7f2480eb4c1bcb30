"""`bench`: is it worth it? Stock against boosted, on this very card."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.errors import InputError, RunError, Severity, UsageError
from launcher.paths import RunPaths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.bench import Row, Variant
    from launcher.errors import Problem, TrainingError
    from launcher.machine.benched import Comparison
    from launcher.paths import Paths
    from launcher.plan import Plan

LEAST_STEPS, MOST_STEPS, MOST_ROUNDS = 4, 10_000, 100
RECENT = 20
ABOUT_LEARNING = frozenset({"images", "captions", "shapes", "data"})


def bench(paths: Paths, options: argparse.Namespace) -> int:
    """Resolve, check, run in turn, print the table, keep the result."""
    from launcher.bench import WARM_UP, plan_of, scratch, turns_of, variants_of
    from launcher.bench import bench as run_all
    from launcher.ui import bench_view

    refuse_numbers(options.steps, options.rounds)
    refuse_beside_others(paths)
    plan = ask_plan(paths, options)
    refuse_without_boosts(paths, plan)
    variants = variants_of(plan, each=options.each)
    short = plan_of(paths, plan, variants[1], steps=options.steps)
    turns = list(turns_of(variants, options.rounds))
    if not options.json:
        expected_s = _expected_s(paths, short, len(turns))
        bench_view.show_beginning(plan, turns, steps=options.steps, warm_up=WARM_UP, expected_s=expected_s)
    common.decide(problems_of(paths, short, is_quiet=options.json), force=options.force, yes=options.yes, is_json=options.json)  # fmt: skip
    with scratch(paths) as place, bench_view.progress(is_quiet=options.json) as tell:
        measured, failed = run_all(paths, place, plan, turns, steps=options.steps, tell=tell)
    return conclude(paths, plan, variants, measured, failed, is_json=options.json)


def problems_of(paths: Paths, short: Plan, *, is_quiet: bool) -> list[Problem]:
    """What speaks against running it. What would be learned from these pictures in so few steps is no question here."""
    from launcher.preflight import check_plan

    with common.images_counted(is_quiet=is_quiet):
        found = check_plan(paths, short, common.machine_of(paths))
    return [it for it in found if it.severity is Severity.ERROR or it.check not in ABOUT_LEARNING]


def refuse_numbers(steps: int, rounds: int) -> None:
    """Raises UsageError for numbers that measure nothing, or for ever."""
    if not LEAST_STEPS <= steps <= MOST_STEPS:
        raise UsageError(f"--steps {steps}: from {LEAST_STEPS} to {MOST_STEPS}, fewer tell nothing")
    if not 1 <= rounds <= MOST_ROUNDS:
        raise UsageError(f"--rounds {rounds}: from 1 to {MOST_ROUNDS}")


def refuse_beside_others(paths: Paths) -> None:
    """Two trainings on one computer measure each other. Raises RunError where one is going on."""
    from launcher.history import list_runs

    live = [record for record in list_runs(paths, limit=RECENT) if record.status.is_live]
    if live:
        raise RunError(
            f"{live[0].id} is training: beside it nothing can be measured",
            fix="wait for its end, or pause it; then bench again",
        )


def refuse_without_boosts(paths: Paths, plan: Plan) -> None:
    """Raises UsageError for a trainer that nothing can be compared with."""
    from launcher.bench import why_not
    from launcher.trainers import FULL_TRAINER, load_trainer

    reason = why_not(load_trainer(paths, plan.trainer))
    if reason:
        raise UsageError(
            reason,
            why="boosts replace operations of sd-scripts' training of SDXL",
            fix=f"--trainer {FULL_TRAINER}, with its environment installed and a base model: --model FILE",
        )


def ask_plan(paths: Paths, options: argparse.Namespace) -> Plan:
    """The training to measure: what the words say, what the last run used, and what somebody answers.

    Raises:
        UsageError: something is missing, and nobody can be asked.
    """
    last = last_plan(paths)
    has_words = (
        options.preset or options.data or options.reg or options.model or options.trainer or options.settings
    )
    if last is not None and not has_words:
        return _as_of_now(paths, last)
    if last is None and options.preset is None:
        return _guided(paths, options)
    from launcher.commands.train import plan_of

    words = {"name": None, "gpus": None, "dry_run": False, "preset": options.preset or (last and last.preset)}
    for name, value in words.items():
        setattr(options, name, value)
    if last is not None:
        options.data = options.data or ([str(last.data)] if last.data.exists() else None)
        options.model = options.model or (last.model and str(last.model))
    return plan_of(paths, options)


def _guided(paths: Paths, options: argparse.Namespace) -> Plan:
    """The menu's questions, where somebody is there to answer."""
    from launcher.ui import prompts

    plan = None
    if not options.yes and not options.json and prompts.can_ask():
        from launcher.commands.guide import ask_for_plan

        plan = ask_for_plan(paths)
    if plan is None:
        raise UsageError(
            "there is no run yet to take the settings from",
            fix="name a preset, images and a base model: bench PRESET --data DIR --model FILE",
        )
    return plan


def last_plan(paths: Paths) -> Plan | None:
    """The plan of the newest run whose trainer has boosts; None: there is none."""
    from launcher.bench import why_not
    from launcher.history import list_runs
    from launcher.plan import plan_from_json
    from launcher.trainers import load_trainer

    for record in list_runs(paths, limit=RECENT):
        try:
            plan = plan_from_json(RunPaths(folder=record.folder).plan.read_bytes())
            if why_not(load_trainer(paths, plan.trainer)) is None:
                return plan
        except (InputError, OSError):
            continue
    return None


def _as_of_now(paths: Paths, plan: Plan) -> Plan:
    """An old plan on today's computer, with the switches that it did not know."""
    from launcher.plan.device import choose_device
    from launcher.plan.switches import complete_switches
    from launcher.trainers import load_trainer

    device = choose_device(paths, plan.trainer, common.machine_of(paths))
    options = {**complete_switches(load_trainer(paths, plan.trainer), {}), **plan.options}
    return replace(plan, machine={**plan.machine, "device": device}, options=options)


def _expected_s(paths: Paths, short: Plan, runs: int) -> float | None:
    total = common.forecast_of(paths, short).total_s
    return None if total is None else total * runs


def conclude(
    paths: Paths, plan: Plan, variants: Sequence[Variant], measured: Sequence[object], failed: Mapping[str, TrainingError], *,
    is_json: bool,
) -> int:  # fmt: skip
    """Print what there is, keep it, and tell an error as `train` tells it.

    Raises:
        TrainingError: a training ended without its result; the table was printed before.
    """
    from launcher.bench import advice, comparison_of, rows_of

    rows = rows_of(variants, measured, failed)  # type: ignore[arg-type]
    found = comparison_of(plan, variants[1], rows)
    kept = keep(paths, found)
    said = advice(found, rows)
    _show(rows, said, kept, found, is_json=is_json)
    for error in failed.values():
        raise error
    return 0


def keep(paths: Paths, found: Comparison | None) -> Path | None:
    """Write the result down; None: there is none, or the disk does not take it (the table is still worth having)."""
    from launcher.machine.benched import keep_comparison

    if found is None:
        return None
    try:
        keep_comparison(paths, found)
    except OSError:
        return None
    return paths.bench_results


def _show(rows: Sequence[Row], said: Sequence[str], kept: Path | None, found: Comparison | None, *, is_json: bool) -> None:  # fmt: skip
    if not is_json:
        from launcher.ui import bench_view

        bench_view.show_result(rows, said, kept)
        return
    from launcher.ui import console

    console.write_json(
        {
            "card": found and found.card, "trainer": found and found.trainer, "settings": found and dict(found.settings),
            "boosts": found and found.boosts, "taken": found.taken if found else time.time(),
            "rows": [row.to_json() for row in rows], "ratio": found and round(found.ratio, 4),
            "pays": found and not found.is_slower, "advice": list(said), "kept": kept and str(kept),
        }
    )  # fmt: skip
