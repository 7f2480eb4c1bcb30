"""fp8 weights are cast by a kernel that reads 16 bytes at a time; torch's own cast reaches a seventh of that on some cards.

Only the cast is exchanged: the multiplication, what is kept for the backward, and autocast's cast of the input stay
what they are. For layers that `lora`, `blocks` and `convolutions` do not take over. A layer under a LoRA is called by
its LoRA's `org_forward`; there the new forward goes.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import skip_init

from launcher.shim.boosts.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.scene import Scene

NAME = "cast"
KIND = Kind.EXACT
ABOUT = "fp8 weights cast by a vectorised kernel"

STORED = ("float8_e4m3fn", "float8_e5m2")
FEW = 1 << 14  # weights of a layer: below this every cast takes as long as its launch


def reason_against(scene: Scene) -> str | None:
    if scene.ops.name == "torch" or "cast" in getattr(scene.ops, "given_up", ()):
        return "there is no kernel for it here (it needs Triton and a card)"
    if scene.dtype not in (torch.bfloat16, torch.float16):
        return "nothing is multiplied in 16 bits"
    if not _layers(scene):
        return "no frozen weight of the U-Net is stored in fp8"
    return None


def _layers(scene: Scene) -> list[Any]:
    """Plain layers only: those of another class (weights kept in RAM) have their own way to a weight."""
    kinds = [getattr(torch, name) for name in STORED]
    return [
        layer
        for layer in scene.unet.modules()
        if type(layer) in (torch.nn.Linear, torch.nn.Conv2d)
        and layer.weight.dtype in kinds
        and not layer.weight.requires_grad
        and layer.weight.numel() >= FEW
    ]


def check(scene: Scene) -> str | None:
    """A matrix and a convolution, forward and gradient: the same bits as stock."""
    generator, device = scene.generator(), scene.machine.device
    for layer, shape in (
        (skip_init(torch.nn.Linear, 128, 160, device=device), (2, 24, 128)),
        (skip_init(torch.nn.Conv2d, 48, 64, 3, padding=1, device=device), (2, 48, 12, 12)),
    ):
        layer.requires_grad_(requires_grad=False)
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, device=device) / 8)
        layer.to(torch.float8_e4m3fn)
        x = torch.randn(shape, generator=generator, device=device)
        stock = _run(scene, layer, layer.forward, x)
        for found, right in zip(
            _run(scene, layer, MethodType(_forward_of(scene, layer), layer), x), stock, strict=True
        ):
            if not torch.equal(found, right):
                return f"other numbers from a {type(layer).__name__}"
    return None


def _run(scene: Scene, layer: Any, forward: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    del layer
    x = x.clone().requires_grad_()
    with torch.enable_grad(), torch.autocast(scene.machine.device.type, dtype=scene.dtype):
        y = forward(x)
    return [y, *torch.autograd.grad(y, x, torch.ones_like(y))]


def install(scene: Scene) -> Callable[[], None]:
    undo = [_put(layer, _guarded(scene, layer)) for layer in _layers(scene)]
    left = sum(one is None for one in undo)
    if left:
        scene.shared[f"{NAME}.partly"] = f"{left} layers stay stock: something else has taken their forward"

    def take_out() -> None:
        for one in undo:
            if one is not None:
                one()

    return take_out


def _put(layer: Any, function: Callable[..., Any]) -> Callable[[], None] | None:
    """Where the layer's own forward is called from: the layer, or its LoRA. None where that is not known."""
    mine = MethodType(function, layer)
    taken = layer.__dict__.get("forward")
    if taken is None:
        layer.forward = mine
        return lambda: _take_back(layer, "forward", mine, None)
    owner: Any = getattr(taken, "__self__", None)
    below: Any = getattr(owner, "org_forward", None)
    of_layer: Any = type(layer)
    if (
        getattr(below, "__self__", None) is not layer
        or getattr(below, "__func__", None) is not of_layer.forward
    ):
        return None
    owner.org_forward = mine
    return lambda: _take_back(owner, "org_forward", mine, below)


def _take_back(owner: Any, name: str, mine: Any, before: Any) -> None:
    if owner.__dict__.get(name) is not mine:  # another boost lies over it; mine is stock from now on
        return
    if before is None:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _guarded(scene: Scene, layer: Any) -> Callable[..., Any]:
    stock = type(layer).forward
    fast = _forward_of(scene, layer)

    def chosen(this: Any, x: Tensor) -> Any:
        return fast(this, x) if is_autocast_to(scene.dtype, x.device.type) else stock(this, x)

    call = scene.guarded(NAME, chosen, stock)

    def forward(this: Any, x: Tensor) -> Any:
        return call(this, x)

    forward.is_as_stock = True  # type: ignore[attr-defined]  # for `adapters`
    return forward


def _forward_of(scene: Scene, layer: Any) -> Callable[[Any, Tensor], Tensor]:
    """The bias is small: autocast casts it as before."""
    ops, dtype = scene.ops, scene.dtype
    if isinstance(layer, torch.nn.Linear):
        linear = torch.nn.functional.linear
        return lambda this, x: linear(x, ops.cast(this.weight, dtype), this.bias)
    return lambda this, x: this._conv_forward(x, ops.cast(this.weight, dtype), this.bias)  # noqa: SLF001


def is_autocast_to(dtype: Any, device: str) -> bool:
    """Whether autocast is on for a type of device ("cuda", "cpu"), and makes `dtype` of what is multiplied."""
    try:
        return bool(torch.is_autocast_enabled(device)) and torch.get_autocast_dtype(device) == dtype
    except (AttributeError, TypeError):  # torch before 2.4
        if device == "cuda":
            return bool(torch.is_autocast_enabled()) and torch.get_autocast_gpu_dtype() == dtype
        return bool(torch.is_autocast_cpu_enabled()) and torch.get_autocast_cpu_dtype() == dtype
