"""Which trainer a plan uses, and what to say about that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.install import trainer_ready
from launcher.paths import command
from launcher.plan.dataset import DATASET
from launcher.plan.device import has_cuda
from launcher.preset import AUTOMATIC_TRAINER, Setting
from launcher.trainers import DEFAULT_TRAINER, FULL_TRAINER, load_trainer
from launcher.trainers.switches import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan.records import Request
    from launcher.preset import Preset, Settings
    from launcher.trainers import Trainer

AUTOMATIC = "automatic"  # how the source of a trainer begins that nobody asked for


def choose_trainer(
    paths: Paths, request: Request, own: Settings, preset: Preset, machine: Machine
) -> tuple[Trainer, Setting]:
    """The trainer and who chose it: command line before settings before preset; automatic is what works here.

    Raises:
        InputError: there is no trainer of that name.
    """
    wanted = preset.trainer
    source = f"preset {preset.name}"
    if "trainer" in own.defaults:
        wanted, source = str(own.defaults["trainer"].value), own.defaults["trainer"].source
    if request.trainer:
        wanted, source = request.trainer, "--trainer"
    if wanted == AUTOMATIC_TRAINER:
        reason = why_not_full(paths, machine)
        wanted = DEFAULT_TRAINER if reason else FULL_TRAINER
        source = f"{AUTOMATIC}: {reason or 'it is installed, and its torch can use the card'}"
    return load_trainer(paths, wanted), Setting(value=wanted, source=source)


def why_not_full(paths: Paths, machine: Machine) -> str | None:
    """Why sd-scripts cannot train here, in a few words; None: it can."""
    if machine.gpu is None:
        return machine.gpu_note or "there is no NVIDIA card"
    if trainer_ready(paths, FULL_TRAINER) is not None:
        return f"{FULL_TRAINER} is not installed"
    if not has_cuda(paths, FULL_TRAINER):
        return f"the torch of {FULL_TRAINER} is a build for processors"
    return None


def trainer_notes(
    trainer: Trainer, chosen: Setting, options: Mapping[str, Setting], model: Path | None, machine: Machine
) -> list[str]:
    """What a person should know about the trainer: why this one, and what it will not do."""
    if trainer.honoured is None:
        return []
    notes = []
    if chosen.source.startswith(AUTOMATIC):
        notes.append(
            f"This run rehearses preset and images with the small embedded trainer: {_remedy(chosen.source, machine)}"
        )
    if model is not None:
        notes.append("The rehearsal trains a small model of its own: the base model is not used.")
    ignored = [name for name, setting in options.items() if _is_ignored(trainer, name, setting.value)]
    if ignored:
        notes.append(f"Without effect in a rehearsal: {', '.join(sorted(ignored))}.")
    return notes


def _remedy(source: str, machine: Machine) -> str:
    reason = source.removeprefix(f"{AUTOMATIC}: ")
    if machine.gpu is None:
        return f"{reason}. A LoRA for SDXL needs an NVIDIA card."
    return f"{reason}. `{command('install', FULL_TRAINER)}` sets up what trains SDXL."


def _is_ignored(trainer: Trainer, name: str, value: object) -> bool:
    if name.startswith(DATASET) or value is False:
        return False
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX) not in trainer.switches
    return trainer.honoured is not None and name not in trainer.honoured
