"""Peak of the computer's own memory: the same run with the launcher's switches, and as the trainer does it by itself.

Anonymous memory of the process tree, MiB: what nobody else can have. The base model's file is mapped beside it (6.9 GB), but
that much the system takes back when it needs it. Measured rows: tests/benchmarks/forecast/measured.jsonl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.forecast.architecture import lora_numbers, numbers, unet

if TYPE_CHECKING:
    from launcher.forecast.constants import Constants
    from launcher.forecast.setup import Setup

MIB = 1 << 20


def ram(setup: Setup, constants: Constants, *, samples: bool | None = None) -> float:
    """The largest of: caching and preparing, training with a save."""
    table = constants["ram"]
    is_sampling = setup.samples if samples is None else samples
    lora = lora_numbers(setup.dim, setup.conv_dim, has_unet=setup.trains_unet, has_text=setup.trains_text) * 4 / MIB  # fmt: skip
    begin = table["prepare"] + lora if setup.caches_text else table["uncached"]
    if is_sampling and setup.caches_text:
        begin += table["prompts"]
    training = table["training"] + table["save"] * lora + (table["vae"] if is_sampling else 0)
    if setup.is_half and setup.is_unet_fp8:
        begin += numbers(unet()) / MIB  # rounded to fp8 while loading: no longer the file's own bytes
    if setup.caches_text and not setup.frees_text:
        begin, training = begin + table["kept_text"] / 2, training + table["kept_text"]
    if not setup.is_lean:
        stock = table["stock"] if setup.caches_text and not setup.frees_text else table["stock_load"]
        begin = max(begin, stock)
    return float(max(begin, training + setup.offload_mib) + table["accelerate"])
