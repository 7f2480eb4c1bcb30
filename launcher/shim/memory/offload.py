"""Frozen weights that wait in RAM and come to the card when their layer runs.

A chosen layer keeps its module, its hooks and its place; only its class is exchanged for one of the same name (the
trainers' network code looks at class names) whose `weight` is a property: the tensor moved to the card, in the stored
type, by an asynchronous copy from pinned memory. As it is no parameter any more, `.to()` and accelerate leave it alone.
The numbers are the same; a step takes longer by two transfers of these weights (forward, and again under gradient
checkpointing).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_BYTES = (
    64 << 20
)  # pinned in pieces of a power of two: the pinning allocator rounds every piece up to one


def offload(unet: Any, dtype: Any, device: Any, budget_mib: int, cast: Callable[[Any], Any]) -> int:
    """Cast and take out the weights of the largest layers, about `budget_mib` of them; returns the bytes taken."""
    import torch

    itemsize = torch.empty((), dtype=dtype).element_size()
    layers = [module for module in unet.modules() if type(module) in (torch.nn.Linear, torch.nn.Conv2d)]
    layers.sort(
        key=lambda layer: layer.weight.numel(), reverse=True
    )  # stable: first in the model, first taken
    left = budget_mib << 20
    store = _Store(pinned=device.type == "cuda")
    taken = 0
    for layer in layers:
        size = layer.weight.numel() * itemsize
        if size > left:
            continue
        _take_out(layer, store.keep(cast(layer.weight.detach())), device)
        left -= size
        taken += size
    return taken


def _take_out(layer: Any, kept: Any, device: Any) -> None:
    import torch

    is_linear = isinstance(layer, torch.nn.Linear)
    del layer._parameters["weight"]  # noqa: SLF001  (`del layer.weight` does the same and is barred by the property)
    layer.kept_weight = _Kept(kept, device)
    layer.__class__ = _classes()["Linear" if is_linear else "Conv2d"]


class _Kept:
    """A tensor that `Module.to` does not see."""

    __slots__ = ("device", "tensor")

    def __init__(self, tensor: Any, device: Any) -> None:
        self.tensor = tensor
        self.device = device

    def on_the_card(self) -> Any:
        return self.tensor.to(self.device, non_blocking=True)


class _Store:
    """Packs tensors into pinned chunks; without pinning it keeps them as they are."""

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._chunk: Any = None
        self._used = 0

    def keep(self, tensor: Any) -> Any:
        import torch

        if not self._pinned:
            return tensor
        size = tensor.numel() * tensor.element_size()
        if self._chunk is None or self._used + size > self._chunk.numel():
            self._chunk = torch.empty(max(CHUNK_BYTES, size), dtype=torch.uint8, pin_memory=True)
            self._used = 0
        place = self._chunk[self._used : self._used + size].view(tensor.dtype).view(tensor.shape)
        self._used += -(-size // 256) * 256  # the next one begins where any type may
        place.copy_(tensor)
        return place


@functools.cache
def _classes() -> dict[str, type]:
    """Subclasses called Linear and Conv2d (made here: torch is not imported when this module is)."""
    import torch

    def weight(layer: Any) -> Any:
        return layer.kept_weight.on_the_card()

    def make(base: type) -> type:
        return type(base.__name__, (base,), {"weight": property(weight), "__module__": __name__})

    return {"Linear": make(torch.nn.Linear), "Conv2d": make(torch.nn.Conv2d)}
