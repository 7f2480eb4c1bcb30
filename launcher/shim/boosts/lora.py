"""A linear layer and its LoRA in one operation: the scale on the small matrix, the sum made by the multiplication.

Stock makes the layer's output, the LoRA's, that times the multiplier, that times the scale, and the sum: five passes
over the large side, in the backward as many again. Here `t = scale * x A'`, `y = x W' + b`, rounded as stock rounds it,
and then `y += t U'`.

For layers that `blocks` does not take over. A layer's forward stays its LoRA's forward: the LoRA gets a class of the
same name, derived from its own, so that others still find it there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from launcher.shim.boosts import matmul
from launcher.shim.boosts.adapters import Adapter, ForeignError, adapter_of
from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.scene import relative_error
from launcher.shim.boosts.sums import full_sums, gradient_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.scene import Scene

NAME = "lora"
KIND = Kind.ROUNDING
ABOUT = "LoRA and layer in one operation"
MARGIN = 1.05  # of the stock error, for the self-check: rounding falls this or that way


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is not trained: weight (out, in) as stored, bias, the LoRA's scale now, the type to multiply in."""

    scene: Scene
    weight: Any
    bias: Any
    scale: float
    dtype: Any
    is_strict: bool = False  # what fails is raised: for the self-check


class Product(torch.autograd.Function):  # type: ignore[misc]
    """`x W' + b + scale * (x A') U'` for x (..., in), A (rank, in), U (out, rank); the result in `frozen.dtype`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, down: Tensor, up: Tensor, frozen: Frozen) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).to(frozen.dtype)
        small_down, small_up = down.to(frozen.dtype), up.to(frozen.dtype)
        small = _scaled(flat, small_down.t(), frozen.scale)
        y = _output(frozen, flat, small, small_up)
        ctx.save_for_backward(flat, small, small_down, small_up)
        ctx.frozen, ctx.types, ctx.shape = frozen, (x.dtype, down.dtype, up.dtype), x.shape
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        flat = grad.reshape(-1, grad.shape[-1]).to(ctx.frozen.dtype)
        needs = ctx.needs_input_grad[:3]
        try:
            found = _gradients(ctx.frozen, needs, flat, *ctx.saved_tensors)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            if ctx.frozen.is_strict:
                raise
            found = _stock_gradients(ctx.frozen, needs, flat, *ctx.saved_tensors)
            ctx.frozen.scene.turn_off(NAME, error)
        typed = [None if one is None else one.to(kind) for one, kind in zip(found, ctx.types, strict=True)]
        return (None if typed[0] is None else typed[0].view(ctx.shape), *typed[1:], None)


def _output(frozen: Frozen, x: Tensor, small: Tensor, up: Tensor) -> Tensor:
    """The layer rounded as stock rounds it, and the LoRA on top."""
    return matmul.of(frozen.scene).forward(x, frozen.weight, frozen.bias).addmm_(small, up.t())


def _scaled(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """`scale * left @ right`, rounded once."""
    made = left.new_empty((left.shape[0], right.shape[1]))
    return made.addmm_(left, right, beta=0, alpha=scale)


def _gradients(
    frozen: Frozen, needs: tuple[bool, ...], grad: Tensor, x: Tensor, small: Tensor, down: Tensor, up: Tensor
) -> list[Tensor | None]:
    """Of x, A and U. `small` is `scale * x A'`, so the scale is in it for U's."""
    of_x = of_down = of_up = None
    if needs[0] or needs[1]:
        of_small = _scaled(grad, up, frozen.scale)
    if needs[0]:
        product = matmul.of(frozen.scene)
        if product.can_add:
            of_x = product.add_input_gradient(of_small.mm(down), grad, frozen.weight)
        else:
            of_x = product.input_gradient(grad, frozen.weight).addmm_(of_small, down)
    if needs[1]:
        of_down = _unrounded(of_small.t(), x)
    if needs[2]:
        of_up = _unrounded(grad.t(), small)
    return [of_x, of_down, of_up]


def _unrounded(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right` in fp32 where the card's library can, else in their own type."""
    kind = gradient_type(left.device, left.dtype)
    return left.mm(right) if kind == left.dtype else torch.mm(left, right, out_dtype=kind)


def _stock_gradients(
    frozen: Frozen, needs: tuple[bool, ...], grad: Tensor, x: Tensor, _small: Tensor, down: Tensor, up: Tensor
) -> list[Tensor | None]:
    """The same from torch's own functions, for when ours have failed."""
    parts = [part.detach().requires_grad_(need) for part, need in zip((x, down, up), needs, strict=True)]
    with torch.enable_grad(), torch.autocast(grad.device.type, enabled=False):
        y = _stock(parts[0], frozen.weight.to(frozen.dtype), None, parts[1], parts[2], frozen.scale)
    asked = [part for part in parts if part.requires_grad]
    found = iter(torch.autograd.grad(y, asked, grad))
    return [next(found) if need else None for need in needs]


def _stock(x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float) -> Tensor:
    linear = torch.nn.functional.linear
    return linear(x, weight, bias) + linear(linear(x, down), up) * scale


def reason_against(scene: Scene) -> str | None:
    if not _layers(scene)[0]:
        return "no linear layer of the U-Net has a plain LoRA"
    return None


def _layers(scene: Scene) -> tuple[list[Any], Counter[str]]:
    """The linear layers with a plain LoRA, and how many others are left alone for which reason."""
    found, others = [], Counter[str]()
    for layer in scene.unet.modules():
        if not isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
            continue
        try:
            adapter = adapter_of(layer)
            if adapter is not None:
                _insist_plain(layer, adapter)
                found.append(layer)
        except ForeignError as error:
            others[str(error)] += 1
    return found, others


def _insist_plain(layer: Any, adapter: Adapter) -> None:
    if not isinstance(layer, torch.nn.Linear):
        raise ForeignError("a convolution")
    if "weight" not in layer._parameters:  # noqa: SLF001  (taken out where weights are kept in RAM)
        raise ForeignError("a weight that is kept elsewhere")
    if layer.weight.requires_grad or adapter.down.dim() != 2 or adapter.up.dim() != 2:
        raise ForeignError("a weight that is trained itself, or a LoRA that is no pair of matrices")


def check(scene: Scene) -> str | None:
    """Forward and gradients on a small layer: no further from fp32 than stock is in the same type."""
    device, dtype = scene.machine.device, scene.dtype
    random = partial(torch.randn, generator=scene.generator(), device=device)
    stored = next(scene.unet.parameters()).dtype
    weight = (random((96, 64)) / 8).to(stored)
    bias, x, grad = random(96), random((2, 40, 64)).to(dtype).float(), random((2, 40, 96)).to(dtype).float()
    down, up = random((8, 64)) / 8, random((96, 8)) / 3
    right = _run(partial(_stock, weight=weight.float(), bias=bias, scale=0.5), x, down, up, grad)
    stock_weight, stock_bias = weight.to(dtype), bias.to(dtype)
    stock = _run(
        lambda a, b, c: _stock(a, stock_weight, stock_bias, b, c, 0.5),
        *(part.to(dtype) for part in (x, down, up, grad)),
    )
    frozen = Frozen(scene, weight, bias, 0.5, dtype, is_strict=True)
    ours = _run(lambda a, b, c: Product.apply(a, b, c, frozen), x.to(dtype), down, up, grad.to(dtype))
    for what, found, other, best in zip(("output", "of x", "of A", "of U"), ours, stock, right, strict=True):
        error, bound = relative_error(found, best), relative_error(other, best) * MARGIN + 1e-6
        if not error <= bound:
            return f"{what}: {error:.2e} from fp32, stock {bound:.2e}"
    return None


def _run(product: Callable[..., Tensor], x: Tensor, down: Tensor, up: Tensor, grad: Tensor) -> list[Tensor]:
    """Result and gradients."""
    parts = [part.clone().requires_grad_() for part in (x, down, up)]
    device = x.device.type
    with torch.enable_grad(), torch.autocast(device, enabled=False):
        y = (
            product(*parts)
            if not isinstance(product, partial)
            else product(parts[0], down=parts[1], up=parts[2])
        )
        return [y, *torch.autograd.grad(y, parts, grad)]


def install(scene: Scene) -> Callable[[], None]:
    layers, others = _layers(scene)
    if others:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in others.most_common(3))
        scene.shared[f"{NAME}.partly"] = f"{others.total()} layers stay stock: {reasons}"
    classes: dict[type, type] = {}
    taken = []
    for layer in layers:
        module = layer.forward.__self__
        base = type(module)
        if base not in classes:
            classes[base] = _derived(base, scene)
        taken.append((layer, module, base, layer.forward))
        module.__class__ = classes[base]
        layer.forward = module.forward
    leave = full_sums(scene)

    def undo() -> None:
        leave()
        for layer, module, base, forward in taken:
            if layer.__dict__.get("forward") == module.forward:  # nobody else has taken it since
                layer.forward = forward
            module.__class__ = base

    return undo


def _derived(base: Any, scene: Scene) -> type:
    """A class like `base`, of the same name, whose forward is the one operation."""
    call = scene.guarded(NAME, partial(_fast, scene, base.forward), base.forward)

    def forward(self: Any, x: Any) -> Any:
        return call(self, x)

    return type(base.__name__, (base,), {"forward": forward, "__module__": base.__module__})


def _fast(scene: Scene, stock: Callable[..., Any], module: Any, x: Tensor) -> Any:
    layer, adapter = module.org_forward.__self__, Adapter(module)
    if not _is_autocast(scene) and not x.dtype == adapter.down.dtype == scene.dtype:
        return stock(module, x)  # types that do not fit: stock says so in its own words
    try:
        scale = adapter.scale
    except ForeignError:
        return stock(module, x)
    frozen = Frozen(scene, layer.weight, layer.bias, scale, scene.dtype)
    return Product.apply(x, adapter.down, adapter.up, frozen)


def _is_autocast(scene: Scene) -> bool:
    device = scene.machine.device.type
    if scene.machine.torch >= (2, 4):
        return bool(torch.is_autocast_enabled(device))
    return bool(torch.is_autocast_enabled() if device == "cuda" else torch.is_autocast_cpu_enabled())
