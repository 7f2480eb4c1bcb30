"""fp8 to 16 bits, four codes at a time, by integers: every card since Turing can, Triton's own cast needs Ada.

The seven bits of an e4m3 code, put where exponent and mantissa of an fp32 begin, are the number times 2^-120, denormal
ones too; the product with 2^120 is exact, and so is what remains when its lower half is dropped.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from launcher.shim.boosts.kernels.launching import Kernel

BLOCK = 1024  # words of four codes, a program
FORMATS = {torch.float8_e4m3fn: False, torch.float8_e5m2: True}
TARGETS = {torch.bfloat16: True, torch.float16: False}


@triton.jit
def _wide(pair, IS_E5M2: tl.constexpr, IS_BF16: tl.constexpr):
    """Two codes, each in the upper byte of its half of a word -> two numbers of 16 bits."""
    if IS_E5M2:
        if not IS_BF16:
            return pair  # e5m2 is the upper byte of an fp16
        low = (pair & 0xFFFF).to(tl.uint16).to(tl.float16, bitcast=True).to(tl.float32)
        high = (pair >> 16).to(tl.uint16).to(tl.float16, bitcast=True).to(tl.float32)
        return (low.to(tl.uint32, bitcast=True) >> 16) | (high.to(tl.uint32, bitcast=True) & 0xFFFF0000)
    sign = pair & 0x80008000
    size = (pair & 0x7F007F00) >> 4
    scale = 1.329227995784916e36  # 2^120
    low = (size << 16).to(tl.float32, bitcast=True) * scale
    high = (size & 0xFFFF0000).to(tl.float32, bitcast=True) * scale
    if IS_BF16:
        found = (low.to(tl.uint32, bitcast=True) >> 16) | (high.to(tl.uint32, bitcast=True) & 0xFFFF0000)
    else:
        lower = low.to(tl.float16).to(tl.uint16, bitcast=True).to(tl.uint32)
        found = lower | (high.to(tl.float16).to(tl.uint16, bitcast=True).to(tl.uint32) << 16)
    # 0x7f is no number: of all codes this one alone carries into the next bit; then all bits of the exponent are set
    odd = (size + 0x00100010) & 0x08000800
    return found | sign | ((odd << 4) - (odd >> 1))


@triton.jit(do_not_specialize=["quads"])
def cast_kernel(source, target, quads, IS_E5M2: tl.constexpr, IS_BF16: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    codes = tl.load(source.to(tl.pointer_type(tl.uint32)) + at, mask=at // 4 < quads, other=0)
    first = _wide(((codes << 8) & 0xFF00) | ((codes << 16) & 0xFF000000), IS_E5M2, IS_BF16)
    second = _wide(((codes >> 8) & 0xFF00) | (codes & 0xFF000000), IS_E5M2, IS_BF16)
    to = tl.program_id(0) * (2 * BLOCK) + tl.arange(0, 2 * BLOCK)
    tl.store(target.to(tl.pointer_type(tl.uint32)) + to, tl.interleave(first, second), mask=to // 8 < quads)


_cast = Kernel(cast_kernel, warps=4)


def cast(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """The same numbers in `dtype`, strides kept; None where this is no dense fp8 tensor of whole pieces of 16 bytes."""
    count = weight.numel()
    if (
        weight.dtype not in FORMATS
        or dtype not in TARGETS
        or count & 15
        or not count
        or not _is_dense(weight)
    ):
        return None
    found = torch.empty_like(weight, dtype=dtype)
    _fill(weight, found, count >> 4)
    return found


def cast_into(weight: torch.Tensor, into: torch.Tensor) -> bool:
    """The same into memory that is there; False, and nothing done, where this is not for the kernel."""
    count = weight.numel()
    if (
        weight.dtype not in FORMATS
        or into.dtype not in TARGETS
        or count & 15
        or not count
        or count != into.numel()
        or not (weight.is_contiguous() and into.is_contiguous())
    ):
        return False
    _fill(weight, into, count >> 4)
    return True


def _fill(weight: torch.Tensor, found: torch.Tensor, quads: int) -> None:
    constants = (FORMATS[weight.dtype], TARGETS[found.dtype], BLOCK)
    _cast(None, (-(-4 * quads // BLOCK), 1, 1), (weight.view(torch.uint8), found), (quads,), constants)


def _is_dense(weight: torch.Tensor) -> Any:
    if weight.is_contiguous():
        return True
    if weight.dim() == 4:
        return weight.is_contiguous(memory_format=torch.channels_last)
    return weight.dim() == 2 and weight.t().is_contiguous()
