"""What the card's libraries load at the first attention and the first convolution, loaded beside the imports.

cuDNN brings an engine of its own for each kind of call. On an H100 with torch 2.11, where torch chooses it for attention,
the first calls of a training took 0.6 s (image to itself) and 0.5 s (image to text), and the first backward 4.1 s; by
themselves in a small process 0.8, 0.5 and 3.8 s, of which Python's imports for it are a part. Any later call, of other
sizes or in another thread, took 0.05 to 0.12 s. torch's own kernels (flash, memory-efficient): 0.03 s.

Nothing is drawn, nothing kept: zeros of the training's own sizes, once forward and once backward.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher.shim import beside

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

HEAD = 64  # channels of a head
LEVELS = ((10, 16), (20, 32))  # of SDXL's U-Net: heads, and pixels to a token along one side
CHANNELS, STRIDE = 320, 8  # of its first convolutions
MOST_PIXELS = 2048 * 2048  # beyond, a wrong number in a plan would fill the card


def load_libraries(plan: Mapping[str, Any]) -> threading.Thread | None:
    """Begin, for a training in 16 bits on one card. torch is imported, and nobody else computes yet."""
    train = plan.get("train")
    if not isinstance(train, dict) or int(os.environ.get("WORLD_SIZE") or 1) > 1:
        return None
    from launcher.shim.boosts.ahead import PRECISIONS

    precision = PRECISIONS.get(str(train.get("mixed_precision")))
    if precision is None:
        return None
    sizes = sizes_of(train) if train.get("sdpa") else []

    def work() -> None:
        with suppress(Exception):  # only a head start: whoever needs it loads it, and tells what is wrong
            import torch

            load(torch.device("cuda", torch.cuda.current_device()), getattr(torch, precision), sizes)

    return beside.begin("card's libraries", work)


def sizes_of(train: Mapping[str, Any]) -> list[tuple[int, int, int, int]]:
    """(batch, heads, queries, keys) of attention in a U-Net that trains on images of the plan's resolution."""
    from launcher.shim.boosts.attention import TEXT_TOKENS, resolution_of

    width, height = resolution_of(train.get("resolution"))
    if not 0 < width * height <= MOST_PIXELS:
        return []
    text = TEXT_TOKENS.get(train.get("max_token_length"), TEXT_TOKENS[None])
    found = []
    for heads, side in LEVELS:
        queries = (width // side) * (height // side)
        found += [(1, heads, queries, keys) for keys in (queries, text)]
    return found


def load(
    device: Any, dtype: Any, sizes: Iterable[tuple[int, int, int, int]], side: int = 1024 // STRIDE
) -> None:
    """Attention of these sizes as torch chooses it, and a convolution of `side` x `side` pixels, forward and backward."""
    import torch
    from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

    def zeros(*shape: int) -> Any:
        return torch.zeros(shape, device=device, dtype=dtype, requires_grad=True)

    for batch, heads, queries, keys in sizes:
        parts = [
            zeros(batch, tokens, heads, HEAD).transpose(1, 2) for tokens in (queries, keys, keys, queries)
        ]
        (F.scaled_dot_product_attention(*parts[:3]) * parts[3]).sum().backward()
    # laid out as the boost `convolutions` has them; frozen: nobody asks for the weight's gradient, nor for its engine
    last = {"memory_format": torch.channels_last}
    weight = zeros(CHANNELS, CHANNELS, 3, 3).detach().contiguous(**last)
    F.conv2d(zeros(1, CHANNELS, side, side).contiguous(**last), weight, padding=1).sum().backward()
