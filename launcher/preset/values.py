"""The options as rules look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import Problem, Severity
from launcher.trainers import FORK, FULL_TRAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from launcher.preset.records import Setting

    Rule = Callable[["Values"], Iterator[Problem]]

DEFAULTS: dict[str, Any] = {"mixed_precision": "no", "lr_scheduler": "constant", "bucket_reso_steps": 64}


class Values:
    """Upstream's defaults fill the gaps, each value has a place, and what was looked at is remembered."""

    def __init__(self, options: Mapping[str, Setting], trainer: str = FULL_TRAINER) -> None:
        self.options = options
        self.trainer = trainer
        self.looked_at: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.looked_at.add(name)
        setting = self.options.get(name)
        return DEFAULTS.get(name) if setting is None else setting.value

    @property
    def is_fork(self) -> bool:
        return self.trainer == FORK

    @property
    def is_full(self) -> bool:
        """One of the two sd-scripts, which train the real thing."""
        return self.trainer in {FULL_TRAINER, FORK}

    def is_on(self, *names: str) -> bool:
        """Whether any of these is set to something other than false, zero or nothing."""
        return any(bool(self[name]) for name in names)

    def first(self, *names: str) -> str:
        """The first of these names that is on, for the sentence."""
        return next((name for name in names if self.is_on(name)), names[0])

    def number(self, name: str) -> float:
        value = self[name]
        return value if isinstance(value, (int, float)) else 0

    def words(self, name: str) -> dict[str, str]:
        """A list of `key=value` words such as optimizer_args, as a mapping; words without `=` are left out."""
        value = self[name]
        pairs = (str(word).partition("=") for word in (value if isinstance(value, list) else []))
        return {key.strip(): text for key, equals, text in pairs if equals}

    def problem(
        self, name: str, what: str, fix: str, *, why: str = "", severity: Severity = Severity.ERROR
    ) -> Problem:
        setting = self.options.get(name)
        return Problem(
            severity=severity,
            what=what,
            why=why,
            fix=fix,
            where=f"{setting.source} ({'' if '.' in name else 'options.'}{name})" if setting else "",
        )

    def warning(self, name: str, what: str, fix: str, *, why: str = "") -> Problem:
        return self.problem(name, what, fix, why=why, severity=Severity.WARNING)
