"""What was before a micro-batch, so that it can be begun again as if it had not been: chance, autocast, gradients."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.shim.autocast import Autocast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.shim.boosts.scene import Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What a micro-batch changes besides gradients: random states, the LoRA's strength, and, when it fails, autocast.

    torch keeps the state of a card's generator in the process: reading it does not wait for the card.
    """

    scene: Scene
    python: Any
    numpy: Any
    cpu: Any
    card: Any
    autocast: Autocast
    multiplier: Any = None

    @staticmethod
    def of(scene: Scene) -> Before:
        import torch

        numpy = sys.modules.get("numpy")
        device = scene.machine.device
        return Before(
            scene=scene, python=random.getstate(), numpy=numpy.random.get_state() if numpy else None,
            cpu=torch.get_rng_state(), card=torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            autocast=Autocast.of(device.type), multiplier=getattr(scene.network, "multiplier", None),
        )  # fmt: skip

    def restore(self) -> None:
        import torch

        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.card is not None:
            torch.cuda.set_rng_state(self.card, self.scene.machine.device)
        self.autocast.restore()
        network = self.scene.network
        now = getattr(network, "multiplier", None)
        if isinstance(self.multiplier, (int, float)) and now != self.multiplier:
            network.set_multiplier(self.multiplier)  # upstream sets it to 0 for a part of some batches


class Gradients:
    """What earlier micro-batches of the step have left, kept from a backward that may fail half-way.

    It is put aside, and added to afterwards: the same sums as torch's own, and in one operation. Where it is not, only
    a backward before which there was nothing can be undone.
    """

    def __init__(self, weights: Iterable[Any], *, is_aside: bool) -> None:
        self._weights = list(weights)
        before = [(one, one.grad) for one in self._weights if one.grad is not None]
        is_seen = any(getattr(one, "_post_accumulate_grad_hooks", None) for one, _ in before)
        self._aside = before if is_aside and not is_seen else []
        self._is_lost = bool(before) and not self._aside
        for one, _ in self._aside:
            one.grad = None

    def reset(self) -> bool:
        """Drop what a failed backward has left; False where that cannot be told from what was there before."""
        if not self._is_lost:
            for one in self._weights:
                one.grad = None
        return not self._is_lost

    def settle(self) -> None:
        """Sums of before and now, where those before were."""
        import torch

        both = [(old, one.grad) for one, old in self._aside if one.grad is not None]
        if both:
            with torch.no_grad():
                torch._foreach_add_([old for old, _ in both], [new for _, new in both])
        for one, old in self._aside:
            one.grad = old
        self._aside = []
