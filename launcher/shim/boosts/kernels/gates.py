"""GEGLU and a sum with a bias: tiles of a few rows and 128 columns, computed in fp32, rounded where torch does."""

import torch
import triton
import triton.language as tl

from launcher.shim.boosts.kernels.launching import Kernel

ROWS, COLUMNS = 16, 128  # of a program; all widths of an SDXL U-Net are multiples of 128


@triton.jit
def _place(rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return row, column, (row < rows) & (column < columns)


@triton.jit
def _normal(x):
    """The share of a normal distribution below x."""
    return 0.5 + 0.5 * tl.erf(x * 0.7071067811865476)


@triton.jit(do_not_specialize=["rows"])
def geglu_kernel(hidden, found, columns, rows, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column, inside = _place(rows, columns, ROWS, COLUMNS)
    here = hidden + row * 2 * columns + column
    value = tl.load(here, mask=inside, other=0).to(tl.float32)
    gate = tl.load(here + columns, mask=inside, other=0).to(tl.float32)
    opened = (gate * _normal(gate)).to(found.dtype.element_ty).to(tl.float32)  # torch rounds it in between
    result = value * opened
    tl.store(found + row * columns + column, result.to(found.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def geglu_backward_kernel(grad, hidden, found, columns, rows, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column, inside = _place(rows, columns, ROWS, COLUMNS)
    here = row * 2 * columns + column
    value = tl.load(hidden + here, mask=inside, other=0).to(tl.float32)
    gate = tl.load(hidden + here + columns, mask=inside, other=0).to(tl.float32)
    g = tl.load(grad + row * columns + column, mask=inside, other=0).to(tl.float32)
    below = _normal(gate)
    slope = below + gate * 0.3989422804014327 * tl.exp(-0.5 * gate * gate)
    tl.store(found + here, (g * gate * below).to(found.dtype.element_ty), mask=inside)
    tl.store(found + here + columns, (g * value * slope).to(found.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def add_kernel(x, y, y_bias, columns, rows, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column, inside = _place(rows, columns, ROWS, COLUMNS)
    here = row * columns + column
    bias = tl.load(y_bias + column, mask=column < columns, other=0).to(tl.float32)
    other = tl.load(y + here, mask=inside, other=0).to(tl.float32) + bias
    other = other.to(y.dtype.element_ty).to(tl.float32)
    total = other + tl.load(x + here, mask=inside, other=0).to(tl.float32)
    tl.store(y + here, total.to(y.dtype.element_ty), mask=inside)


_geglu = Kernel(geglu_kernel, warps=4)
_geglu_backward = Kernel(geglu_backward_kernel, warps=4)
_add = Kernel(add_kernel, warps=4)


def geglu(hidden: torch.Tensor) -> torch.Tensor:
    """(rows, 2n) -> (rows, n)."""
    rows, columns = hidden.shape[0], hidden.shape[1] // 2
    found = hidden.new_empty(rows, columns)
    _geglu((hidden.dtype, columns), _grid(rows, columns), (hidden, found), (columns, rows), (ROWS, COLUMNS))
    return found


def geglu_backward(grad: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """(rows, n) and what geglu got -> (rows, 2n)."""
    rows, columns = grad.shape
    found = torch.empty_like(hidden)
    _geglu_backward(
        (hidden.dtype, grad.dtype, columns),
        _grid(rows, columns),
        (grad, hidden, found),
        (columns, rows),
        (ROWS, COLUMNS),
    )
    return found


def add(x: torch.Tensor, y: torch.Tensor, y_bias: torch.Tensor) -> torch.Tensor:
    """`x + (y + y_bias)`, in y."""
    columns = x.shape[-1]
    rows = x.numel() // columns
    _add(
        (x.dtype, y_bias.dtype, columns),
        _grid(rows, columns),
        (x, y, y_bias),
        (columns, rows),
        (ROWS, COLUMNS),
    )
    return y


def _grid(rows: int, columns: int) -> tuple[int, int, int]:
    return -(-columns // COLUMNS), -(-rows // ROWS), 1
