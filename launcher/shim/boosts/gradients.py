"""No gradients for what lies before the first trained weight.

Upstream lets latents and text ask for gradients, because reentrant checkpoints need an input that does. So backward runs
through blocks that nothing before them needs, and computes gradients of the text that nobody reads. Here the inputs are
detached, what lies before the first trained layer runs without a graph, and the first checkpoint behind gets an input
that asks for a gradient. The gradients of what is trained are the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.shim.boosts.scene import Scene

NAME = "gradients"
KIND = Kind.EXACT
ABOUT = "no gradients for what nothing trained lies before"

PARTS = ("input_blocks", "middle_block", "output_blocks")
UNITS = ("ResnetBlock2D", "Downsample2D", "Upsample2D", "BasicTransformerBlock")  # what upstream checkpoints


def reason_against(scene: Scene) -> str | None:
    trained = _trained(scene)
    inside = {id(weight) for _, weights in _owners(scene.unet) for weight in weights}
    if not trained:
        return "nothing is trained"
    if not trained <= inside:
        return "something is trained that does not hang on a layer of the U-Net"
    if any(weight.requires_grad for weight in scene.unet.parameters()):
        return "the U-Net is trained itself"
    if not all(hasattr(scene.unet, part) for part in PARTS):
        return "the U-Net is of another build"
    if _before(scene) is None:
        return "something is trained outside of the U-Net's blocks"
    return None


def check(scene: Scene) -> str | None:
    """No number is computed in another way: there is nothing to compare."""
    del scene
    return None


def install(scene: Scene) -> Callable[[], None]:
    before = _before(scene)
    if before is None:
        raise ValueError("something is trained outside of the U-Net's blocks")
    units = _all_units(scene.unet)
    hooks = [scene.unet.register_forward_pre_hook(_detached, with_kwargs=True)]
    if before < len(units):
        hooks.append(units[before].register_forward_pre_hook(_anchored, with_kwargs=True))
    # a checkpoint of what asks for no gradient would warn, and keep what nobody needs
    stock = [(unit, unit.gradient_checkpointing) for unit in units[:before]]
    for unit, _ in stock:
        unit.gradient_checkpointing = False

    def undo() -> None:
        for hook in hooks:
            hook.remove()
        for unit, value in stock:
            unit.gradient_checkpointing = value

    return undo


def _detached(
    _unet: Any, args: tuple[Any, ...], more: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Nothing that is trained lies before the U-Net."""
    if not torch.is_grad_enabled():
        return args, more
    return tuple(map(_without, args)), {name: _without(value) for name, value in more.items()}


def _without(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) and value.requires_grad else value


def _anchored(
    unit: Any, args: tuple[Any, ...], more: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """A checkpoint's first input asks for a gradient, where none does: else what it trains would get none."""
    if not (unit.training and unit.gradient_checkpointing and torch.is_grad_enabled()):
        return None
    if not args or any(
        isinstance(one, torch.Tensor) and one.requires_grad for one in (*args, *more.values())
    ):
        return None
    return (args[0].detach().requires_grad_(), *args[1:]), more


def _trained(scene: Scene) -> set[int]:
    return {id(weight) for group in scene.optimizer.param_groups for weight in group["params"]}


def _owners(module: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Layers whose forward a network has taken, with that network's weights."""
    for layer in module.modules():
        owner = getattr(layer.__dict__.get("forward"), "__self__", None)
        if isinstance(owner, torch.nn.Module) and owner is not layer:
            yield layer, list(owner.parameters())


def _units(module: Any) -> Iterator[Any]:
    """What upstream checkpoints, in the order in which it runs."""
    for one in module.modules():
        if type(one).__name__ in UNITS and hasattr(one, "gradient_checkpointing"):
            yield one


def _all_units(unet: Any) -> list[Any]:
    return [unit for part in PARTS for unit in _units(getattr(unet, part))]


def _before(scene: Scene) -> int | None:
    """How many units run before anything that is trained; None where something is trained outside of the blocks.

    A transformer's way in and out (`proj_in`) is no unit: it counts as the first of the blocks between.
    """
    trained = _trained(scene)
    carriers = {
        id(layer) for layer, weights in _owners(scene.unet) if any(id(one) in trained for one in weights)
    }
    units = _all_units(scene.unet)
    found = set().union(*(_ids(unit) for unit in units)) & carriers
    first = next((place for place, unit in enumerate(units) if _ids(unit) & carriers), len(units))
    for module in scene.unet.modules():
        if type(module).__name__ == "Transformer2DModel":
            blocks = list(_units(module))
            own = (_ids(module) - set().union(*map(_ids, blocks))) & carriers
            found |= own
            if own and blocks:
                first = min(first, units.index(blocks[0]))
    return first if found == carriers else None


def _ids(module: Any) -> set[int]:
    return {id(one) for one in module.modules()}
