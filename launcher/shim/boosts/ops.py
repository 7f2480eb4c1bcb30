"""The elementary operations of the fast paths, in torch's own functions; `kernels` has the same in Triton.

Shapes: `x` is (rows, columns) and contiguous, in the type that matrices are multiplied in. Statistics are fp32, one a
row (layer norm) or one a group of each image (group norm). Norms compute in fp32 and round once, at the end. Frozen
weights need no gradient, so a backward gives that of its input only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

if TYPE_CHECKING:
    from torch import Tensor


class Ops:
    """torch's own functions: everywhere, and what others are checked against."""

    name = "torch"

    def cast(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """A stored (fp8) weight in the type of computing, its strides kept."""
        return weight.to(dtype)

    def cast_into(self, weight: Tensor, into: Tensor) -> Tensor:
        """The same into a contiguous tensor of the type of computing, where it is made once for many weights."""
        return into.copy_(weight)

    def layer_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`weight`, `bias`: fp32 (columns). Returns the norm in x's type, mean and 1 / deviation (rows, 1)."""
        normed, mean, rstd = torch.native_layer_norm(x.float(), (x.shape[-1],), weight, bias, eps)
        return normed.to(x.dtype), mean, rstd

    def add_layer_norm(
        self, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The residual `x + y`, rounded, and its layer norm.

        `y` may be overwritten. Returns (residual, norm, mean, rstd).
        """
        total = self.add(x, y, None)
        return (total, *self.layer_norm(total, weight, bias, eps))

    def add(self, x: Tensor, y: Tensor, y_bias: Tensor | None) -> Tensor:
        """`x + (y + y_bias)`, rounded as torch does: first the bias, then the sum. `y` may be overwritten."""
        if y_bias is not None:
            y = y.add_(y_bias)
        return y.add_(x)

    def layer_norm_backward(
        self,
        grad: Tensor,
        x: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor,
        residual: Tensor | None = None,
    ) -> Tensor:
        """Gradient of x, plus that of a residual beside the norm; in x's type. `bias` does not matter."""
        found = torch.ops.aten.native_layer_norm_backward(
            grad.float(), x.float(), [x.shape[-1]], mean, rstd, weight, None, [True, False, False]
        )[0]
        if residual is not None:
            found = found + residual
        return found.to(x.dtype)

    def geglu(self, hidden: Tensor) -> Tensor:
        """(rows, 2n), values then gates -> (rows, n): value * gelu(gate), gelu with erf."""
        value, gate = hidden.chunk(2, dim=-1)
        return value * F.gelu(gate)

    def geglu_backward(self, grad: Tensor, hidden: Tensor) -> Tensor:
        """(rows, n) and what geglu got -> (rows, 2n)."""
        value, gate = hidden.chunk(2, dim=-1)
        found = torch.empty_like(hidden)
        torch.mul(grad, F.gelu(gate), out=found[:, : grad.shape[1]])
        found[:, grad.shape[1] :] = torch.ops.aten.gelu_backward(grad * value, gate)
        return found

    def group_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, *, silu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x: (images, channels, height, width) of any memory format, which the result keeps; weight and bias fp32.

        Returns the norm (through SiLU where asked), in x's type; mean and 1 / deviation (images, groups) in fp32.
        """
        n, c, h, w = x.shape
        wide = x.float().contiguous()
        normed, mean, rstd = torch.native_group_norm(wide, weight, bias, n, c, h * w, groups, eps)
        if silu:
            normed = F.silu(normed, inplace=True)
        return normed.to(x.dtype, memory_format=_format_of(x)), mean, rstd

    def group_norm_backward(
        self, grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, groups: int, *,
        silu: bool,
    ) -> Tensor:  # fmt: skip
        """Gradient of x, in x's type and memory format."""
        n, c, h, w = x.shape
        wide, grad = x.float().contiguous(), grad.float().contiguous()
        if silu:
            normed = (wide.view(n, groups, -1) - mean.unsqueeze(-1)) * rstd.unsqueeze(-1)
            normed = normed.view(n, c, h, w) * weight.view(1, c, 1, 1) + bias.view(1, c, 1, 1)
            grad = torch.ops.aten.silu_backward(grad, normed)
        found = torch.ops.aten.native_group_norm_backward(
            grad, wide, mean, rstd, weight, n, c, h * w, groups, [True, False, False]
        )[0]
        return found.to(x.dtype, memory_format=_format_of(x))


def _format_of(x: Tensor) -> torch.memory_format:
    is_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if is_last else torch.contiguous_format
