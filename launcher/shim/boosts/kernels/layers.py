"""Layer norm, one row a program: read once, computed in fp32, rounded once."""

import torch
import triton
import triton.language as tl

from launcher.shim.boosts.kernels.launching import Kernel

WIDEST = 8192  # columns that a program holds in registers


@triton.jit
def layer_norm_kernel(
    x, y, weight, bias, normed, mean, rstd,
    columns, eps,
    HAS_Y: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    here = row * columns + at
    value = tl.load(x + here, mask=inside, other=0).to(tl.float32)
    if HAS_Y:
        other = tl.load(y + here, mask=inside, other=0).to(tl.float32)
        total = (value + other).to(y.dtype.element_ty)
        tl.store(y + here, total, mask=inside)
        value = total.to(tl.float32)
    middle = tl.sum(value, axis=0) / columns
    centred = tl.where(inside, value - middle, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=0) / columns + eps)
    w = tl.load(weight + at, mask=inside, other=0).to(tl.float32)
    b = tl.load(bias + at, mask=inside, other=0).to(tl.float32)
    found = centred * scale * w + b
    tl.store(normed + here, found.to(normed.dtype.element_ty), mask=inside)
    tl.store(mean + row, middle)
    tl.store(rstd + row, scale)


@triton.jit
def layer_norm_backward_kernel(
    grad, x, mean, rstd, weight, residual, found,
    columns,
    HAS_RESIDUAL: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    inside = at < columns
    here = row * columns + at
    scale = tl.load(rstd + row)
    normed = (tl.load(x + here, mask=inside, other=0).to(tl.float32) - tl.load(mean + row)) * scale
    g = tl.load(grad + here, mask=inside, other=0).to(tl.float32)
    g *= tl.load(weight + at, mask=inside, other=0).to(tl.float32)
    along = tl.sum(g * normed, axis=0) / columns  # g is 0 outside
    result = (g - tl.sum(g, axis=0) / columns - normed * along) * scale
    if HAS_RESIDUAL:
        result += tl.load(residual + here, mask=inside, other=0).to(tl.float32)
    tl.store(found + here, result.to(found.dtype.element_ty), mask=inside)


_SMALL = Kernel(layer_norm_kernel, warps=2), Kernel(layer_norm_backward_kernel, warps=2)
_LARGE = Kernel(layer_norm_kernel, warps=4), Kernel(layer_norm_backward_kernel, warps=4)


def layer_norm(
    x: torch.Tensor,
    y: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """(norm, mean, rstd) of x, or of x + y, which is left in y; None where the kernel cannot."""
    columns = x.shape[-1]
    rows = x.numel() // columns
    if columns > WIDEST or not rows:
        return None
    normed = torch.empty_like(x)
    mean = torch.empty(rows, 1, dtype=torch.float32, device=x.device)
    rstd = torch.empty_like(mean)
    constants = (y is not None, triton.next_power_of_2(columns))
    y = x if y is None else y
    (_SMALL if columns <= 1024 else _LARGE)[0](
        (x.dtype, weight.dtype, columns), (rows, 1, 1),
        (x, y, weight, bias, normed, mean, rstd), (columns, eps), constants,
    )  # fmt: skip
    return normed, mean, rstd


def layer_norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    weight: torch.Tensor,
    residual: torch.Tensor | None,
) -> torch.Tensor | None:
    """Gradient of x and of the residual beside it; None where the kernel cannot."""
    columns = x.shape[-1]
    rows = x.numel() // columns
    if columns > WIDEST or not rows:
        return None
    found = torch.empty_like(x)
    constants = (residual is not None, triton.next_power_of_2(columns))
    residual = grad if residual is None else residual
    (_SMALL if columns <= 1024 else _LARGE)[1](
        (x.dtype, grad.dtype, residual.dtype, weight.dtype, columns), (rows, 1, 1),
        (grad, x, mean, rstd, weight, residual, found), (columns,), constants,
    )  # fmt: skip
    return found
