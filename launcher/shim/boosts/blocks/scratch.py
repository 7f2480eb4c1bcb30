"""Memory that all blocks of one size use in turn: cast weights, LoRA weights in the computing type, LoRA gradients.

A pass over a block fills it, uses it and leaves it. Made once, with every view of it that a pass needs: some hundred
views a block cost the processor more time than the multiplications cost the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.sums import gradient_type

if TYPE_CHECKING:
    from torch import Tensor

    from launcher.shim.boosts.blocks.layout import Laid


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """Of one group. `up_t`: (rank, outs), or (count, rank, outs) where layers are grouped; `up`, `up_grad` likewise."""

    weight: Tensor | None  # (count * outs, ins); None where the stored weights themselves are multiplied
    weight_t: Tensor | None
    down: Tensor  # (count * rank, ins)
    down_t: Tensor
    up: Tensor
    up_t: Tensor
    down_grad: Tensor
    up_grad: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    cast: Tensor | None
    loras: Tensor
    grads: Tensor
    views: tuple[Views, ...]


def scratch_of(cache: dict[Any, Scratch], laid: Laid, dtype: Any, *, has_weights: bool) -> Scratch:
    """That of a block's size; made where the cache has none yet."""
    key = (laid.sizes, dtype, laid.weights.device, has_weights)
    found = cache.get(key)
    if found is None:
        found = cache[key] = _make(laid, dtype, has_weights=has_weights)
    return found


def _make(laid: Laid, dtype: Any, *, has_weights: bool) -> Scratch:
    cast = torch.empty_like(laid.weights, dtype=dtype) if has_weights else None
    loras = torch.empty_like(laid.loras, dtype=dtype)
    grads = torch.empty_like(loras, dtype=gradient_type(loras.device, dtype))
    views = []
    for group in laid.groups:
        weight = None if cast is None else group.weight(cast)
        down, up, up_grad = group.down(loras), group.up(loras), group.up(grads)
        if group.count == 1:
            up, up_grad = up[0], up_grad[0]
        views.append(
            Views(
                weight=weight, weight_t=None if weight is None else weight.t(), down=down, down_t=down.t(), up=up,
                up_t=up.transpose(-1, -2), down_grad=group.down(grads), up_grad=up_grad,
            )
        )  # fmt: skip
    return Scratch(cast=cast, loras=loras, grads=grads, views=tuple(views))
