"""A Transformer2DModel's way in and out without a copy: in channels_last its tokens are a view of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.convolutions.single import Normed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.convolutions.placing import Place

NAME = "convolutions"


def why_stays(module: Any) -> str | None:
    """Why a Transformer2DModel stays stock, or None."""
    is_known = (
        getattr(module, "use_linear_projection", False)
        and isinstance(module.norm, torch.nn.GroupNorm)
        and module.norm.weight is not None
        and isinstance(module.proj_in, torch.nn.Linear)
        and isinstance(module.proj_out, torch.nn.Linear)
    )
    if not is_known:
        return "a transformer of another build"
    if any(weight.requires_grad for weight in module.norm.parameters()):
        return "norms that are trained themselves"
    return None


def place(place: Place, module: Any) -> None:
    """Only in channels_last: otherwise the copies are needed, and stock makes no other."""
    if not place.frame.is_last:
        return
    if (reason := why_stays(module)) is not None:
        place.left.append(reason)
        return
    place.exchange(module, _forward(place, module))


def _forward(place: Place, module: Any) -> Callable[..., Any]:
    """Its parts are called as modules: what hangs on them (LoRA, other boosts) goes on working.

    Only the norm can fail by our fault, so only it is guarded: the blocks are not run twice.
    """
    stock, dtype = module.forward, place.frame.dtype
    fast = Normed(module.norm, place.frame, module.norm, place.failed, silu=False)
    norm = place.scene.guarded(NAME, fast, lambda x: module.norm(x))  # noqa: PLW0108  (it takes over the attributes of a function, not those of a module)

    def forward(hidden_states: Tensor, encoder_hidden_states: Any = None, timestep: Any = None) -> Any:
        if not torch.is_grad_enabled() or hidden_states.dtype != dtype:
            return stock(hidden_states, encoder_hidden_states, timestep)
        n, _, height, width = hidden_states.shape
        tokens = norm(hidden_states).permute(0, 2, 3, 1).reshape(n, height * width, -1)
        tokens = module.proj_in(tokens)
        for block in module.transformer_blocks:
            tokens = block(tokens, context=encoder_hidden_states, timestep=timestep)
        tokens = module.proj_out(tokens)
        return tokens.reshape(n, height, width, -1).permute(0, 3, 1, 2) + hidden_states

    return forward
