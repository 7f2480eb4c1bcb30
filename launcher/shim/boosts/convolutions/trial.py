"""The self-check of the residual blocks: output and gradients beside stock's, both against fp32."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

from launcher.shim.boosts.convolutions.residual import Residual

if TYPE_CHECKING:
    from torch import Tensor

    from launcher.shim.boosts.convolutions.placing import Place

SIDE = (16, 24)
SLACK = 2.0  # two roundings of the same numbers differ by chance; what is wrong is off by far more
NAMES = ("output", "gradient", "embedding's gradient")
FLOOR = 1e-4  # in fp32 there is nothing to compare: both are right


def compare(place: Place, module: Any) -> str | None:
    """Relative errors of one block against the same in fp32; what is worse than stock's, or None."""
    scene, frame = place.scene, place.frame
    first, linear = module.in_layers[2], module.emb_layers[1]
    chance, device = scene.generator(), scene.machine.device
    shapes = [(2, first.in_channels, *SIDE), (2, linear.in_features), (2, first.out_channels, *SIDE)]
    x, emb, grad = (torch.randn(shape, generator=chance, device=device).to(frame.dtype) for shape in shapes)
    errors: list[BaseException] = []
    block = Residual(module, frame, errors.append)
    for conv in (block.conv1, block.conv2, *([block.skip] if block.skip else [])):
        place.lay_out(conv.layer)
    amp = torch.autocast(device.type, dtype=frame.dtype) if frame.is_autocast else contextlib.nullcontext()
    with torch.enable_grad(), amp:
        ours = _with_gradients(block, x, emb, grad)
        stock = _with_gradients(module.forward_body, x, emb, grad)
    if errors:
        return f"{type(errors[0]).__name__}: {errors[0]}"
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        right = _with_gradients(
            lambda *given: _wide(module, *given), *(one.float() for one in (x, emb, grad))
        )
    # where a norm takes away what the embedding adds, its gradient is nothing but rounding: small beside the other
    scales = [float(right[0].norm()), *[max(float(one.norm()) for one in right[1:])] * 2]
    for name, mine, theirs, truth, scale in zip(NAMES, ours, stock, right, scales, strict=True):
        far, allowed = _far(mine, truth, scale), _far(theirs, truth, scale)
        if not far <= SLACK * allowed + FLOOR:
            return f"{name} of a residual block: relative error {far:.2g}, stock's {allowed:.2g}"
    return None


def _far(found: Tensor, truth: Tensor, scale: float) -> float:
    return float((found.float() - truth).norm()) / max(scale, 1e-30)


def _with_gradients(block: Any, x: Tensor, emb: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, emb = x.detach().requires_grad_(), emb.detach().requires_grad_()
    out = block(x, emb)
    out.backward(grad.to(out.dtype))
    return out.detach(), x.grad, emb.grad


def _wide(module: Any, x: Tensor, emb: Tensor) -> Tensor:
    """The block's mathematics in fp32, from the stored weights."""

    def conv(layer: Any, given: Tensor) -> Tensor:
        bias = None if layer.bias is None else layer.bias.detach().float()
        return F.conv2d(
            given, layer.weight.detach().float(), bias, layer.stride, layer.padding, layer.dilation
        )

    def norm(layer: Any, given: Tensor) -> Tensor:
        weight, bias = layer.weight.detach().float(), layer.bias.detach().float()
        return F.silu(F.group_norm(given, layer.num_groups, weight, bias, layer.eps))

    linear, skip = module.emb_layers[1], module.skip_connection
    shift = F.linear(F.silu(emb), linear.weight.detach().float(), linear.bias.detach().float())
    h = conv(module.in_layers[2], norm(module.in_layers[0], x)) + shift[:, :, None, None]
    beside = conv(skip, x) if isinstance(skip, torch.nn.Conv2d) else x
    return beside + conv(module.out_layers[3], norm(module.out_layers[0], h))
