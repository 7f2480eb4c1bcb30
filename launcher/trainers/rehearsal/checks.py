"""Combinations that sd-scripts refuses are refused here too: a rehearsal finds them in seconds, not after a download."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.trainers.rehearsal import HONOURED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# They change how fast or where a real run computes, nothing that a rehearsal could show.
_HARMLESS = frozenset(
    [
        "pretrained_model_name_or_path",
        "tokenizer_cache_dir",
        "vae",
        "xformers",
        "sdpa",
        "mem_eff_attn",
        "lowram",
        "highvram",
        "no_half_vae",
        "max_data_loader_n_workers",
        "persistent_data_loader_workers",
        "vae_batch_size",
        "logging_dir",
        "log_with",
        "log_prefix",
        "console_log_level",
        "console_log_file",
        "console_log_simple",
        "cache_info",
        "skip_cache_check",
        "prior_loss_weight",
        "disable_mmap_load_safetensors",
        "sample_sampler",
        "max_token_length",
    ]
)


def check_options(args: argparse.Namespace) -> None:
    """Source of the conditions: kohya-ss/sd-scripts v0.10.1, facts/sd-scripts.md section 1.3.

    Raises:
        InputError: one sentence for every refused combination, all at once.
    """
    problems = [*_precision(args), *_caching(args), *_schedule(args), *_unsupported(args)]
    if problems:
        raise InputError("these options do not go together: " + "; ".join(problems))


def _precision(args: argparse.Namespace) -> Iterator[str]:
    if (args.fp8_base or args.fp8_base_unet) and args.mixed_precision == "no":
        yield "fp8_base needs mixed_precision fp16 or bf16 (fp8 weights only store, autocast computes)"
    if args.full_fp16 and args.mixed_precision != "fp16":
        yield "full_fp16 needs mixed_precision fp16"
    if args.full_bf16 and args.mixed_precision != "bf16":
        yield "full_bf16 needs mixed_precision bf16"


def _caching(args: argparse.Namespace) -> Iterator[str]:
    if args.cache_latents and (args.color_aug or args.random_crop):
        yield "cached latents cannot be combined with color_aug or random_crop"
    if args.cache_text_encoder_outputs or args.cache_text_encoder_outputs_to_disk:
        if not args.network_train_unet_only:
            yield "cached text-encoder outputs need network_train_unet_only"
        varying = ["caption_dropout_rate", "shuffle_caption", "token_warmup_step", "caption_tag_dropout_rate"]
        used = [name for name in varying if getattr(args, name)]
        if used:
            yield f"cached text-encoder outputs cannot be combined with {', '.join(used)}"


def _schedule(args: argparse.Namespace) -> Iterator[str]:
    if args.lr_warmup_steps and args.lr_scheduler == "constant":
        yield "lr_warmup_steps has no place in lr_scheduler constant (use constant_with_warmup)"
    for name in ("train_batch_size", "gradient_accumulation_steps"):
        if getattr(args, name) < 1:
            yield f"{name} must be at least 1"
    for name in (
        "save_every_n_steps",
        "save_every_n_epochs",
        "sample_every_n_steps",
        "sample_every_n_epochs",
    ):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            yield f"{name} must be at least 1"
    if args.max_train_epochs is None and args.max_train_steps < 1:
        yield "max_train_steps must be at least 1"
    if args.max_train_epochs is not None and args.max_train_epochs < 1:
        yield "max_train_epochs must be at least 1"


def _unsupported(args: argparse.Namespace) -> Iterator[str]:
    if args.v2:
        yield "v2 is not for SDXL"
    if args.network_train_text_encoder_only:
        yield "the rehearsal has no text encoder that could be trained (network_train_text_encoder_only)"
    if args.save_model_as not in {None, "safetensors"}:
        yield "the rehearsal saves safetensors only (save_model_as)"
    if args.network_module not in {None, "networks.lora"}:
        yield f"the rehearsal trains networks.lora only, not {args.network_module}"


def tell_ignored(args: argparse.Namespace, defaults: argparse.Namespace) -> None:
    """Say which options of the user have no effect in a rehearsal."""
    ignored = sorted(
        name
        for name, value in vars(args).items()
        if name not in HONOURED | _HARMLESS and hasattr(defaults, name) and value != getattr(defaults, name)
    )
    if ignored:
        logger.warning("without effect in a rehearsal: %s", ", ".join(ignored))
    if not args.network_train_unet_only:
        logger.warning("a rehearsal trains the U-Net only; its text encoders are fixed")
