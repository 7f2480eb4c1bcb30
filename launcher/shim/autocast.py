"""Autocast as it was: accelerate's own is not left when an error goes through it (up to 1.6, which says so itself).

Whoever catches such an error and goes on would train within that autocast for good. It would never be the outermost
one again that ends, so torch would never drop its 16-bit copies of the LoRA's weights, and a stock step would compute
with those of the first one for ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True, slots=True)
class Autocast:
    """What autocast is for one kind of device, and how deep within each other its contexts are."""

    kind: str  # of device
    nesting: int
    is_enabled: bool
    dtype: Any
    is_cached: bool

    @staticmethod
    def of(kind: str) -> Autocast:
        import torch

        nesting = torch.autocast_increment_nesting() - 1  # it cannot be asked for
        torch.autocast_decrement_nesting()
        if hasattr(torch, "get_autocast_dtype"):  # since 2.4
            enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        elif kind == "cuda":
            enabled, dtype = torch.is_autocast_enabled(), torch.get_autocast_gpu_dtype()
        else:
            enabled, dtype = torch.is_autocast_cpu_enabled(), torch.get_autocast_cpu_dtype()
        return Autocast(
            kind=kind, nesting=nesting, is_enabled=enabled, dtype=dtype, is_cached=torch.is_autocast_cache_enabled()
        )  # fmt: skip

    def restore(self) -> None:
        import torch

        if hasattr(torch, "get_autocast_dtype"):
            torch.set_autocast_enabled(self.kind, self.is_enabled)
            torch.set_autocast_dtype(self.kind, self.dtype)
        elif self.kind == "cuda":
            torch.set_autocast_enabled(self.is_enabled)
            torch.set_autocast_gpu_dtype(self.dtype)
        else:
            torch.set_autocast_cpu_enabled(self.is_enabled)
            torch.set_autocast_cpu_dtype(self.dtype)
        torch.set_autocast_cache_enabled(self.is_cached)
        depth = torch.autocast_increment_nesting()
        while depth > self.nesting:
            depth = torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()


@contextmanager
def autocast_of(accelerator: Any) -> Iterator[None]:
    """The autocast of accelerate, left in every case."""
    before = Autocast.of(accelerator.device.type)
    try:
        with accelerator.autocast():
            yield
    except BaseException:
        before.restore()
        raise
