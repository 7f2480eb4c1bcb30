"""Boosts: the same training in less time, each a module that can be switched off (`records.Boost` says what it has).

records   what a boost is, and what the switches allow
scene     what boosts see; how one that fails at run time is taken out
ops       elementary operations in torch; `kernels/` has them in Triton
starting  puts the boosts in place before the first step
repeat    a step that ran out of memory is made again with less kept

A boost is used when the switches allow its kind, nothing speaks against it on this machine, and its self-check against
the stock operation agrees; else training goes on without it, and the run's events say why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.shim.boosts.starting import install

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMES", "install"]

# In the order in which they are put in place.
NAMES: Mapping[str, str] = {
    name: f"launcher.shim.boosts.{name}"
    for name in (
        "gradients", "cast", "norms", "lora", "convolutions", "attention", "fp8_matmul", "blocks", "keep", "reduce", "optimizer",
        "clip",
    )
}  # fmt: skip
