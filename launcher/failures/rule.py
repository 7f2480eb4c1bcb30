"""One kind of failure as data: the signs by which it is recognised, the words for it, and whether trying again can help.

Signs are written like those of the installation (launcher.install.explain_rule): regular expressions on text in lower case,
a space stands for any run of white space, every repetition has a bound. Named groups fill `{file}`, `{package}`, `{option}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.install.explain_rule import first_match

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

# What the launcher itself calls an end that the trainer did not explain: then the log may.
SILENT = frozenset({"Crash", "Start", "NothingTrained", "EndedEarly", "TrainerExit"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that is known of a failure: the trainer's last error, the end of its log, where it was, how it ended."""

    error: str = ""
    message: str = ""
    traceback: str = ""
    log: str = ""
    phase: str = ""
    exit_code: int | None = None
    values: Mapping[str, object] = field(default_factory=dict)  # the plan's options
    others: tuple[str, ...] = ()  # programs that were on the card beside the training

    @property
    def told(self) -> str:
        """What the training itself said of its end."""
        return f"{self.error}: {self.message}\n{self.traceback}"

    @property
    def is_silent(self) -> bool:
        return not self.error or self.error in SILENT


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of failure.

    `errors` are names of exceptions that are this and nothing else; `signs` are looked for in what was told, and in the log
    when `in_log` or when nothing was told. `codes` are exit codes. `windows` and `linux` replace `fix` there. `again` says
    that going on without a change can succeed; `title` is for a list of runs. `going_on` are settings that help and keep the
    state, `anew` such that need a new run.
    """

    name: str
    title: str
    what: str
    why: str
    fix: str
    signs: tuple[str, ...] = ()
    errors: frozenset[str] = frozenset()
    codes: frozenset[int] = frozenset()
    windows: str = ""
    linux: str = ""
    phase: str = ""  # only in a phase of this name
    in_log: bool = False
    again: bool = True
    going_on: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()

    def search(self, lowered: str) -> re.Match[str] | None:
        """The first of the signs that is found."""
        return first_match(self.signs, lowered)

    def remedy(self, system: str) -> str:
        return {"windows": self.windows, "linux": self.linux}.get(system, "") or self.fix
