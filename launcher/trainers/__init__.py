"""What the launcher knows of each training script: where it is, which options it takes, which class to call."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.trainers import rehearsal
from launcher.trainers.options import Option, load_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.paths import Paths

__all__ = ["DEFAULT_TRAINER", "TRAINERS", "Option", "Trainer", "load_options", "load_trainer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """A training script and how to call it.

    `script` has a class `trainer_class` with a method `train(args)`; `cwd` is the folder to start it in (None: any).
    `honoured` names the options that have an effect; None: all of them.
    """

    name: str
    title: str
    commit: str | None
    script: Path
    cwd: Path | None
    trainer_class: str
    options: dict[str, Option]
    honoured: frozenset[str] | None


def _rehearsal(paths: Paths) -> Trainer:
    return Trainer(
        name="rehearsal",
        title=rehearsal.TITLE,
        commit=None,
        script=rehearsal.SCRIPT,
        cwd=None,
        trainer_class=rehearsal.TRAINER_CLASS,
        options=load_options(paths),
        honoured=rehearsal.HONOURED,
    )


TRAINERS: dict[str, Callable[[Paths], Trainer]] = {"rehearsal": _rehearsal}
DEFAULT_TRAINER = "rehearsal"  # until the installer can fetch sd-scripts


def load_trainer(paths: Paths, name: str) -> Trainer:
    """The trainer called `name`.

    Raises:
        InputError: there is no such trainer; says which are there, and which one was perhaps meant.
    """
    if name in TRAINERS:
        return TRAINERS[name](paths)
    close = difflib.get_close_matches(name, TRAINERS, n=1)
    raise InputError(
        f"there is no trainer called {name!r}",
        fix=f"perhaps you meant {close[0]!r}" if close else f"trainers: {', '.join(sorted(TRAINERS))}",
    )
