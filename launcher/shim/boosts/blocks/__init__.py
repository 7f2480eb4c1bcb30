"""Boost `blocks`: a transformer block with its LoRAs as one operation, with a backward written by hand.

Stock runs it as some 500 operations and, under gradient checkpointing, most of them twice. Here layers that share an
input are multiplied as one, scales and sums ride on multiplications, the frozen weights of a block are cast by one
kernel, and only what a backward needs is computed again (see `compute`; `keep` decides what need not even be).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

from launcher.shim.boosts.adapters import ForeignError
from launcher.shim.boosts.blocks.compute import NOTHING, Tools
from launcher.shim.boosts.blocks.function import BlockFunction, Plan
from launcher.shim.boosts.blocks.layout import lay, save_as_copies
from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.scene import relative_error
from launcher.shim.boosts.sums import full_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.shim.boosts.scene import Scene

NAME = "blocks"
KIND = Kind.ROUNDING
ABOUT = "transformer blocks in one piece: q, k and v together, scales and sums within multiplications"
BLOCK = "BasicTransformerBlock"  # library/sdxl_original_unet.py
TOKENS = 48  # of the self-check
# Two ways of the same mathematics in 16 bits differ by a few of their steps; anything wrong is off by far more.
TOLERANCE = {torch.bfloat16: 4e-2, torch.float16: 1e-2, torch.float32: 1e-4}


def blocks_of(scene: Scene) -> list[Any]:
    return [module for module in scene.unet.modules() if type(module).__name__ == BLOCK]


def reason_against(scene: Scene) -> str | None:
    if scene.dtype not in TOLERANCE:
        return f"not made for {scene.dtype}"
    plans = plans_of(scene)
    if not plans:
        return str(scene.shared.get("blocks.partly") or "there are no transformer blocks")
    return None


def check(scene: Scene) -> str | None:
    """One block of each width against upstream's own code, forward and backward."""
    for plan in {plan.laid.width: plan for plan in plans_of(scene)}.values():
        found, right = (attempt(scene, plan, level=level) for level in (NOTHING, None))
        for what, one, other in zip(
            ("result", "gradient of the input", "gradients of the LoRA"), found, right, strict=True
        ):
            error = relative_error(one, other)
            if not error < TOLERANCE[scene.dtype]:
                return f"width {plan.laid.width}: the {what} differs by {error:.1e}"
    return None


def install(scene: Scene) -> Callable[[], None]:
    plans, sums = plans_of(scene), full_sums(scene)
    for plan in plans:
        plan.is_installed = True
        plan.laid.block.forward = plan.forward

    def undo() -> None:
        for plan in plans:
            plan.laid.block.__dict__.pop("forward", None)
        sums()

    return undo


def plans_of(scene: Scene) -> list[Plan]:
    """Every block that can be taken; made once. The weights move when a block is laid out, their values stay."""
    if "blocks" in scene.shared:
        return list(scene.shared["blocks"])
    plans: list[Plan] = []
    refused = ""
    blocks = blocks_of(scene)
    if blocks:
        save_as_copies(scene)  # first: what cannot be saved must not be laid out
    for block in blocks:
        try:
            laid = lay(block, scene.dtype)
        except ForeignError as error:
            refused = str(error)
            continue
        plans.append(Plan(scene=scene, laid=laid, place=len(plans), body=stock_body(block)))
    if refused:
        scene.shared["blocks.partly"] = f"{len(plans)} of {len(blocks)} blocks: {refused}"
    scene.shared["blocks"] = plans
    return plans


def stock_body(block: Any) -> Callable[..., Any]:
    """Upstream's own computation, without its checkpoint."""
    return type(block).forward_body.__get__(block)  # type: ignore[no-any-return]


def tools_of(scene: Scene) -> Tools:
    attention = scene.shared.get("attention") or F.scaled_dot_product_attention
    matmul = scene.shared.get("matmul") if scene.is_on("fp8_matmul") else None
    return Tools(
        ops=scene.ops, dtype=scene.dtype, attention=attention, matmul=matmul,
        scratches=scene.shared.setdefault("blocks.scratch", {}),
    )  # fmt: skip


def attempt(scene: Scene, plan: Plan, *, level: int | None) -> tuple[Any, Any, Any]:
    """Result, gradient of the input, and of all LoRA weights (flat), on random numbers; `level` None: upstream's own."""
    generator, laid = scene.generator(), plan.laid
    device, text_width = laid.weights.device, laid.groups[3].ins
    x, text, grad = (
        torch.randn(1, TOKENS, width, device=device, generator=generator).to(scene.dtype)
        for width in (laid.width, text_width, laid.width)
    )
    x.requires_grad_()
    with torch.enable_grad(), autocast(scene), plain_attention(scene):
        result = (
            plan.body(x, text) if level is None else BlockFunction.apply(plan, level, x, text, *laid.params)
        )
        gradients = torch.autograd.grad(result, (x, *laid.params), grad.to(result.dtype), allow_unused=True)
    flat = [
        torch.zeros_like(param) if one is None else one
        for one, param in zip(gradients[1:], laid.params, strict=True)
    ]
    return result, gradients[0], torch.cat([one.reshape(-1).float() for one in flat])


@contextmanager
def plain_attention(scene: Scene) -> Iterator[None]:
    """Without cuDNN's, which is compiled for every new shape: half a second each, for a shape that no step has."""
    chosen, backends = scene.shared.pop("attention", None), torch.backends.cuda
    is_on = hasattr(backends, "enable_cudnn_sdp") and backends.cudnn_sdp_enabled()  # since torch 2.5
    if is_on:
        backends.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        if is_on:
            backends.enable_cudnn_sdp(True)
        if chosen is not None:
            scene.shared["attention"] = chosen


def autocast(scene: Scene) -> Any:
    is_on = scene.dtype != torch.float32
    return torch.autocast(
        scene.machine.device.type, dtype=scene.dtype if is_on else torch.bfloat16, enabled=is_on
    )
