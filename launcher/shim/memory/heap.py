"""Gives memory that nobody uses any more back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

M_MMAP_THRESHOLD = -3  # of <malloc.h>
OWN_MAPPING_BYTES = 4 << 20


def give_large_blocks_their_own_mapping() -> None:
    """Let glibc return every block of weights at once.

    By itself it learns to take blocks of up to 32 MiB, which is most of an SDXL model, from a heap whose middle it
    does not return: after the U-Net had gone to the card 12 GB stayed with the process.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # musl has no mallopt; nothing is lost but thrift
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def release() -> None:
    """Collect garbage, then empty the caches of Python's heap and of the card's allocator."""
    import torch

    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
