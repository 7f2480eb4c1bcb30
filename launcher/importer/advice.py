"""What a person with a small card should know about the settings that she brings; data and one function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.launch import base_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launcher.importer.outcome import Outcome
    from launcher.machine import Machine

MANY_STEPS = 2000
SMALL_MIB = 9 * 1024
UNREAD = object()
# What is missed when it is not there; a file that cannot tell of it is not blamed.
EXPECTED = ("max_train_steps", "mixed_precision", "seed", "caption_extension", "no_half_vae", "gradient_checkpointing", "cache_text_encoder_outputs")  # fmt: skip
CACHED_TEXTS = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")


def advise(outcome: Outcome, earlier: Sequence[Outcome], machine: Machine | None) -> None:
    """Add the advice that fits to an outcome; `earlier` are the trainings before it in the same script."""
    # What is there but could not be read must not be called missing.
    values: dict[str, Any] = {item.name: UNREAD for item in outcome.unread if item.name}
    if outcome.launch.says is not None:
        values |= {name: UNREAD for name in EXPECTED if name not in outcome.launch.says}
    values |= {name: given.value for name, given in outcome.options.items()}
    outcome.advice += [text for holds, text in _findings(values, machine) if holds]
    _advise_on_phases(outcome, earlier)


def _findings(values: Mapping[str, Any], machine: Machine | None) -> Iterator[tuple[object, str]]:
    """What to look for, and what to say when it is there."""
    value = values.get
    steps, precision = value("max_train_steps"), value("mixed_precision")
    caches_texts = any(value(name) for name in CACHED_TEXTS)
    is_many = isinstance(steps, int) and steps > MANY_STEPS
    has_bf16 = machine is not None and machine.gpu is not None and bool(machine.has_bf16.value)
    yield (
        value("fp8_base") and not caches_texts,
        "fp8_base without cache_text_encoder_outputs stores the text encoders in 8 bits too: what they say gets coarser. With the U-Net alone, caching them is better and saves 868 MiB.",
    )
    yield (
        value("lowram"),
        "--lowram loads the model straight into the card's memory: on 8 GB that makes the start harder, not easier.",
    )
    yield (
        is_many,
        f"{steps} steps are many for a LoRA: most guides stop at {MANY_STEPS}. Compare the saves in between.",
    )
    yield (
        steps is None and value("max_train_epochs") is None,
        "No length is set: sd-scripts trains 1600 steps.",
    )
    yield (
        precision == "fp16" and has_bf16,
        'This card computes bf16, which does not overflow as fp16 does: mixed_precision = "bf16" is safer.',
    )
    yield (
        precision in {None, "no"},
        "Without mixed_precision everything is computed in fp32: SDXL does not fit into 8 GB so.",
    )
    yield (
        value("xformers") or value("mem_eff_attn"),
        "xformers is used where it is installed and works; else the launcher takes sdpa, torch's own attention.",
    )
    yield (
        value("seed") is None,
        "No seed is set, so each of its runs was another one; the launcher takes 42.",
    )
    yield (
        value("caption_extension") is None,
        "No caption_extension is set: sd-scripts would look for .caption files; the launcher takes what it finds beside the images.",
    )
    yield (
        not value("no_half_vae") and precision == "fp16",
        "Without no_half_vae SDXL's own VAE can overflow in fp16: black samples, NaN in the latents.",
    )
    yield (
        not value("gradient_checkpointing") and _is_small(machine),
        "Without gradient_checkpointing SDXL needs about 16 GB.",
    )


def _is_small(machine: Machine | None) -> bool:
    return machine is not None and machine.gpu is not None and machine.gpu.total_mib <= SMALL_MIB


def _advise_on_phases(outcome: Outcome, earlier: Sequence[Outcome]) -> None:
    """A training that starts from what an earlier one of the script wrote: the launcher writes it somewhere else."""
    weights = outcome.options.get("network_weights")
    if weights is None:
        return
    name = base_name(str(weights.value)).removesuffix(".safetensors").removesuffix(".pt")
    for other in earlier:
        if other.name is not None and name.startswith(str(other.name.value)):
            outcome.advice.append(
                f"network_weights is what the training of line {other.launch.line} wrote. The launcher writes it to the run's "
                f"own folder, runs/…/output: put that path into network_weights when it is there."
            )  # fmt: skip
            return
