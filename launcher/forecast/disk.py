"""What a run will write to the disk: caches, states, LoRA files, samples, logs. Meant to be a little too large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.forecast.architecture import lora_numbers
from launcher.forecast.setup import SAMPLES, setup_of, sides_of
from launcher.plan import parts_of, read_metadata
from launcher.states import KEPT_STATES
from launcher.trainers import DEFAULT_TRAINER

if TYPE_CHECKING:
    from launcher.forecast.setup import Setup
    from launcher.plan import Part, Plan

REHEARSAL_PER_DIM = 270_000  # LoRA parameters of the rehearsal's small U-Net; measured
BYTES_PER_NUMBER = 4  # caches are stored as fp32
LATENT_SHARE = 4 / 64  # four channels at an eighth of each side
TEXT_BYTES = (
    77 * (768 + 1280) * BYTES_PER_NUMBER + 1280 * BYTES_PER_NUMBER
)  # both encoders' outputs of a caption
TOKENS = 75  # of each piece of a long caption
MIB = 1 << 20
SAMPLE_BYTES = 2 * MIB  # a PNG of 1024x1024
LOG_BYTES = 400  # a step's event and its share of log and samples of the card
SPARE_MIB = 200  # a disk should never be filled to the brim


@dataclass(frozen=True, kw_only=True, slots=True)
class Writes:
    """What a run will write, in bytes."""

    lora: int
    state: int
    saves: int
    states: int  # that are there at one time: those that are kept, and the new one
    caches: int
    samples: int = 0
    logs: int = 0

    @property
    def total(self) -> int:
        """All of it at the end."""
        return (
            (self.saves + 1) * self.lora + self.states * self.state + self.caches + self.samples + self.logs
        )

    @property
    def least(self) -> int:
        """Without room for this not even the first save succeeds."""
        return self.lora + self.state + self.caches


def writes_of(plan: Plan) -> Writes:
    """Counted from the plan."""
    values = {name: setting.value for name, setting in plan.options.items()}
    setup = setup_of(values)
    numbers = _lora_numbers(plan, setup)
    half = values.get("save_precision") in {"fp16", "bf16"}
    has_states = values.get("save_state") or values.get("launcher.state_every_minutes")
    is_plain = plan.trainer == DEFAULT_TRAINER  # torch's AdamW, whatever the preset says
    state = numbers * 12 if is_plain else numbers * 4 + setup.optimizer.stored(numbers)
    saves, kept = _saves(values, plan.total_steps), values.get("launcher.keep_states")
    budget = values.get("launcher.states_budget_gib")
    states = min(saves, kept if isinstance(kept, int) else KEPT_STATES) + 1
    if isinstance(budget, float) and budget > 0 and state:
        states = min(states, max(1, int(budget * 1024 * MIB // state)) + 1)
    return Writes(
        lora=numbers * (2 if half else 4), state=state if has_states else 0, saves=saves, states=states,
        caches=0 if is_beside(plan) else cache_bytes(plan), samples=_samples(values, plan.total_steps) * SAMPLE_BYTES,
        logs=(plan.total_steps or 0) * LOG_BYTES,
    )  # fmt: skip


def _lora_numbers(plan: Plan, setup: Setup) -> int:
    if plan.trainer == DEFAULT_TRAINER:
        return REHEARSAL_PER_DIM * setup.dim
    return lora_numbers(setup.dim, setup.conv_dim, has_unet=setup.trains_unet, has_text=setup.trains_text)


def is_beside(plan: Plan) -> bool:
    """Whether the caches lie beside the images."""
    setting = plan.options.get("launcher.cache_images")
    return setting is not None and setting.value == "beside"


def cache_bytes(plan: Plan) -> int:
    """Latents and text encoder outputs of all images, as if none of them were there yet."""
    values = {name: setting.value for name, setting in plan.options.items()}
    pieces = -(-int(str(values.get("max_token_length") or TOKENS)) // TOKENS)
    text = TEXT_BYTES * pieces if values.get("cache_text_encoder_outputs_to_disk") else 0
    total = 0
    for part in parts_of(plan.dataset):
        above: dict[str, Any] = {
            **values, **plan.dataset.get("general", {}), **plan.dataset["datasets"][part.number],
        }  # fmt: skip
        width, height = sides_of(above["resolution"])
        latents = width * height * LATENT_SHARE * (2 if above.get("flip_aug") else 1)
        masks = width * height if values.get("alpha_mask") else 0
        numbers = latents + masks if values.get("cache_latents_to_disk") else 0
        total += _count(plan, part) * (int(numbers) * BYTES_PER_NUMBER + text)
    return total


def count_images(plan: Plan) -> int:
    """Images of all folders, each once."""
    return sum(_count(plan, part) for part in parts_of(plan.dataset))


def _count(plan: Plan, part: Part) -> int:
    if part.metadata is None:
        return len(part.folder.images)
    try:
        return len(read_metadata(part.metadata, part.folder.path, plan.trainer))
    except InputError:  # the check of the data tells
        return 0


def _saves(values: dict[str, object], total_steps: int | None) -> int:
    every, epochs = values.get("save_every_n_steps"), values.get("save_every_n_epochs")
    by_steps = total_steps // every if isinstance(every, int) and every > 0 and total_steps else 0
    all_epochs = values.get("max_train_epochs")
    by_epochs = all_epochs // epochs if isinstance(epochs, int) and epochs > 0 and isinstance(all_epochs, int) else 0  # fmt: skip
    return max(1, by_steps + by_epochs)


def _samples(values: dict[str, object], total_steps: int | None) -> int:
    every = values.get("sample_every_n_steps")
    if not any(values.get(name) for name in SAMPLES) or not isinstance(every, int) or every < 1:
        return 0
    return (total_steps or 0) // every
