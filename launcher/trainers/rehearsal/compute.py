"""Where and how precisely it is computed, and everything that can make it repeatable."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch

from launcher.errors import InputError

logger = logging.getLogger(__name__)


def make_accelerator(mixed_precision: str, accumulation: int) -> Any:
    """An Accelerator for one process, deterministic as far as the device allows.

    Raises:
        InputError: more than one process was started.
    """
    # Imported here: accelerate reads the environment that `accelerate launch` prepared.
    from accelerate import Accelerator

    has_card = torch.cuda.is_available()
    if has_card:
        _make_card_repeatable()
    else:  # one thread: as fast on so small matrices, and sums do not depend on the number of cores
        torch.set_num_threads(1)
    if mixed_precision == "fp16" and not has_card:
        logger.warning("fp16 needs a graphics card: this rehearsal computes in bf16 instead")
        mixed_precision = "bf16"
    accelerator = Accelerator(gradient_accumulation_steps=accumulation, mixed_precision=mixed_precision)
    if accelerator.num_processes > 1:
        raise InputError("a rehearsal runs in one process; start it with --num_processes 1")
    return accelerator


def _make_card_repeatable() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cuda.enable_flash_sdp(enabled=False)  # their backward passes are not deterministic
    torch.backends.cuda.enable_mem_efficient_sdp(enabled=False)
    if hasattr(torch.backends.cuda, "enable_cudnn_sdp"):  # torch 2.5
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)
