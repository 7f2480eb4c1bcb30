"""Which preset fits the card: the one to propose, and for each preset whether it would fit at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.plan.switches import DEFAULT
from launcher.trainers.switches import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.machine import Gpu, Machine
    from launcher.preset import Preset, Setting

NOMINAL_SHARE = 0.94  # an "8 GB" card shows 7.6 to 8.0 GiB: some of it belongs to the driver
CONTEXT_MIB = (
    770  # CUDA, cuBLAS and cuDNN beside what torch reserves; measured on an H200, smaller on consumer cards
)
BUSY_MIB = 1500  # held by others: worth a word
DESKTOP_MIB = 600  # windows and a quiet browser; not measured, a busy browser takes more
# What decides about a preset's peak: with one of these changed, the measured number says nothing any more.
DECISIVE = frozenset({
    "resolution", "max_bucket_reso", "train_batch_size", "network_dim", "network_args", "network_module", "optimizer_type",
    "fp8_base", "fp8_base_unet", "mixed_precision", "full_bf16", "full_fp16", "gradient_checkpointing", "sdpa", "xformers",
    "mem_eff_attn", "cache_latents", "cache_latents_to_disk", "cache_text_encoder_outputs",
    "cache_text_encoder_outputs_to_disk", "network_train_unet_only", "no_half_vae", "vae_batch_size", "lowram",
    "sample_every_n_steps", "sample_every_n_epochs", "sample_prompts",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A preset's name, and why this one."""

    preset: str
    reason: str


def propose(presets: Iterable[Preset], machine: Machine) -> Proposal | None:
    """The preset for this computer's card; None: there is no card, or it is too small for any of them.

    Of those that fit the one for the largest cards, and of two for the same size that in the card's own precision.
    """
    gpu = machine.gpu
    if gpu is None:
        return None
    fitting = [preset for preset in presets if preset.is_proposed and fits(preset, gpu)]
    if not fitting:
        return None
    wanted = "bf16" if machine.has_bf16.value else "fp16"
    if wanted == "bf16":  # those in fp16 are made for cards without it
        fitting = [preset for preset in fitting if _precision(preset) == wanted] or fitting
    best = max(fitting, key=lambda preset: (preset.min_vram_gib or 0, _precision(preset) == wanted))
    return Proposal(preset=best.name, reason=_reason(best, gpu, machine))


def fits(preset: Preset, gpu: Gpu) -> bool:
    """Whether a preset can be trained with on a card that shows the desktop as well, and now: others may hold some of it."""
    return _is_large_enough(preset, gpu) and (
        preset.peak_mib is None or gpu.free_mib <= 0 or preset.peak_mib + CONTEXT_MIB <= gpu.free_mib
    )


def _is_large_enough(preset: Preset, gpu: Gpu) -> bool:
    if preset.min_vram_gib and gpu.total_mib < preset.min_vram_gib * 1024 * NOMINAL_SHARE:
        return False
    return preset.peak_mib is None or preset.peak_mib + CONTEXT_MIB + DESKTOP_MIB <= gpu.total_mib


def why_too_large(preset: Preset, gpu: Gpu | None) -> str | None:
    """Why a preset does not fit, in a few words; None: it does, or there is no card to ask about."""
    if gpu is None or fits(preset, gpu):
        return None
    if _is_large_enough(preset, gpu):
        return "the card is too full just now"
    return (
        f"needs a card with {preset.min_vram_gib:g} GB" if preset.min_vram_gib else "too large for this card"
    )


def known_peak(preset: Preset, options: Mapping[str, Setting]) -> int | None:
    """The preset's measured peak, if these options are still those that it was measured with."""
    for name in DECISIVE:
        now, then = options.get(name), preset.options.get(name)
        if (now.value if now else None) != (then.value if then else None):
            return None
    for name, setting in options.items():
        then = preset.switches.get(name.removeprefix(PREFIX))
        if name.startswith(PREFIX) and setting.source != DEFAULT and setting != then:
            return None
    return preset.peak_mib


def in_order(presets: Sequence[Preset], proposal: Proposal | None, gpu: Gpu | None) -> list[Preset]:
    """The proposed one first, then what fits, largest first, then what needs another card or none."""

    def place(preset: Preset) -> tuple[bool, bool, float, str]:
        is_first = proposal is not None and preset.name == proposal.preset
        is_fitting = gpu is None or fits(preset, gpu)
        size = preset.min_vram_gib or 0
        return (not is_first, not is_fitting, -size if is_fitting and gpu else size, preset.name)

    return sorted(presets, key=place)


def _precision(preset: Preset) -> object:
    setting = preset.options.get("mixed_precision")
    return setting.value if setting else None


def _reason(preset: Preset, gpu: Gpu, machine: Machine) -> str:
    said = f"{gpu.name} has {gpu.total_mib / 1024:.0f} GB"
    if preset.peak_mib:
        said += f"; training takes {(preset.peak_mib + CONTEXT_MIB) / 1024:.1f}"
    if gpu.total_mib - gpu.free_mib > BUSY_MIB:
        said += f"; {gpu.free_mib / 1024:.1f} of it are free now"
    if not machine.has_bf16.value:
        said += ", and no bf16"
    return said
