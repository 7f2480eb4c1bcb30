"""The request that goes into the resolver, and the frozen plan that comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.machine import Fact
    from launcher.preset import Setting

PLAN_VERSION = 1
RUN = "{run}"  # stands for the run folder, which is known only when the run is created
PORT = "{port}"  # stands for a free port where the processes of one training meet, found when they start


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What somebody asked for. `settings` are `key=value` words of the command line, `answers` those of the menu."""

    preset: str | Path
    trainer: str | None = None
    model: Path | None = None
    data: Path | str | tuple[str, ...] | None = None  # a folder, or all words of --data
    reg: tuple[str, ...] = ()  # words of --reg
    name: str | None = None
    settings: tuple[str, ...] = ()
    answers: Mapping[str, object] = field(default_factory=dict)
    gpus: str | None = None  # numbers of cards, such as `0,1`
    parent: str | None = None
    resume_state: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything about a run, decided before anything is touched.

    `train` and `dataset` are the two TOML files for the trainer. In `argv`, and in the folders of `train`, the
    run folder is written as `{run}`. `env` changes the environment; None removes a variable. `options` has every
    option with its source, keys of the dataset as `dataset.num_repeats`.
    """

    v: int = PLAN_VERSION
    name: str
    preset: str
    preset_sha256: str
    trainer: str
    trainer_commit: str | None
    script: Path
    trainer_class: str
    argv: tuple[str, ...]
    env: Mapping[str, str | None]
    cwd: Path | None
    train: Mapping[str, Any]
    dataset: Mapping[str, Any]
    options: Mapping[str, Setting]
    machine: Mapping[str, Fact]
    notes: tuple[str, ...]
    total_steps: int | None
    min_vram_gib: float | None
    parent: str | None
    resume_state: Path | None
    model: Path | None
    data: Path
