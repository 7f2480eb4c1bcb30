"""Multiplication by a frozen base weight as it is stored: the one place where it is decided how.

`of(scene)` gives the operation that is used now: to be asked at each call, since `fp8_matmul` may put another in its
place, and takes it out again when it fails. Shapes: x (rows, in) and the weight (out, in), both with rows that lie one
after the other; dy (rows, out).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

if TYPE_CHECKING:
    from torch import Tensor

    from launcher.shim.boosts.ops import Ops
    from launcher.shim.boosts.scene import Scene

SHARED = "matmul"  # under which name it stands in scene.shared


class Matmul:
    """The stock way: the weight is cast to x's type, multiplied, and forgotten.

    `can_add`: `add_input_gradient` costs no pass of its own. Then a small summand (a LoRA's) is best made first and the
    large product added to it: only the sum is rounded at full size, once. A forward rounds where stock does.
    """

    can_add = True

    def __init__(self, ops: Ops) -> None:
        self.ops = ops

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """`x @ weight.T + bias` in x's type, new memory. The bias may be of any type."""
        if bias is not None and bias.dtype != x.dtype:
            bias = bias.to(x.dtype)
        return F.linear(x, self._in(x.dtype, weight), bias)

    def input_gradient(self, grad: Tensor, weight: Tensor) -> Tensor:
        """`grad @ weight` in grad's type, new memory: what `forward` gives back to its x."""
        return grad.mm(self._in(grad.dtype, weight))

    def add_input_gradient(self, into: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
        """`into += grad @ weight`"""
        return into.addmm_(grad, self._in(grad.dtype, weight))

    def _in(self, dtype: Any, weight: Tensor) -> Tensor:
        return weight if weight.dtype == dtype else self.ops.cast(weight, dtype)


def of(scene: Scene) -> Matmul:
    """The operation in use; the stock one where nobody has put another."""
    found = scene.shared.get(SHARED)
    if found is None:
        found = scene.shared[SHARED] = Matmul(scene.ops)
    return found
