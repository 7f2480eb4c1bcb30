"""`preflight`: everything that speaks against a training, without starting it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.errors import exit_code_of

if TYPE_CHECKING:
    import argparse

    from launcher.paths import Paths
    from launcher.plan import Plan
    from launcher.preflight import Outcome


def preflight(paths: Paths, options: argparse.Namespace) -> int:
    """Resolve the plan, ask every check, show what they found; the exit code follows the worst of it."""
    from launcher.commands.train import plan_of
    from launcher.ui import console

    options.dry_run = True  # the base model is asked for where a run starts; here its absence is a finding
    options.yes = options.yes or options.json
    plan = plan_of(paths, options)
    outcomes = look(paths, plan, quiet=options.json)
    code = exit_code_of((it for outcome in outcomes for it in outcome.problems), force=options.force)
    if options.json:
        console.write_json(
            {**as_json(plan, outcomes, code), "forecast": common.forecast_of(paths, plan).to_json()}
        )
    return code


def look(paths: Paths, plan: Plan, *, quiet: bool = False) -> list[Outcome]:
    """Ask all checks; on the screen their names with a sign each, then the problems, then the verdict."""
    from launcher.preflight import CHECKS, ask
    from launcher.ui import console

    if not quiet:
        console.show_summary(plan, common.forecast_of(paths, plan))
    with common.images_counted(is_quiet=quiet):
        outcomes = list(ask(paths, plan, common.machine_of(paths), CHECKS))
    if not quiet:
        console.show_checks(outcomes)
    return outcomes


def as_json(plan: Plan, outcomes: list[Outcome], code: int) -> dict[str, object]:
    """What programs read: the problems in the order of the checks, and how long each check took."""
    from launcher.plan import plan_to_json

    return {
        "exit_code": code,
        "problems": [problem.as_json for outcome in outcomes for problem in outcome.problems],
        "checks": [
            {
                "check": outcome.check,
                "worst": outcome.worst.value if outcome.worst else None,
                "seconds": round(outcome.seconds, 3),
            }
            for outcome in outcomes
        ],
        "plan": json.loads(plan_to_json(plan)),
    }
