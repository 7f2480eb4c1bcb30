"""Asks every check, whatever one of them does: a check that breaks is a bug to be told of, and the others still answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.errors import InputError, LauncherError, Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

    Check = Callable[[Paths, Plan, Machine], Iterator[Problem]]

PREFIX = "check_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one check found, and how long it took."""

    check: str
    problems: tuple[Problem, ...]
    seconds: float

    @property
    def worst(self) -> Severity | None:
        """Of its problems the gravest; None when there are none."""
        found = {problem.severity for problem in self.problems}
        return next((severity for severity in Severity if severity in found), None)


def name_of(check: Check) -> str:
    """`check_room` is called `room`, in `--json` and on the screen."""
    return check.__name__.removeprefix(PREFIX)


def ask(paths: Paths, plan: Plan, machine: Machine, checks: Iterable[Check]) -> Iterator[Outcome]:
    """The checks one after the other; each problem carries the name of its check."""
    for check in checks:
        began = time.monotonic()
        found = tuple(replace(it, check=name_of(check)) for it in _findings(paths, plan, machine, check))
        yield Outcome(check=name_of(check), problems=found, seconds=time.monotonic() - began)


def _findings(paths: Paths, plan: Plan, machine: Machine, check: Check) -> Iterator[Problem]:
    """What the check yields, also what it said before it broke."""
    try:
        yield from check(paths, plan, machine)
    except LauncherError as error:  # a check that gives up in words
        yield from error.problems if isinstance(error, InputError) and error.problems else (_refusal(error),)
    except Exception as error:  # noqa: BLE001  (any bug of one check: nobody shall be kept from the others by it)
        yield _bug(paths, check, error)


def _refusal(error: LauncherError) -> Problem:
    return Problem(severity=Severity.ERROR, what=error.what, why=error.why, fix=error.fix, where=error.where)


def _bug(paths: Paths, check: Check, error: Exception) -> Problem:
    from launcher.crash import write_log

    return Problem(
        severity=Severity.WARNING, what=f'the check "{name_of(check)}" broke off: what it looks at is not checked',
        why=f"a mistake in the launcher, not in your files ({type(error).__name__})",
        fix="please report it with the log that is named here; you may start without this check", where=str(write_log(paths.logs, error)),
    )  # fmt: skip
