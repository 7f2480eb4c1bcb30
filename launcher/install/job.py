"""One installation under way: what the steps of `trainer` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.files import write_json
from launcher.install import packages
from launcher.install.intent import choice_note
from launcher.install.pins import exact
from launcher.paths import venv_python

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.engine import Engine
    from launcher.install.findings import Report
    from launcher.install.intent import Intent
    from launcher.install.pins import Pins, TorchSet, Version
    from launcher.paths import Paths


@dataclass(kw_only=True, slots=True)
class Job:
    """The intent, the folder that grows, and what the steps found out for those behind them."""

    intent: Intent
    number: str  # of the generation that is made
    commands: Commands
    python: Path | None = (
        None  # the interpreter that the environment is made from; None until uv has brought it
    )
    wheels: list[Path] = field(default_factory=list)  # the torch family, fetched and checked
    attention: str = ""
    attention_reason: str = ""
    report: Report | None = None

    @property
    def paths(self) -> Paths:
        return self.intent.paths

    @property
    def pins(self) -> Pins:
        return self.intent.pins

    @property
    def torch_set(self) -> TorchSet:
        return self.intent.choice.torch_set

    @property
    def engine(self) -> Engine:
        return self.intent.engine

    @property
    def folder(self) -> Path:
        return self.paths.generation(self.pins.name, self.number)

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    @property
    def venv_python(self) -> Path:
        return venv_python(self.venv)

    @property
    def code(self) -> Path | None:
        """Where the trainer's own code lies; None for the trainer that is part of the launcher."""
        return self.folder / "code" if self.pins.source else None

    @property
    def version(self) -> Version:
        return self.intent.interpreter.version

    def planned(self) -> dict[str, str]:
        """Names and exact versions that the finished environment must have."""
        present = packages.installed(self.venv)
        family = dict(map(exact, self.torch_set.packages))
        if self.attention == "sdpa":  # it may have been given up in the proof
            family.pop("xformers", None)
        fallback = dict(map(exact, self.torch_set.fallback))
        for name, version in fallback.items():
            if present.get(name, "").partition("+")[0] == version:  # the build that was to be had
                family[name] = present[name]
        return {**self.pins.locked(self.torch_set.name, self.version), **family}

    def remember(self) -> None:
        """Next time the same build is taken without asking."""
        write_json(choice_note(self.paths, self.pins.name), {"torch_set": self.torch_set.name})
