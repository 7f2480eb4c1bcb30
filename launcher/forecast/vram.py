"""Peak memory of the card, phase by phase: what torch takes, and beside it what CUDA takes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from launcher.forecast.allocator import MIB
from launcher.forecast.architecture import numbers, text_encoders, unet
from launcher.forecast.constants import load_constants
from launcher.forecast.step import FULL, HALF, Peak, allocated, replay

if TYPE_CHECKING:
    from launcher.forecast.constants import Constants
    from launcher.forecast.setup import Setup

LATENTS, TEXT, TRAINING, SAMPLING = (
    "latents",
    "text",
    "training",
    "sampling",
)  # in the order in which they come


def vram(setup: Setup, constants: Constants, *, samples: bool | None = None) -> dict[str, Peak]:
    """Each phase that the run has, with its peak; without CUDA's own memory (`Constants.context`)."""
    found = {LATENTS: latents(setup, constants)} if setup.caches_latents else {}
    if setup.caches_text:
        found[TEXT] = text(setup, constants)
    found[TRAINING] = training = _replayed(setup, constants.capability)
    if setup.samples if samples is None else samples:
        found[SAMPLING] = sampling(setup, constants, training)
    return found


@cache
def _replayed(setup: Setup, capability: tuple[int, int]) -> Peak:
    """Half a second of work, and asked for by the screen and by the check alike."""
    return replay(setup, load_constants(capability))


def latents(setup: Setup, constants: Constants) -> Peak:
    """Encoding the images: VAE, and a few tensors of the images' full size."""
    table = constants["latents"]
    way = "rows" if setup.encodes_rows else "stock"
    share = 1 if setup.is_vae_full else table["half"]
    pixels = setup.image_pixels * setup.vae_batch / MIB
    asked = share * (table[way]["pixel"] * pixels + table[way]["fixed"])
    gaps = table["gaps"]
    if setup.is_expandable:
        return Peak(asked, asked + gaps[way])
    return Peak(
        asked, asked + (gaps["rows_stock"] if setup.encodes_rows else share * gaps["stock_pixel"] * pixels)
    )


def text(setup: Setup, constants: Constants) -> Peak:
    """Encoding the captions: both text encoders in half precision."""
    table = constants["text"]
    weights = numbers(text_encoders()) * (HALF if setup.is_mixed else FULL) / MIB
    asked = weights + table["fixed"] + table["caption"] * setup.text_batch
    return Peak(asked, asked + table["gaps" if setup.is_expandable else "gaps_stock"])


def sampling(setup: Setup, constants: Constants, training: Peak) -> Peak:
    """A sample image between two steps: what rests, the VAE and its tensors; what the training did not use is given back before."""
    table = constants["sampling"]["rows" if setup.decodes_rows else "stock"]
    pixels = setup.sample_side**2 / MIB
    decoding = training.resting + table["fixed"] + table["pixel"] * pixels
    slope = table["gaps_pixel" if setup.is_expandable else "gaps_stock_pixel"]
    gaps = min(training.gaps, constants["sampling"]["gaps"])
    reserved = decoding + gaps + slope * pixels
    asked = decoding
    if (
        setup.copies_unet and setup.is_unet_fp8
    ):  # in half precision, in place of the fp8 weights, while it computes
        drawing = training.resting + numbers(unet()) / MIB + constants["sampling"]["unet"] * pixels
        asked, reserved = max(asked, drawing), max(reserved, drawing + gaps)
    return Peak(asked, reserved, training.resting)


def estimate(setup: Setup, constants: Constants, *, samples: bool | None = None) -> dict[str, Peak]:
    """As `vram`, without the replay of the allocator: to compare settings by, some hundred times quicker."""
    found = {LATENTS: latents(setup, constants)} if setup.caches_latents else {}
    if setup.caches_text:
        found[TEXT] = text(setup, constants)
    asked, resting = allocated(setup, constants)
    gaps = constants.gaps(setup) + constants["training"]["quick_gaps"] * (asked - resting)
    found[TRAINING] = Peak(asked, asked + gaps, resting)
    if setup.samples if samples is None else samples:
        found[SAMPLING] = sampling(setup, constants, found[TRAINING])
    return found
