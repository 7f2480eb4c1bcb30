"""The options of a plan: all layers over each other, fitted to the trainer and to this computer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity
from launcher.plan.adaptation import adapt, adapt_attention
from launcher.plan.dataset import DATASET, FOUND
from launcher.plan.device import attention_of
from launcher.plan.evidence import follow_model
from launcher.plan.switches import complete_switches, switch_notes
from launcher.preset import (
    Setting,
    Settings,
    check_combinations,
    fit_options,
    lay_over,
    settings_from_answers,
    settings_from_words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan.folders import Survey
    from launcher.plan.records import Request
    from launcher.preset import Preset
    from launcher.trainers import Trainer

LAUNCHER_DEFAULTS = {
    "seed": Setting(value=42, source="launcher: a run needs a fixed seed to be resumed exactly"),
    "resolution": Setting(value="1024,1024", source="launcher: what SDXL was trained at"),
    "mixed_precision": Setting(value="no", source="sd-scripts' default"),
    "max_train_steps": Setting(value=1600, source="sd-scripts' default"),
    "network_module": Setting(value="networks.lora", source="launcher: sd-scripts has no default for it"),
}


def gather_layers(
    paths: Paths, request: Request, preset: Preset, own: Settings, trainer: Trainer
) -> Settings:
    """The one order of precedence: preset chain < user settings < answers < command line.

    Raises:
        UsageError: a word of the command line, or an answer, is no setting of this trainer.
    """
    answers = settings_from_answers(paths, request.answers, table=trainer.options)
    words = settings_from_words(paths, request.settings, table=trainer.options)
    layers = (preset, own, answers, words)
    return Settings(
        options=lay_over(*(layer.options for layer in layers)),
        dataset=lay_over(*(layer.dataset for layer in layers)),
        switches=lay_over(*(layer.switches for layer in layers)),
    )


def decide_options(
    paths: Paths, layers: Settings, found: Survey, trainer: Trainer, machine: Machine, *, on_cpu: bool, model: Path | None = None
) -> tuple[dict[str, Setting], list[str]]:  # fmt: skip
    """All options as the plan keeps them, and a note for each thing that was changed on the way.

    Keys of the dataset and switches of the launcher are among them as `dataset.NAME` and `launcher.NAME`.

    Raises:
        InputError: the trainer cannot do something, or settings do not go together.
    """
    fitted = fit_options(paths, _complete(layers, found), trainer.name, trainer.options)
    _refuse(fitted.problems)
    options, notes = adapt(fitted.options, machine, on_cpu=on_cpu)
    if trainer.needs_model:
        notes += adapt_attention(options, attention_of(paths, trainer.name))
        notes += follow_model(options, model)
    options |= {f"{DATASET}{name}": setting for name, setting in layers.dataset.items()}
    options |= complete_switches(trainer, layers.switches)
    problems = check_combinations(options, trainer=trainer.name)
    _refuse([problem for problem in problems if problem.severity is Severity.ERROR])
    return options, [
        *fitted.notes,
        *notes,
        *switch_notes(options, on_cpu=on_cpu, system=machine.os, environ=os.environ),
    ]


def _complete(layers: Settings, found: Survey) -> dict[str, Setting]:
    """Options with the gaps filled that a plan must not have."""
    defaults = {
        name: setting
        for name, setting in LAUNCHER_DEFAULTS.items()
        if name != "max_train_steps" or "max_train_epochs" not in layers.options
    }
    completed = {**defaults, **layers.options}
    if "caption_extension" not in completed:
        completed["caption_extension"] = _caption_extension(found)
    return completed


def _caption_extension(found: Survey) -> Setting:
    suffix = found.caption_suffix
    if suffix is None:
        return Setting(value=".txt", source="launcher: no captions were found to go by")
    count = f"{found.captioned(suffix)} of {found.image_count} images have one"
    return Setting(value=suffix, source=f"{FOUND}: {count}")


def _refuse(problems: Sequence[Problem]) -> None:
    """A preset is sound in itself; with settings, answers and the command line over it, it may not be."""
    if not problems:
        return
    first = problems[0]
    if len(problems) == 1:
        raise InputError(
            first.what, problems=tuple(problems), why=first.why, fix=first.fix, where=first.where
        )
    raise InputError(
        f"{len(problems)} settings do not go together",
        problems=tuple(problems),
        fix="put them right; all are listed",
    )
