"""Starts Triton kernels; after the first time without Triton's analysis of the arguments, which costs more than a kernel.

A kernel's constants come last in its parameters, and every number that changes from call to call is one on which
Triton does not specialise. So one key of the caller (types, columns) names one compiled kernel, as long as all
tensors begin at multiples of 16 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton

if TYPE_CHECKING:
    from collections.abc import Hashable

# From this version on a compiled kernel gets its constants too, and skips them.
PASSES_CONSTANTS = (3, 3)
ALIGNMENT = 15


class Kernel:
    """One `triton.jit` function.

    Args:
        jit: the function; tensors first, then numbers, then constants.
        warps: of 32 threads, a program.
    """

    __slots__ = ("_compiled", "_jit", "_passes_constants", "_warps", "is_direct")

    def __init__(self, jit: Any, warps: int) -> None:
        self._jit = jit
        self._warps = warps
        self._compiled: dict[Hashable, Any] = {}
        self._passes_constants = _version() >= PASSES_CONSTANTS
        self.is_direct = torch.cuda.is_available()  # Triton's interpreter has nothing compiled

    def __call__(
        self,
        key: Hashable,
        grid: tuple[int, int, int],
        tensors: tuple[Any, ...],
        numbers: tuple[float, ...],
        constants: tuple[Any, ...],
    ) -> None:
        """Start it on the current stream. `key`: what decides how it is compiled, beside `constants`."""
        if not self.is_direct:
            self._jit[grid](*tensors, *numbers, *constants, num_warps=self._warps)
            return
        places = 0
        for tensor in tensors:
            places |= tensor.data_ptr()
        if places & ALIGNMENT:
            self._jit[grid](*tensors, *numbers, *constants, num_warps=self._warps)
            return
        device = tensors[0].get_device()
        key = (key, device, constants)
        compiled = self._compiled.get(key)
        if compiled is None:
            self._compiled[key] = self._jit[grid](*tensors, *numbers, *constants, num_warps=self._warps)
            return
        more = constants if self._passes_constants else ()
        try:
            compiled.run(
                *grid, torch._C._cuda_getCurrentRawStream(device), compiled.function, compiled.packed_metadata,  # noqa: SLF001  (Triton asks the same)
                None, None, None, *tensors, *numbers, *more,
            )  # fmt: skip
        except (TypeError, AttributeError):  # another Triton starts its kernels otherwise
            self.is_direct = False
            self._jit[grid](*tensors, *numbers, *constants, num_warps=self._warps)


def _version() -> tuple[int, int]:
    major, minor = triton.__version__.split(".")[:2]
    return int(major), int(minor)
