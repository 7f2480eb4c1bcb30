"""Will all that a run writes fit on the disk?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity
from launcher.machine import MIB, free_disk_mib
from launcher.plan import parts_of, read_metadata
from launcher.states import KEPT_STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Part, Plan

# LoRA parameters for each unit of network_dim: 85.1 M at dim 32, U-Net only, 722 modules
# (measured with sd-scripts v0.10.1; the rehearsal's channels are a tenth of SDXL's).
PARAMETERS_PER_DIM = {"rehearsal": 270_000}
SDXL_PARAMETERS_PER_DIM = 2_660_000
BYTES_PER_NUMBER = 4  # caches are stored as fp32
LATENT_SHARE = 4 / 64  # four channels at an eighth of each side
TEXT_BYTES = (
    77 * (768 + 1280) * BYTES_PER_NUMBER + 1280 * BYTES_PER_NUMBER
)  # both encoders' outputs of a caption
TOKENS = 75  # of each piece of a long caption
SPARE_MIB = 200  # log, events, samples, report; and a disk should never be filled to the brim


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run will write, in bytes."""

    lora: int
    state: int
    saves: int
    states: int  # that are there at one time: those that are kept, and the new one
    caches: int

    @property
    def total(self) -> int:
        return (self.saves + 1) * self.lora + self.states * self.state + self.caches

    @property
    def least(self) -> int:
        """Without room for this not even the first save succeeds."""
        return self.lora + self.state + self.caches


def check_room(paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Free space against a forecast of saves, states and caches."""
    yield from _beside(plan)
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
            why=f"{need.saves} saves of {_mib(need.lora)} MiB, and {need.states} states of {_mib(need.state)} MiB at a time",
            fix="make room, or save less often: --set save_every_n_steps=…", where=str(paths.runs),
        )  # fmt: skip


def _beside(plan: Plan) -> Iterator[Problem]:
    """Caches that the user wants beside the images need room there."""
    if not _is_beside(plan):
        return
    folders = [part.folder.path for part in parts_of(plan.dataset)]
    free = free_disk_mib(folders[0]) if folders else None
    need = _mib(cache_bytes(plan)) + SPARE_MIB
    if free is not None and free < need:
        yield Problem(
            severity=Severity.ERROR, what=f"the disk with the images is nearly full: {free} MiB are free, the caches need {need} MiB",
            fix="make room, or let the caches go to the launcher's own folder: --set launcher.cache_images=folder", where=str(folders[0]),
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
    has_states = values.get("save_state") or values.get("launcher.state_every_minutes")
    saves, kept = _saves(values, plan.total_steps), values.get("launcher.keep_states")
    return Forecast(
        lora=parameters * (2 if half else 4),
        state=state if has_states else 0,
        saves=saves,
        states=min(saves, kept if isinstance(kept, int) else KEPT_STATES) + 1,
        caches=0 if _is_beside(plan) else cache_bytes(plan),
    )


def _is_beside(plan: Plan) -> bool:
    setting = plan.options.get("launcher.cache_images")
    return setting is not None and setting.value == "beside"


def cache_bytes(plan: Plan) -> int:
    """Latents and text encoder outputs of all images, as if none of them were there yet."""
    values = {name: setting.value for name, setting in plan.options.items()}
    pieces = -(-int(str(values.get("max_token_length") or TOKENS)) // TOKENS)
    text = TEXT_BYTES * pieces if values.get("cache_text_encoder_outputs_to_disk") else 0
    general = plan.dataset.get("general", {})
    total = 0
    for part in parts_of(plan.dataset):
        dataset = plan.dataset["datasets"][part.number]
        above = {**values, **general, **dataset}
        size = above["resolution"]
        sides = size if isinstance(size, list) else str(size).split(",")
        pixels = int(sides[0]) * int(sides[-1])
        latents = pixels * LATENT_SHARE * (2 if above.get("flip_aug") else 1)
        masks = pixels if values.get("alpha_mask") else 0
        numbers = latents + masks if values.get("cache_latents_to_disk") else 0
        total += _count(plan, part) * (int(numbers) * BYTES_PER_NUMBER + text)
    return total


def _count(plan: Plan, part: Part) -> int:
    if part.metadata is None:
        return len(part.folder.images)
    try:
        return len(read_metadata(part.metadata, part.folder.path, plan.trainer))
    except InputError:  # the check of the data tells
        return 0


def _saves(values: dict[str, object], total_steps: int | None) -> int:
    every, epochs = values.get("save_every_n_steps"), values.get("save_every_n_epochs")
    by_steps = total_steps // every if isinstance(every, int) and total_steps else 0
    all_epochs = values.get("max_train_epochs")
    by_epochs = all_epochs // epochs if isinstance(epochs, int) and isinstance(all_epochs, int) else 0
    return max(1, by_steps + by_epochs)


def _mib(size: int) -> int:
    return -(-size // MIB)
