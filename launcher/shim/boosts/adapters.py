"""Which LoRA hangs on which layer of the U-Net, read from what upstream's networks leave there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLAIN = "LoRAModule"  # networks/lora.py, the same in all known versions
NAMES_OF_CHANCE = ("dropout", "rank_dropout", "module_dropout")


class ForeignError(Exception):
    """A layer computes something that boosts do not know; the message says what."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A plain LoRA: `y = layer(x) + up(down(x)) * scale`. It replaces `forward` of its layer."""

    module: Any

    @property
    def down(self) -> Any:
        """(rank, in), fp32 or the network's type; trained."""
        return self.module.lora_down.weight

    @property
    def up(self) -> Any:
        """(out, rank)."""
        return self.module.lora_up.weight

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])

    @property
    def scale(self) -> float:
        """To be asked at each call: upstream changes the multiplier for some steps.

        Raises:
            ForeignError: it is not one number.
        """
        value = self.module.multiplier
        if not isinstance(value, (int, float)):
            raise ForeignError("a multiplier that is not one number")
        return float(value) * float(self.module.scale)


def adapter_of(layer: Any) -> Adapter | None:
    """The plain LoRA of a Linear or Conv2d; None where there is none.

    Raises:
        ForeignError: something else has taken the layer's forward, or the LoRA drops out by chance.
    """
    taken = layer.__dict__.get("forward")
    if taken is None or _is_own(taken, layer):
        return None
    owner: Any = getattr(taken, "__self__", None)
    made_by: Any = type(owner)
    if made_by.__name__ != PLAIN or getattr(taken, "__func__", None) is not made_by.forward:
        raise ForeignError(f"its forward is {getattr(taken, '__qualname__', taken)}")
    if "forward" in owner.__dict__:
        raise ForeignError("its LoRA has a forward of its own")
    if not _is_own(owner.org_forward, layer):
        raise ForeignError("its LoRA lies over another network")
    for name in NAMES_OF_CHANCE:
        if getattr(owner, name, None):
            raise ForeignError(f"{name} of its LoRA")
    return Adapter(owner)


def _is_own(forward: Any, layer: Any) -> bool:
    """Whether it is the layer's own, or computes the same bits (`cast` marks its functions)."""
    function, of_layer = getattr(forward, "__func__", None), type(layer)
    is_same = function is of_layer.forward or getattr(function, "is_as_stock", False)
    return getattr(forward, "__self__", None) is layer and bool(is_same)
