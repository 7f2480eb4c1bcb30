"""What may be said to the user: expected failures with their exit codes, and problems found by checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class LauncherError(Exception):
    """An expected failure, shown in words and never as a traceback.

    Args:
        what: what happened, one sentence.
        why: the likely cause.
        fix: what to do about it.
        where: file, line and key, or a log to read.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "", where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.where = where


class UsageError(LauncherError):
    """The command line cannot be carried out as written (argparse uses the same code)."""

    exit_code = 2


class InputError(LauncherError):
    """A file that the user gave (preset, settings, dataset) is wrong."""

    exit_code = 4

    def __init__(
        self, what: str, *, problems: tuple[Problem, ...] = (), why: str = "", fix: str = "", where: str = ""
    ) -> None:
        super().__init__(what, why=why, fix=fix, where=where)
        self.problems = problems


class PreflightError(InputError):
    """A check found a reason not to start."""

    exit_code = 5


class InstallError(LauncherError):
    """An environment could not be made or proved."""

    exit_code = 6


class TrainingError(LauncherError):
    """A training run ended without its result."""

    exit_code = 7


class RunError(LauncherError):
    """A run folder is missing, busy, or cannot be used for what was asked."""

    exit_code = 8


EXIT_BUG = 3
EXIT_WARNINGS = 9
EXIT_INTERRUPTED = 130
EXIT_CODES = {
    0: "done",
    1: "failed for a known reason",
    2: "the command line is wrong",
    3: "a bug in the launcher: the log's path is printed",
    4: "a preset or another input file is wrong",
    5: "preflight found a reason not to start",
    6: "an environment could not be made",
    7: "the training ended without its result",
    8: "the run is missing, busy or cannot be used so",
    9: "a check found warnings and no errors (0 with --force)",
    130: "interrupted from the keyboard",
}


class Severity(str, Enum):
    """How much a problem matters: an error stops, a warning asks, a note only tells."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One finding of a check: what, where, why it matters, what to do. `check` is the name of the check, for programs."""

    severity: Severity
    what: str
    why: str = ""
    fix: str = ""
    where: str = ""
    check: str = ""

    @property
    def as_json(self) -> dict[str, str]:
        """The form in which every `--json` lists it; all of it is there, empty where nothing is to be said."""
        return {
            "check": self.check,
            "severity": self.severity.value,
            "what": self.what,
            "why": self.why,
            "fix": self.fix,
            "where": self.where,
        }


def exit_code_of(problems: Iterable[Problem], *, force: bool = False) -> int:
    """What a command that only checks returns: 0 nothing or notes, 9 warnings (0 with `force`), 5 errors, forced or not."""
    worst = {problem.severity for problem in problems}
    if Severity.ERROR in worst:
        return PreflightError.exit_code
    return EXIT_WARNINGS if Severity.WARNING in worst and not force else 0
