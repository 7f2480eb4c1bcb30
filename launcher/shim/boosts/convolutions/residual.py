"""A residual block in one piece: no convolution is computed twice, and of the frozen weights nothing is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

from launcher.shim.boosts.convolutions.frame import Convolution, Norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.convolutions.frame import Frame


class Residual:
    """`x + conv(silu(norm(conv(silu(norm(x))) + linear(silu(emb)))))`, all of it frozen.

    Its forward rounds where stock does (see `blocks.compute`). `keeps_h`: the first convolution's output stays until
    backward; else backward computes it again (that convolution only). `stock` computes the same in upstream's way;
    `failed` is told what a backward failed with.
    """

    keeps_h = True

    def __init__(self, module: Any, frame: Frame, failed: Callable[[BaseException], None]) -> None:
        self.frame = frame
        self.failed = failed
        self.stock = module.forward_body
        self.norm1 = Norm(module.in_layers[0], frame, silu=True)
        self.conv1 = Convolution(module.in_layers[2], frame)
        self.linear = module.emb_layers[1]
        self.norm2 = Norm(module.out_layers[0], frame, silu=True)
        self.conv2 = Convolution(module.out_layers[3], frame)
        has_skip = isinstance(module.skip_connection, torch.nn.Conv2d)
        self.skip = Convolution(module.skip_connection, frame) if has_skip else None
        bias = self.linear.bias
        self._linear_bias = None if bias is None else bias.detach().to(frame.dtype)

    def __call__(self, x: Tensor, emb: Tensor) -> Tensor:
        """x: (images, channels, height, width), emb: (images, channels of the time's embedding)."""
        found: Tensor = _Residual.apply(x, emb, self)
        return found

    def linear_weight(self) -> Tensor:
        return self.frame.ops.cast(self.linear.weight.detach(), self.frame.dtype)

    def first_half(self, normed: Tensor, emb: Tensor) -> Tensor:
        """The first convolution's output, with the time's embedding."""
        shift = F.linear(F.silu(emb.to(self.frame.dtype)), self.linear_weight(), self._linear_bias)
        return self.conv1(normed, self.conv1.bias).add_(shift[:, :, None, None])

    def beside(self, x: Tensor) -> Tensor:
        """What goes around the convolutions."""
        if self.skip is None:
            return x
        if not self.frame.is_last:
            return self.skip(x, self.skip.bias)
        # one pixel wide: a multiplication of matrices
        rows = self.frame.rows(x).mm(self.skip.weight.flatten(1).t())
        if self.skip.bias is not None:
            rows.add_(self.skip.bias)  # rounded before, as behind a convolution
        return self.frame.image(rows, like=x)

    def beside_backward(self, grad: Tensor, x: Tensor, found: Tensor) -> Tensor:
        """`found` and the gradient of what went around; found may be overwritten."""
        if self.skip is None:
            return self.frame.sum(grad, found, None)
        if not self.frame.is_last:
            return found.add_(self.skip.backward(grad, like=x))
        matrix = self.skip.weight.flatten(1)
        return self.frame.image(torch.addmm(self.frame.rows(found), self.frame.rows(grad), matrix), like=x)


class _Residual(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor, emb: Tensor, block: Residual) -> Tensor:
        x = block.frame.arranged(x)
        normed, mean1, rstd1 = block.norm1(x)
        h = block.first_half(normed, emb)
        del normed
        normed, mean2, rstd2 = block.norm2(h)
        out = block.conv2(normed)
        del normed
        out = block.frame.sum(block.beside(x), out, block.conv2.bias)
        ctx.block = block
        ctx.save_for_backward(x, emb, h if block.keeps_h else None, mean1, rstd1, mean2, rstd2)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        block: Residual = ctx.block
        try:
            return (*_backward(block, grad, ctx.saved_tensors, ctx.needs_input_grad), None)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a library of somebody else's raises)
            block.failed(error)
        x, emb = (one.detach() for one in ctx.saved_tensors[:2])
        x.requires_grad_(ctx.needs_input_grad[0])
        emb.requires_grad_(ctx.needs_input_grad[1])
        return (*block.frame.stock_gradients(block.stock, grad, x, emb), None)


def _backward(
    block: Residual, grad: Tensor, saved: tuple[Any, ...], needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    x, emb, h, mean1, rstd1, mean2, rstd2 = saved
    if h is None:
        h = block.first_half(block.norm1(x)[0], emb)
    grad = block.frame.arranged(grad)
    found = block.norm2.backward(block.conv2.backward(grad, like=h), h, mean2, rstd2)
    for_emb = _emb_gradient(block, found, emb) if needed[1] else None
    if not needed[0]:
        return None, for_emb
    found = block.norm1.backward(block.conv1.backward(found, like=x), x, mean1, rstd1)
    return block.beside_backward(grad, x, found), for_emb


def _emb_gradient(block: Residual, found: Tensor, emb: Tensor) -> Tensor:
    """Through the sum over all pixels, the linear layer and SiLU."""
    through = found.sum((2, 3)) @ block.linear_weight()
    return torch.ops.aten.silu_backward(through, emb.to(through.dtype)).to(emb.dtype)
