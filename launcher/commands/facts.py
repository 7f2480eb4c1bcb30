"""The check-up as JSON, for programs and for whoever helps from far away. No secret is in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from launcher import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.commands.checkup import Finding, Survey
    from launcher.errors import Problem
    from launcher.machine import Machine
    from launcher.machine.pythons import Python


def document(seen: Survey, findings: Iterable[Finding]) -> dict[str, Any]:
    """What `doctor --json` writes: the findings as they are on the screen, and the facts behind them."""
    return {
        "findings": [
            {"title": title, "value": value, "problem": problem and problem.what, **_judged(problem)}
            for title, value, problem in findings
        ],
        "facts": facts(seen),
    }


def _judged(problem: Problem | None) -> dict[str, str | None]:
    if problem is None:
        return {"severity": None}
    return {"severity": problem.severity.value, "why": problem.why, "fix": problem.fix}


def facts(seen: Survey) -> dict[str, Any]:
    """Numbers and names, unjudged. None stands for what was not found out in time."""
    return {
        "launcher": __version__,
        "machine": {**_machine(seen.machine), "disk_free_mib": seen.disk_mib},
        "gpus": [
            {**asdict(gpu), "capability": ".".join(map(str, gpu.capability))} for gpu in seen.machine.gpus
        ],
        "pythons": None if seen.pythons is None else [_python(python) for python in seen.pythons],
        "folder": {
            "path": str(seen.folder),
            "problems": [{"problem": problem.what, **_judged(problem)} for problem in seen.folder_problems],
        },
        "home": {"path": str(seen.home), "error": seen.home_error or None},
        "environments": [
            {
                "name": environment.name,
                "is_ready": environment.reason is None,
                "reason": environment.reason,
                "is_begun": environment.is_begun,
                "folder": str(environment.folder),
                "generations": list(environment.generations),
            }
            for environment in seen.environments
        ],
        "proxy": list(seen.proxies),  # where it is set, never what
        "indexes": None if seen.reached is None else [asdict(place) for place in seen.reached],
        "accelerate": seen.accelerate_note,
    }


def _machine(machine: Machine) -> dict[str, Any]:
    known = {**asdict(machine), "other_gpus": list(machine.other_gpus)}
    del known["gpus"]
    return known


def _python(python: Python) -> dict[str, Any]:
    version = None if python.version is None else ".".join(map(str, python.version))
    return {**asdict(python), "path": str(python.path), "version": version}
