"""Norms read and write 16 bits. Autocast makes them compute from a copy in fp32 and return fp32, cast again behind.

Inside nothing changes: sums, mean and deviation are fp32. For norms that `blocks` and `convolutions` do not take over.
A GroupNorm's SiLU stays a module of its own, and rounds once more than stock.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

from launcher.shim.boosts.cast import is_autocast_to
from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.scene import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.scene import Scene

NAME = "norms"
KIND = Kind.ROUNDING
ABOUT = "norms read and write 16 bits, without a copy in fp32"

GROUP_NORMS = ("GroupNorm", "GroupNorm32")  # upstream's own casts by itself where weights are fp32
MARGIN = 1.05  # of the stock error, for the self-check: rounding falls this or that way


class Frozen:
    """One norm's weights in fp32, made once: what is not trained does not change."""

    __slots__ = ("bias", "eps", "groups", "is_strict", "scene", "weight")

    def __init__(self, scene: Scene, norm: Any, *, is_strict: bool = False) -> None:
        self.scene = scene
        self.weight = norm.weight.detach().float()
        self.bias = torch.zeros_like(self.weight) if norm.bias is None else norm.bias.detach().float()
        self.eps = float(norm.eps)
        self.groups = 0 if isinstance(norm, torch.nn.LayerNorm) else int(norm.num_groups)
        self.is_strict = is_strict  # what fails is raised: for the self-check


class Norm(torch.autograd.Function):  # type: ignore[misc]
    """x (..., columns) or, with groups, (images, channels, height, width) -> the same in x's type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frozen: Frozen) -> Tensor:
        ops, weight, bias = frozen.scene.ops, frozen.weight, frozen.bias
        if frozen.groups:
            normed, mean, rstd = ops.group_norm(x, weight, bias, frozen.groups, frozen.eps, silu=False)
        else:
            x = x.contiguous()
            normed, mean, rstd = ops.layer_norm(x.view(-1, x.shape[-1]), weight, bias, frozen.eps)
            normed = normed.view(x.shape)
        ctx.save_for_backward(x, mean, rstd)
        ctx.frozen = frozen
        return normed

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        frozen, (x, mean, rstd) = ctx.frozen, ctx.saved_tensors
        try:
            return _gradient(frozen, grad, x, mean, rstd), None
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            if frozen.is_strict:
                raise
            frozen.scene.turn_off(NAME, error)
        return _stock_gradient(frozen, grad, x), None


def _gradient(frozen: Frozen, grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    ops, weight = frozen.scene.ops, frozen.weight
    if frozen.groups:
        return ops.group_norm_backward(grad, x, mean, rstd, weight, frozen.bias, frozen.groups, silu=False)
    columns = x.shape[-1]
    rows = grad.contiguous().view(-1, columns)
    return ops.layer_norm_backward(rows, x.view(-1, columns), mean, rstd, weight).view(x.shape)


def _stock_gradient(frozen: Frozen, grad: Tensor, x: Tensor) -> Tensor:
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().requires_grad_()
        wide = x.float()
        if frozen.groups:
            y = F.group_norm(wide, frozen.groups, frozen.weight, frozen.bias, frozen.eps)
        else:
            y = F.layer_norm(wide, (x.shape[-1],), frozen.weight, frozen.bias, frozen.eps)
    return torch.autograd.grad(y, x, grad.float())[0]


def _through_ops(frozen: Frozen) -> Callable[[Tensor], Tensor]:
    return lambda x: Norm.apply(x, frozen)


def _through_torch(frozen: Frozen, dtype: Any) -> Callable[[Tensor], Tensor]:
    """The norms that torch has for 16 bits: a card wants the weights in the same type, a processor computes better without."""
    device = frozen.weight.device.type
    weight, bias = (one if device == "cpu" else one.to(dtype) for one in (frozen.weight, frozen.bias))

    def forward(x: Tensor) -> Any:
        with torch.autocast(device, enabled=False):
            if frozen.groups:
                return F.group_norm(x, frozen.groups, weight, bias, frozen.eps)
            return F.layer_norm(x, (x.shape[-1],), weight, bias, frozen.eps)

    return forward


def _fast(scene: Scene, norm: Any, *, is_strict: bool = False) -> Callable[[Tensor], Tensor]:
    frozen = Frozen(scene, norm, is_strict=is_strict)
    return _through_torch(frozen, scene.dtype) if scene.ops.name == "torch" else _through_ops(frozen)


def reason_against(scene: Scene) -> str | None:
    if scene.dtype not in (torch.bfloat16, torch.float16):
        return "nothing is computed in 16 bits"
    if not any(_why_stock(scene, norm) is None for norm in _norms(scene)):
        return "no frozen norm of the U-Net is of a known build"
    return None


def _norms(scene: Scene) -> list[Any]:
    return [
        module
        for module in scene.unet.modules()
        if isinstance(module, (torch.nn.LayerNorm, torch.nn.GroupNorm))
    ]


def _why_stock(scene: Scene, norm: Any) -> str | None:
    if type(norm) is not torch.nn.LayerNorm and type(norm).__name__ not in GROUP_NORMS:
        return "a norm of another kind"
    if "forward" in norm.__dict__ or norm.weight is None or norm.weight.dim() != 1:
        return "a norm that something else has changed"
    if any(weight.requires_grad for weight in norm.parameters()):
        return "a norm that is trained itself"
    is_rounded = scene.ops.name == "torch" and scene.machine.device.type != "cpu"
    if is_rounded and any(
        not torch.equal(one.float(), one.to(scene.dtype).float()) for one in norm.parameters()
    ):
        return "weights that 16 bits cannot hold"  # stock computes with all of their bits
    return None


def check(scene: Scene) -> str | None:
    """Result (as the multiplication behind it gets it) and gradient: no further from fp64 than stock is."""
    generator, device = scene.generator(), scene.machine.device
    for norm, shape in (
        (torch.nn.LayerNorm(160, device=device), (2, 24, 160)),
        (torch.nn.GroupNorm(8, 64, device=device), (2, 64, 12, 16)),
    ):
        norm.requires_grad_(requires_grad=False)
        for weight in norm.parameters():
            drawn = torch.randn(weight.shape, generator=generator, device=device)
            weight.copy_(drawn.to(scene.dtype))
        x, grad = (torch.randn(shape, generator=generator, device=device).to(scene.dtype) for _ in range(2))
        right = _run(scene, _wide(norm), x.double(), grad.double(), is_mixed=False)
        stock = _run(scene, norm.forward, x, grad)
        ours = _run(scene, _fast(scene, norm, is_strict=True), x, grad)
        for what, found, other, best in zip(("result", "gradient"), ours, stock, right, strict=True):
            error, bound = relative_error(found, best), relative_error(other, best) * MARGIN + 1e-6
            if not error <= bound:
                return f"{what} of a {type(norm).__name__}: {error:.2e} from fp64, stock {bound:.2e}"
    return None


def _wide(norm: Any) -> Callable[[Tensor], Tensor]:
    weight, bias = norm.weight.double(), norm.bias.double()
    if isinstance(norm, torch.nn.LayerNorm):
        return lambda x: F.layer_norm(x, (x.shape[-1],), weight, bias, norm.eps)
    return lambda x: F.group_norm(x, norm.num_groups, weight, bias, norm.eps)


def _run(
    scene: Scene, forward: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor, *, is_mixed: bool = True
) -> list[Tensor]:
    x = x.clone().requires_grad_()
    with torch.enable_grad(), torch.autocast(scene.machine.device.type, dtype=scene.dtype, enabled=is_mixed):
        y = forward(x).to(x.dtype)
    return [y, *torch.autograd.grad(y, x, grad)]


def install(scene: Scene) -> Callable[[], None]:
    taken, left = [], set()
    for norm in _norms(scene):
        if (reason := _why_stock(scene, norm)) is not None:
            left.add(reason)
            continue
        norm.forward = MethodType(_guarded(scene, norm), norm)
        taken.append((norm, norm.forward))
    if left:
        scene.shared[f"{NAME}.partly"] = f"some stay stock: {', '.join(sorted(left))}"

    def undo() -> None:
        for norm, mine in taken:
            if (
                norm.__dict__.get("forward") is mine
            ):  # else another boost lies over it; mine is stock from now on
                del norm.forward

    return undo


def _guarded(scene: Scene, norm: Any) -> Callable[..., Any]:
    """Without gradients as well: a checkpoint's first pass, and samples, must see what the second pass sees."""
    stock, fast, dtype = type(norm).forward, _fast(scene, norm), scene.dtype

    def chosen(this: Any, x: Tensor) -> Any:
        is_usual = x.dtype == dtype and is_autocast_to(dtype, x.device.type)
        return fast(x) if is_usual else stock(this, x)

    call = scene.guarded(NAME, chosen, stock)

    def forward(this: Any, x: Tensor) -> Any:
        return call(this, x)

    return forward
