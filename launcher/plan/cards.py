"""Which graphics cards a run takes: the first one, or those that somebody named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.machine import Fact
from launcher.preset import Setting
from launcher.trainers import FULL_TRAINER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.machine import Machine
    from launcher.plan.records import Request
    from launcher.preset import Settings
    from launcher.trainers import Trainer

ALL = "all"
NUMBERS = re.compile(r"\d{1,3}(?:\s*,\s*\d{1,3})*")
BF16_CAPABILITY = (8, 0)  # as in machine.look: Ampere


def choose_cards(request: Request, own: Settings, machine: Machine) -> tuple[int, ...]:
    """Numbers of the cards that were asked for, as the driver counts them; empty: nobody asked.

    Raises:
        UsageError: it is no list of cards, or one of them is not there.
    """
    setting = own.defaults.get("gpus")
    text, where = (request.gpus, "--gpus") if request.gpus else ("", "")
    if not text and setting is not None:
        text, where = str(setting.value), setting.source
    text = text.strip().lower()
    if not text:
        return ()
    numbers = _numbers(text, len(machine.gpus), where)
    missing = [number for number in numbers if number >= len(machine.gpus)]
    if missing:
        there = ", ".join(f"{number} ({gpu.name})" for number, gpu in enumerate(machine.gpus))
        raise UsageError(
            f"there is no card {', '.join(map(str, missing))} in this computer",
            why="" if there else machine.gpu_note,
            fix=f"cards: {there}" if there else "leave --gpus out",
            where=where,
        )
    return numbers


def _numbers(text: str, count: int, where: str) -> tuple[int, ...]:
    if text == ALL:
        return tuple(range(count))
    if not NUMBERS.fullmatch(text):
        raise UsageError(
            f"{text[:40]!r} is no list of cards", fix="write their numbers, such as 0,1, or all", where=where
        )
    return tuple(dict.fromkeys(int(number) for number in text.split(",")))


def only_cards(machine: Machine, numbers: tuple[int, ...]) -> Machine:
    """The computer as the run will see it: with these cards alone, the first of them first."""
    if not numbers:
        return machine
    gpus = tuple(machine.gpus[number] for number in numbers)
    weakest = min(gpus, key=lambda gpu: gpu.capability)
    major, minor = weakest.capability
    reason = f"{weakest.name} has compute capability {major}.{minor}; bf16 needs {BF16_CAPABILITY[0]}.{BF16_CAPABILITY[1]}"
    return replace(
        machine, gpus=gpus, has_bf16=Fact(value=weakest.capability >= BF16_CAPABILITY, reason=reason)
    )


def cards_fact(machine: Machine, numbers: tuple[int, ...]) -> Fact:
    """The cards for the plan (`machine` has these alone); a resumed run takes the same ones."""
    return Fact(value=",".join(map(str, numbers)), reason=", ".join(gpu.name for gpu in machine.gpus))


def refuse_cards(trainer: Trainer, numbers: tuple[int, ...]) -> None:
    """Not every trainer can share its work.

    Raises:
        UsageError: several cards for a trainer that uses one.
    """
    if len(numbers) > 1 and not trainer.needs_model:
        raise UsageError(
            f"the trainer {trainer.name} uses one card, not {len(numbers)}",
            fix=f"name one card, or train with --trainer {FULL_TRAINER}",
            where="--gpus",
        )


def cards_notes(numbers: tuple[int, ...], options: Mapping[str, Setting]) -> list[str]:
    """What several cards change about the meaning of the preset's numbers."""
    count = len(numbers)
    if count < 2:
        return []
    batch = options.get("train_batch_size")
    size = f"{count} × {batch.value if batch else 1}"
    length = (
        "an epoch has fewer steps, the images are seen as often as on one card"
        if "max_train_epochs" in options
        else f"max_train_steps counts such steps, so the images are seen {count} times as often as on one card"
    )
    return [
        f"{count} cards train together: each step sees {size} images; {length}. The learning rate stays as it is."
    ]


def steps_on(numbers: tuple[int, ...], options: Mapping[str, Setting]) -> Mapping[str, Setting]:
    """The options for counting steps: to the count, several cards are as many batches gathered for each step."""
    if len(numbers) < 2:
        return options
    old = options.get("gradient_accumulation_steps")
    gathered = int(str(old.value if old else 1)) * len(numbers)
    return {**options, "gradient_accumulation_steps": Setting(value=gathered, source="--gpus")}


def cards_of(value: object) -> tuple[int, ...]:
    """The numbers in a stored plan's fact; whatever else stands there means the first card."""
    text = str(value)
    return tuple(int(number) for number in text.split(",")) if NUMBERS.fullmatch(text) else ()
