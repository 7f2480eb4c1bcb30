# ruff: noqa: ANN001, ANN201, ANN202, N803  (Triton reads these functions: constants in capitals, types of its own)
# mypy: ignore-errors
"""Triton: numbers to fp8 with the scale found on the way, and an fp8 matrix turned over. Bit for bit `fp8_matmul.Numbers`.

A program writes fp8 as bytes; Triton's own cast to e4m3 needs a card that multiplies it, as does all of this.
"""

import torch
import triton
import triton.language as tl

from launcher.shim.boosts.kernels.launching import Kernel

BLOCK = 4096  # numbers, a program
PARTS = 256  # largest values that each program of the second pass reads
PIECE = 16  # sizes are multiples of it, which Triton must see to read more than one number at once
TILE = 64
WARPS = 8


@triton.jit
def _power(largest, INVERSE: tl.constexpr):
    """The power of two at or above `largest * INVERSE`, by its bits."""
    bits = (largest * INVERSE).to(tl.int32, bitcast=True)
    bits = (bits + 0x7FFFFF) & 0x7F800000
    return tl.maximum(bits, 0x0D800000).to(tl.float32, bitcast=True)


@triton.jit
def _bytes(x, scale):
    return (x * (1.0 / scale)).to(tl.float8e4nv).to(tl.uint8, bitcast=True)


@triton.jit
def rows_kernel(x, found, scales, columns, INVERSE: tl.constexpr, BLOCK: tl.constexpr):
    row, at = tl.program_id(0), tl.arange(0, BLOCK)
    here = row * columns + at
    numbers = tl.load(x + here, mask=at < columns, other=0).to(tl.float32)
    scale = _power(tl.max(tl.abs(numbers), axis=0), INVERSE)
    tl.store(found + here, _bytes(numbers, scale), mask=at < columns)
    tl.store(scales + row, scale)


@triton.jit(do_not_specialize=["pieces"])
def largest_kernel(
    x, found, pieces, STEPS: tl.constexpr, PARTS: tl.constexpr, PIECE: tl.constexpr, BLOCK: tl.constexpr
):
    part = tl.program_id(0)
    largest = tl.zeros((BLOCK,), tl.float32)
    for step in range(STEPS):
        at = (step * PARTS + part) * BLOCK + tl.arange(0, BLOCK)
        largest = tl.maximum(
            largest, tl.abs(tl.load(x + at, mask=at // PIECE < pieces, other=0).to(tl.float32))
        )
    tl.store(found + part, tl.max(largest, axis=0))


@triton.jit(do_not_specialize=["pieces"])
def whole_kernel(
    x, parts, found, scales, pieces, INVERSE: tl.constexpr, PARTS: tl.constexpr, PIECE: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    scale = _power(tl.max(tl.load(parts + tl.arange(0, PARTS)), axis=0), INVERSE)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    numbers = tl.load(x + at, mask=at // PIECE < pieces, other=0).to(tl.float32)
    tl.store(found + at, _bytes(numbers, scale), mask=at // PIECE < pieces)
    if tl.program_id(0) == 0:
        tl.store(scales, scale)


@triton.jit
def turn_kernel(source, target, rows, columns, TILE: tl.constexpr):
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    codes = tl.load(source + row[:, None] * columns + column[None, :], mask=inside, other=0)
    inside = (column < columns)[:, None] & (row < rows)[None, :]
    tl.store(target + column[:, None] * rows + row[None, :], tl.trans(codes), mask=inside)


_rows = Kernel(rows_kernel, warps=WARPS)
_largest = Kernel(largest_kernel, warps=WARPS)
_whole = Kernel(whole_kernel, warps=WARPS)
_turn = Kernel(turn_kernel, warps=4)


def quantise(x: torch.Tensor, *, by_row: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """As `fp8_matmul.Numbers.quantise`."""
    found = torch.empty_like(x, dtype=torch.float8_e4m3fn)
    rows, columns = x.shape
    inverse = 1 / torch.finfo(found.dtype).max
    if by_row:
        scales = x.new_empty((rows, 1), dtype=torch.float32)
        constants = (inverse, triton.next_power_of_2(columns))
        _rows((x.dtype, columns), (rows, 1, 1), (x, found.view(torch.uint8), scales), (columns,), constants)
        return found, scales
    count, pieces = x.numel(), x.numel() // PIECE
    parts = x.new_empty((PARTS,), dtype=torch.float32)
    scale = x.new_empty((), dtype=torch.float32)
    steps = triton.next_power_of_2(-(-count // (PARTS * BLOCK)))  # few different ones: each is compiled
    _largest(x.dtype, (PARTS, 1, 1), (x, parts), (pieces,), (steps, PARTS, PIECE, BLOCK))
    tensors = (x, parts, found.view(torch.uint8), scale)
    _whole(x.dtype, (-(-count // BLOCK), 1, 1), tensors, (pieces,), (inverse, PARTS, PIECE, BLOCK))
    return found, scale


def turn(weight: torch.Tensor) -> torch.Tensor:
    """(rows, columns) -> (columns, rows), contiguous, of the same type of one byte."""
    rows, columns = weight.shape
    found = weight.new_empty((columns, rows))
    grid = (-(-rows // TILE), -(-columns // TILE), 1)
    tensors = (weight.view(torch.uint8), found.view(torch.uint8))
    _turn((rows, columns), grid, tensors, (rows, columns), (TILE,))
    return found
