"""The elementary operations as Triton kernels: one launch in place of several, memory read and written once.

launching   starts a kernel in a few microseconds
casts       fp8 weights in 16 bits
layers      layer norm, with the residual before it
gates       GEGLU; a sum with a bias
groups      group norm and SiLU, in both memory formats (kernels: group_kernels, group_gradients)
operations  all of them as `Ops`
checks      each against torch's own, at the start

No tuning at the start: one size of block each, so that a first start compiles some ten kernels and no more. Modules
with kernels do without `from __future__ import annotations`: Triton's older interpreter asks parameters for their type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.shim.boosts.ops import Ops
    from launcher.shim.boosts.scene import Scene

__all__ = ["choose"]

AMPERE = (8, 0)


def choose(scene: Scene) -> Ops:
    """Triton's operations, torch's own in place of each that does not work or disagrees here (told by `scene.tell`).

    Raises:
        ImportError: there is no Triton.
    """
    from launcher.shim.boosts.kernels.checks import disagreements
    from launcher.shim.boosts.kernels.operations import OTHERS, TritonOps

    ops = TritonOps(scene.tell)
    if (0, 0) < scene.machine.capability < AMPERE and str(scene.dtype) == "torch.bfloat16":
        for name in OTHERS:  # not every Triton has bf16 there; the casts work with integers
            ops.leave_out(name)
    for name, reason in disagreements(scene, ops):
        ops.give_up(name, reason)
    return ops
