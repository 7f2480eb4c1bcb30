"""The convolutional part of the U-Net: residual blocks as one operation each, in the layout that tensor cores read.

Stock checkpoints each residual block as separate operations: it computes all of them twice, and autocast casts every
frozen weight at each. Frozen weights need no gradient, so a backward needs a block's input, the first convolution's output
and the norms' statistics only: nothing but SiLU is computed again.

frame         type, layout, operations; a frozen convolution, a frozen norm
residual      a ResnetBlock2D
single        Downsample2D, Upsample2D, first and last convolution, a group norm
transformers  a Transformer2DModel's way in and out
placing       which modules are replaced, and how they are put back
trial         the self-check
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from launcher.shim.boosts.convolutions import transformers
from launcher.shim.boosts.convolutions.frame import Frame
from launcher.shim.boosts.convolutions.placing import NAME, Place, named, why_residual_stays
from launcher.shim.boosts.convolutions.trial import compare
from launcher.shim.boosts.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Scene

__all__ = ["ABOUT", "KIND", "NAME", "check", "install", "reason_against"]

KIND = Kind.ROUNDING
ABOUT = "residual blocks in one piece, in the layout that tensor cores read"
TENSOR_CORES = (7, 0)


def reason_against(scene: Scene) -> str | None:
    if scene.dtype not in {torch.float32, torch.float64, torch.bfloat16, torch.float16}:
        return f"nothing is computed in {scene.dtype}"
    blocks = named(scene.unet, "ResnetBlock2D")
    if not blocks:
        return "the U-Net has no residual blocks of a known build"
    reasons = [why_residual_stays(block) for block in blocks]
    return None if None in reasons else reasons[0]


def frame_of(scene: Scene) -> Frame:
    """channels_last needs norms that read it (Triton's): torch's would copy it back."""
    is_last = scene.ops.name != "torch" and scene.machine.capability >= TENSOR_CORES
    is_autocast = scene.accelerator.mixed_precision in {"bf16", "fp16"}
    return Frame(ops=scene.ops, dtype=scene.dtype, is_last=is_last, is_autocast=is_autocast)


def check(scene: Scene) -> str | None:
    """The first block with a skip convolution and the first without."""
    chosen: dict[bool, object] = {}
    for block in named(scene.unet, "ResnetBlock2D"):
        if why_residual_stays(block) is None:
            chosen.setdefault(isinstance(block.skip_connection, torch.nn.Identity), block)
    for block in chosen.values():
        place = Place(scene, frame_of(scene))
        try:
            if (found := compare(place, block)) is not None:
                return found
        finally:
            place.undo()
    return None


def install(scene: Scene) -> Callable[[], None]:
    """Leaves the blocks in `scene.shared[NAME]`, for whoever wants them to keep less (`Residual.keeps_h`)."""
    unet, place = scene.unet, Place(scene, frame_of(scene))
    try:
        for block in named(unet, "ResnetBlock2D"):
            place.residual(block)
        for block in named(unet, "Downsample2D"):
            place.single(block, block.op)
        for block in named(unet, "Upsample2D"):
            place.single(block, block.conv, doubled=True)
        for block in named(unet, "Transformer2DModel"):
            transformers.place(place, block)
        place.single(unet.input_blocks[0][0], unet.input_blocks[0][0])
        place.output(unet.out)
    except Exception:
        place.undo()
        raise
    scene.shared[NAME] = place.residuals
    if place.left:
        scene.shared[f"{NAME}.partly"] = f"{len(place.left)} parts stay stock: {place.left[0]}"
    return place.undo
