"""Will all that a run writes fit on the disk?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.machine import MIB, free_disk_mib
from launcher.plan import survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

# LoRA parameters for each unit of network_dim: 85.1 M at dim 32, U-Net only, 722 modules
# (measured with sd-scripts v0.10.1; the rehearsal's channels are a tenth of SDXL's).
PARAMETERS_PER_DIM = {"rehearsal": 270_000}
SDXL_PARAMETERS_PER_DIM = 2_660_000
CACHE_BYTES_PER_IMAGE = 1_000_000  # latents (256 KiB) and two text encoders' outputs at 1024 px, as fp32
SPARE_MIB = 200  # log, events, samples, report; and a disk should never be filled to the brim


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run will write, in bytes."""

    lora: int
    state: int
    saves: int
    caches: int

    @property
    def total(self) -> int:
        return self.saves * (self.lora + self.state) + self.lora + self.caches

    @property
    def least(self) -> int:
        """Without room for this not even the first save succeeds."""
        return self.lora + self.state + self.caches


def check_room(paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Free space against a forecast of saves, states and caches."""
    free = free_disk_mib(paths.runs)
    if free is None:
        return
    need = forecast(plan)
    least, total = need.least // MIB + SPARE_MIB, need.total // MIB + SPARE_MIB
    if free < least:
        yield Problem(
            severity=Severity.ERROR, what=f"the disk is nearly full: {free} MiB are free, {least} MiB are needed at least",
            why=f"a save takes {_mib(need.lora)} and a state {_mib(need.state)} MiB", fix="make room, or set LAUNCHER_HOME to a folder on another disk",
            where=str(paths.runs),
        )  # fmt: skip
    elif free < total:
        yield Problem(
            severity=Severity.WARNING, what=f"the disk may become full: {free} MiB are free, the run may write {total} MiB",
            why=f"{need.saves} times a save ({_mib(need.lora)} MiB) and a state ({_mib(need.state)} MiB)",
            fix="make room, or save less often: --set save_every_n_steps=…", where=str(paths.runs),
        )  # fmt: skip


def forecast(plan: Plan) -> Forecast:
    """Sizes from the number of LoRA parameters: an estimate, meant to be a little too large."""
    values = {name: setting.value for name, setting in plan.options.items()}
    dim = values.get("network_dim", 4)  # sd-scripts' default
    parameters = PARAMETERS_PER_DIM.get(plan.trainer, SDXL_PARAMETERS_PER_DIM) * (
        dim if isinstance(dim, int) else 4
    )
    is_small_optimizer = (
        "8bit" in str(values.get("optimizer_type", "")) and plan.trainer not in PARAMETERS_PER_DIM
    )
    state = parameters * (4 + (2 if is_small_optimizer else 8))  # the LoRA in fp32 and Adam's two averages
    half = values.get("save_precision") in {"fp16", "bf16"}
    images = survey(plan.data).image_count
    return Forecast(
        lora=parameters * (2 if half else 4),
        state=state if values.get("save_state") else 0,
        saves=_saves(values, plan.total_steps),
        caches=images * CACHE_BYTES_PER_IMAGE if values.get("cache_latents_to_disk") else 0,
    )


def _saves(values: dict[str, object], total_steps: int | None) -> int:
    every, epochs = values.get("save_every_n_steps"), values.get("save_every_n_epochs")
    by_steps = total_steps // every if isinstance(every, int) and total_steps else 0
    all_epochs = values.get("max_train_epochs")
    by_epochs = all_epochs // epochs if isinstance(epochs, int) and isinstance(all_epochs, int) else 0
    return max(1, by_steps + by_epochs)


def _mib(size: int) -> int:
    return -(-size // MIB)
