"""Rules about precision, caches and memory: see `rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.errors import Problem
    from launcher.preset.values import Rule, Values

CLIP_REASON = "the captions are encoded once, before training, so they cannot change later"
CACHED_TEXTS = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
CACHED_LATENTS = ("cache_latents", "cache_latents_to_disk")


def _cached_captions(values: Values) -> Iterator[Problem]:
    if not values.is_on(*CACHED_TEXTS):
        return
    name = values.first(*CACHED_TEXTS)
    if not values.is_on("network_train_unet_only"):
        yield values.problem(
            name, f"{name} needs network_train_unet_only", "add network_train_unet_only = true",
            why="text encoders whose outputs are cached cannot be trained",
        )  # fmt: skip
    for changing in (
        "shuffle_caption",
        "caption_dropout_rate",
        "caption_tag_dropout_rate",
        "token_warmup_step",
    ):
        if values.is_on(changing):
            yield values.problem(
                changing, f"{changing} does not go with {name}", f"remove {changing}, or set {name} = false", why=CLIP_REASON
            )  # fmt: skip
    for adding in ("caption_prefix", "caption_suffix"):
        if values.is_on(adding):
            yield values.warning(
                adding, f"{adding} has no effect with {name}", f"write it into the caption files, or set {name} = false",
                why="what is encoded beforehand is the caption file as it is",
            )  # fmt: skip


def _cached_latents(values: Values) -> Iterator[Problem]:
    for changing in ("color_aug", "random_crop"):
        if values.is_on(*CACHED_LATENTS) and values.is_on(changing):
            name = values.first(*CACHED_LATENTS)
            yield values.problem(
                changing, f"{changing} does not go with {name}", f"remove {changing}, or set {name} = false",
                why="the images are encoded once, before training, so they cannot change later",
            )  # fmt: skip


def _precision(values: Values) -> Iterator[Problem]:
    for name in ("fp8_base", "fp8_base_unet"):
        if values.is_on(name) and values["mixed_precision"] == "no":
            yield values.problem(
                name, f"{name} needs mixed_precision bf16 or fp16", 'add mixed_precision = "bf16"',
                why="fp8 is only how the weights are stored: the computing is done in half precision",
            )  # fmt: skip
    for name, needed in (("full_fp16", "fp16"), ("full_bf16", "bf16")):
        if values.is_on(name) and values["mixed_precision"] != needed:
            yield values.problem(
                name, f"{name} needs mixed_precision {needed}", f'write mixed_precision = "{needed}"'
            )
    if values["mixed_precision"] == "fp16" and not values.is_on("no_half_vae"):
        yield values.problem(
            "mixed_precision", "fp16 without no_half_vae often gives black images", "add no_half_vae = true",
            why="SDXL's own VAE overflows in fp16", severity=Severity.WARNING,
        )  # fmt: skip


def _rounded_texts(values: Values) -> Iterator[Problem]:
    """Source: strategy_sdxl.py casts the pooled output to the dtype of the projection's weights, which is fp8 then."""
    if values.is_fork or not values.is_full or values.is_on("fp8_base_unet") or values.is_on(*CACHED_TEXTS):
        return
    if values.is_on("fp8_base") and values["mixed_precision"] != "no":
        yield values.warning(
            "fp8_base", "fp8_base rounds the output of the text encoders to 8 bits as well",
            "write fp8_base_unet = true in its place, or cache_text_encoder_outputs = true",
            why="their outputs are not cached, so they are computed with the rounded weights in each step",
        )  # fmt: skip


def _memory(values: Values) -> Iterator[Problem]:
    if values.is_on("cpu_offload_checkpointing") and values.is_on("gradient_checkpointing"):
        yield values.problem(
            "cpu_offload_checkpointing", "cpu_offload_checkpointing does not work with SDXL", "remove the line",
            why="SDXL's U-Net does not know the option and stops with a TypeError",
        )  # fmt: skip
    if values.is_on("persistent_data_loader_workers") and values["max_data_loader_n_workers"] == 0:
        yield values.problem(
            "persistent_data_loader_workers", "persistent_data_loader_workers needs at least one worker",
            "remove the line, or write max_data_loader_n_workers = 1",
        )  # fmt: skip
    if values.is_on("lowram"):
        yield values.problem(
            "lowram", "lowram loads the whole model onto the card: about 13 GiB", "remove lowram",
            why="it is meant for computers with little RAM and a large card", severity=Severity.WARNING,
        )  # fmt: skip
    kinds = [name for name in ("sdpa", "xformers", "mem_eff_attn") if values.is_on(name)]
    if len(kinds) > 1:
        yield values.problem(
            kinds[1], f"{' and '.join(kinds)} exclude each other: only one is used", f"keep only {kinds[0]} = true",
            severity=Severity.WARNING,
        )  # fmt: skip


RULES: tuple[Rule, ...] = (_cached_captions, _cached_latents, _precision, _rounded_texts, _memory)
