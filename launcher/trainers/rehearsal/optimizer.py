"""Optimizer and learning-rate schedule for the option names of sd-scripts."""

from __future__ import annotations

import ast
import logging
from typing import TYPE_CHECKING, Any

import torch
from diffusers.optimization import get_scheduler

from launcher.errors import InputError

if TYPE_CHECKING:
    import argparse

logger = logging.getLogger(__name__)

_KNOWN_ARGS = frozenset({"betas", "eps", "weight_decay"})


def make_optimizer(args: argparse.Namespace, network: Any) -> tuple[Any, str]:
    """AdamW over the LoRA weights, and its name for the metadata. Every other optimizer becomes AdamW, said aloud.

    Raises:
        InputError: `optimizer_args` cannot be read.
    """
    wanted = args.optimizer_type or "AdamW"
    wanted = "AdamW8bit" if args.use_8bit_adam else "Lion" if args.use_lion_optimizer else wanted
    extra = _read_args(args.optimizer_args or [])
    if wanted.lower() != "adamw":
        logger.warning("a rehearsal trains with AdamW in place of %s", wanted)
    ignored = sorted(set(extra) - _KNOWN_ARGS)
    if ignored:
        logger.warning("optimizer_args without effect in a rehearsal: %s", ", ".join(ignored))
    rate = args.unet_lr if args.unet_lr is not None else args.learning_rate
    known = {name: value for name, value in extra.items() if name in _KNOWN_ARGS}
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, fused=True, **known)
    return optimizer, f"torch.optim.adamw.AdamW({','.join(f'{k}={v}' for k, v in known.items())})"


def _read_args(words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            values[name.strip()] = ast.literal_eval(text if equals else "=")
        except (ValueError, SyntaxError) as error:
            raise InputError(f"optimizer_args: {word!r} is not name=value") from error
    return values


def make_scheduler(args: argparse.Namespace, optimizer: Any, total_steps: int) -> Any:
    """Diffusers' schedule over `total_steps` optimizer steps; warmup below 1 is a share of them.

    Raises:
        InputError: nobody knows the schedule's name.
    """
    warmup = args.lr_warmup_steps
    steps = int(warmup * total_steps) if isinstance(warmup, float) and warmup < 1 else int(warmup)
    try:
        return get_scheduler(
            args.lr_scheduler,
            optimizer,
            num_warmup_steps=steps,
            num_training_steps=total_steps,
            num_cycles=args.lr_scheduler_num_cycles if args.lr_scheduler != "cosine" else 0.5,
            power=args.lr_scheduler_power,
        )
    except ValueError as error:
        raise InputError(f"lr_scheduler {args.lr_scheduler!r} is not one of diffusers': {error}") from error
