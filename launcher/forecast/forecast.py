"""The forecast of a plan: card, memory, disk and time, held against what is free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.forecast.constants import load_constants
from launcher.forecast.disk import SPARE_MIB, count_images, writes_of
from launcher.forecast.pace import earlier_benches, earlier_runs, pace
from launcher.forecast.ram import ram
from launcher.forecast.setup import setup_of, sides_of
from launcher.forecast.vram import vram
from launcher.machine import free_disk_mib
from launcher.plan.cards import cards_of
from launcher.plan.speed import boosts_of
from launcher.trainers import DEFAULT_TRAINER

if TYPE_CHECKING:
    from launcher.forecast.disk import Writes
    from launcher.forecast.pace import Pace
    from launcher.forecast.setup import Setup
    from launcher.forecast.step import Peak
    from launcher.machine import Machine
    from launcher.machine.holders import Holder
    from launcher.paths import Paths
    from launcher.plan import Plan

MIB = 1 << 20
ERROR_SHARE = (
    0.05  # of what torch takes: the forecast's own uncertainty, larger than its median error on held-out rows
)
SAMPLE_SIDE = 1024
PROMPT_BYTES = 64 << 10
FITS, TIGHT, TOO_LARGE = "fits", "tight", "too large"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """The card's side: MiB that a training will take in each phase, and what is there."""

    name: str
    phases: dict[str, Peak]
    context: float
    total_mib: int
    free_mib: int
    holders: tuple[Holder, ...] = ()
    rough: tuple[str, ...] = ()

    @property
    def phase(self) -> str:
        """The one that takes the most."""
        return max(self.phases, key=lambda name: self.phases[name].reserved)

    @property
    def peak_mib(self) -> float:
        """What torch takes at the highest, without CUDA's own."""
        return self.phases[self.phase].reserved

    @property
    def need_mib(self) -> float:
        """What the card must have free."""
        return self.peak_mib + self.context

    @property
    def least_mib(self) -> float:
        """The same if the tensors lay without gaps: below this it cannot work (torch empties its gaps before it gives up)."""
        return max(peak.allocated for peak in self.phases.values()) + self.context

    @property
    def verdict(self) -> str:
        """Held against what is free."""
        if self.need_mib * (1 + ERROR_SHARE) <= self.free_mib:
            return FITS
        return TIGHT if self.least_mib * (1 + ERROR_SHARE) <= self.free_mib else TOO_LARGE


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run will need. None: it needs none of that, or nobody can tell."""

    card: Card | None
    ram_mib: float | None
    free_ram_mib: int
    disk: Writes
    free_disk_mib: int | None
    pace: Pace | None
    total_steps: int | None

    @property
    def disk_mib(self) -> int:
        """Room that the run wants, and some to spare."""
        return -(-self.disk.total // MIB) + SPARE_MIB

    @property
    def total_s(self) -> float | None:
        """The whole run."""
        return self.pace.total_s(self.total_steps) if self.pace and self.total_steps else None

    def to_json(self) -> dict[str, Any]:
        """For `--json`; MiB and seconds."""
        card = self.card
        return {
            "card": card and {
                "name": card.name, "phases_mib": {name: round(peak.reserved) for name, peak in card.phases.items()},
                "context_mib": round(card.context), "need_mib": round(card.need_mib), "free_mib": card.free_mib,
                "total_mib": card.total_mib, "verdict": card.verdict, "rough": list(card.rough),
                "holders": [{"name": one.name, "mib": one.mib} for one in card.holders],
            },
            "ram_mib": None if self.ram_mib is None else round(self.ram_mib), "free_ram_mib": self.free_ram_mib,
            "disk_mib": self.disk_mib, "free_disk_mib": self.free_disk_mib,
            "time": self.pace and {
                "step_s": round(self.pace.step_s, 3), "start_s": round(self.pace.start_s, 1), "is_guess": self.pace.is_guess,
                "source": self.pace.source, "total_s": None if self.total_s is None else round(self.total_s),
            },
        }  # fmt: skip


def forecast(paths: Paths, plan: Plan, machine: Machine) -> Forecast:
    """Everything that can be known before the run; reads plans of earlier runs, asks the driver who is on the card."""
    setup = setup_of_plan(plan)
    is_real = plan.trainer != DEFAULT_TRAINER
    has_card = is_real and _value(plan, "device") == "cuda" and machine.gpu is not None
    return Forecast(
        card=card_of(plan, setup, machine) if has_card else None,
        ram_mib=ram(setup, load_constants()) if is_real else None,
        free_ram_mib=machine.free_ram_mib,
        disk=writes_of(plan),
        free_disk_mib=free_disk_mib(paths.runs),
        pace=_pace(paths, plan, setup, machine) if has_card else None,
        total_steps=plan.total_steps,
    )


def card_of(plan: Plan, setup: Setup, machine: Machine) -> Card | None:
    """The card with the least free memory of those that the run takes."""
    from launcher.machine.holders import holders

    numbers = [number for number in cards_of(_value(plan, "gpus")) if number < len(machine.gpus)] or [0]
    number = min(numbers, key=lambda index: machine.gpus[index].free_mib)
    gpu = machine.gpus[number]
    constants = load_constants(gpu.capability)
    return Card(
        name=gpu.name, phases=vram(setup, constants), context=constants.context, total_mib=gpu.total_mib,
        free_mib=gpu.free_mib, holders=holders(number), rough=setup.rough,
    )  # fmt: skip


def setup_of_plan(plan: Plan) -> Setup:
    """The settings of the dataset with the most pixels in a step."""
    values = {name: setting.value for name, setting in plan.options.items()}
    system = "windows" if str(_value(plan, "system") or "").lower().startswith("windows") else "linux"
    setup = setup_of(values, system=system)
    if setup.samples:
        setup = replace(setup, sample_side=_sample_side(str(values["sample_prompts"])))
    general = plan.dataset.get("general", {})
    found = []
    for dataset in plan.dataset.get("datasets", ()):
        above = {**values, **general, **dataset}
        width, height = sides_of(above.get("resolution"))
        batch = above.get("batch_size", setup.batch)
        found.append(
            replace(
                setup, width=width, height=height, batch=batch if isinstance(batch, int) and batch > 0 else 1
            )
        )
    return max(found, key=lambda one: one.batch * one.pixels, default=setup)  # fmt: skip


def _sample_side(file: str) -> int:
    """Side of a square with the pixels of the largest sample of a prompt file; sd-scripts draws 512 unless told.

    Files of another kind than .txt, and those that cannot be read, count as 1024.
    """
    import re

    try:
        with Path(file).open("rb") as stream:
            lines = stream.read(PROMPT_BYTES).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return SAMPLE_SIDE
    if not file.lower().endswith(".txt"):
        return SAMPLE_SIDE
    areas = [0]
    for line in lines:
        if line.strip() and not line.startswith("#"):
            sides = [re.search(rf"\s--{letter}\s+(\d{{2,4}})\b", line) for letter in "wh"]
            areas.append(int(sides[0][1] if sides[0] else 512) * int(sides[1][1] if sides[1] else 512))
    return round(max(areas) ** 0.5) or SAMPLE_SIDE


def _pace(paths: Paths, plan: Plan, setup: Setup, machine: Machine) -> Pace | None:
    if machine.gpu is None:
        return None
    gathered = plan.options.get("gradient_accumulation_steps")
    count = gathered.value if gathered is not None and isinstance(gathered.value, int) else 1
    return pace(
        setup, machine.gpu.name, images=count_images(plan), steps_gathered=max(1, count),
        earlier=(*earlier_runs(paths.runs, plan.trainer), *earlier_benches(paths, plan.trainer)),
        boosts=boosts_of({name: setting.value for name, setting in plan.options.items()}),
    )  # fmt: skip


def _value(plan: Plan, name: str) -> object:
    fact = plan.machine.get(name)
    return fact.value if fact is not None else None
