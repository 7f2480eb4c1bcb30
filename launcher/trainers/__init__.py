"""What the launcher knows of each training script: where it is, which options it takes, which class to call."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.trainers import rehearsal
from launcher.trainers.options import Option, load_options
from launcher.trainers.switches import NOT_FOR_THE_SHIM, SWITCHES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.paths import Paths

__all__ = [
    "DEFAULT_TRAINER",
    "FORK",
    "FULL_TRAINER",
    "TRAINERS",
    "Option",
    "Trainer",
    "load_options",
    "load_trainer",
]

FULL_TRAINER = "sd-scripts"  # what automatic means where there is a card
DEFAULT_TRAINER = "rehearsal"  # ... and where there is none: it runs everywhere
FORK = "sd-scripts-fp8"

# As in vendor/<trainer>.toml, which the installer checks the code against; a test compares them.
COMMITS = {
    FULL_TRAINER: "ae72efb92babe89ff8e70f057e42db68440e8d61",
    FORK: "100f852b5858462070831d4135fee7b7080de592",
}
TITLES = {
    FULL_TRAINER: "kohya-ss/sd-scripts v0.10.1",
    FORK: "KohakuBlueleaf/sd-scripts, the fp8 experiments of January 2024",
}
# What the shim does for every trainer; the rest changes code that only sd-scripts has.
COMMON_SWITCHES = NOT_FOR_THE_SHIM | {
    "state_every_minutes",
    "keep_states",
    "states_budget_gib",
    "stop_on_nan",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """A training script and how to call it.

    `script` has a class `trainer_class` with a method `train(args)`; `cwd` is the folder to start it in (None: any).
    `honoured` names the options that have an effect; None: all of them. `switches` names those of
    `launcher.trainers.switches` that the shim can obey there. `needs_model`: it trains a base model of the user's,
    with the tokenizers that the installer fetched.
    """

    name: str
    title: str
    commit: str | None
    script: Path
    cwd: Path | None
    trainer_class: str
    options: dict[str, Option]
    honoured: frozenset[str] | None
    switches: frozenset[str] = COMMON_SWITCHES
    needs_model: bool = False


def _rehearsal(paths: Paths) -> Trainer:
    return Trainer(
        name=DEFAULT_TRAINER,
        title=rehearsal.TITLE,
        commit=None,
        script=rehearsal.SCRIPT,
        cwd=None,
        trainer_class=rehearsal.TRAINER_CLASS,
        options=load_options(paths),
        honoured=rehearsal.HONOURED,
    )


def _sd_scripts(paths: Paths, name: str) -> Trainer:
    """A pinned sd-scripts; the folder of its code is that of the current environment, installed or not yet."""
    return Trainer(
        name=name,
        title=TITLES[name],
        commit=COMMITS[name],
        script=paths.trainer_code(name) / "sdxl_train_network.py",
        cwd=None,
        trainer_class="SdxlNetworkTrainer",
        options=load_options(paths, name),
        honoured=None,
        switches=frozenset(SWITCHES),
        needs_model=True,
    )


TRAINERS: dict[str, Callable[[Paths], Trainer]] = {
    DEFAULT_TRAINER: _rehearsal,
    FULL_TRAINER: lambda paths: _sd_scripts(paths, FULL_TRAINER),
    FORK: lambda paths: _sd_scripts(paths, FORK),
}


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
