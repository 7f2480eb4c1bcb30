"""How long sums of 16-bit products are rounded: the gradients of a LoRA run over all tokens of a picture."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Scene


@functools.cache
def gradient_type(device: Any, dtype: Any) -> Any:
    """fp32 where 16-bit matrices can be multiplied into it (CUDA, torch since 2.8): LoRA gradients are not rounded then."""
    small = torch.ones((2, 16, 16), device=device, dtype=dtype)
    wide = torch.zeros((2, 16, 16), device=device)
    try:
        torch.mm(small[0].t(), small[0], out_dtype=torch.float32, out=wide[0])
        torch.bmm(small.transpose(1, 2), small, out_dtype=torch.float32, out=wide)
    except (TypeError, RuntimeError, NotImplementedError):
        return dtype
    return torch.float32 if bool((wide == 16).all()) else dtype


def full_sums(scene: Scene) -> Callable[[], None]:
    """Long sums that a card splits are added in fp32, not in 16 bits, as long as one of those who asked is there.

    Returns what a boost calls when it goes.
    """
    switches = torch.backends.cuda.matmul
    names = [f"allow_{name}_reduced_precision_reduction" for name in ("bf16", "fp16")]
    users, before = scene.shared.setdefault("sums", ([], {name: getattr(switches, name) for name in names}))
    user = object()
    users.append(user)
    for name in names:
        setattr(switches, name, False)

    def leave() -> None:
        users.remove(user)
        if not users:
            for name, value in before.items():
                setattr(switches, name, value)

    return leave
