"""Single frozen layers whose backward needs no input: convolutions, with or without a change of size, and group norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.convolutions.frame import Convolution, Norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.convolutions.frame import Frame


class Single:
    """A convolution that keeps only its input's shape; before it each pixel becomes four where it is `doubled`.

    `stock` computes the same in upstream's way.
    """

    def __init__(
        self, layer: Any, frame: Frame, stock: Any, failed: Callable[[BaseException], None], *, doubled: bool = False
    ) -> None:  # fmt: skip
        self.conv = Convolution(layer, frame)
        self.frame, self.stock, self.failed, self.doubled = frame, stock, failed, doubled

    def __call__(self, x: Tensor) -> Tensor:
        found: Tensor = _Single.apply(x, self)
        return found


class _Single(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor, single: Single) -> Tensor:
        ctx.single, ctx.shape, ctx.dtype = single, x.shape, x.dtype
        x = single.frame.arranged(x)
        if single.doubled:
            x = double(x, single.frame)
        ctx.inner = x.shape
        return single.conv(x, single.conv.bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        single: Single = ctx.single
        try:
            grad = single.frame.arranged(grad)
            found = single.conv.backward(grad, like=single.conv.stand_in(grad, ctx.inner))
            return (halve(found, single.frame) if single.doubled else found).to(ctx.dtype), None
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a library of somebody else's raises)
            single.failed(error)
        # linear in its input: the gradient is the same for every input
        x = torch.zeros(ctx.shape, dtype=ctx.dtype, device=grad.device, requires_grad=True)
        return single.frame.stock_gradients(single.stock, grad, x)[0], None


def double(x: Tensor, frame: Frame) -> Tensor:
    """(n, c, h, w) -> (n, c, 2h, 2w), each pixel four times: one copy, in every type and layout."""
    n, c, h, w = x.shape
    if frame.is_last:
        many = x.permute(0, 2, 3, 1)[:, :, None, :, None].expand(n, h, 2, w, 2, c)
        return many.reshape(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
    return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def halve(grad: Tensor, frame: Frame) -> Tensor:
    """The reverse: sums of four, in fp32 and rounded once."""
    n, c, h, w = grad.shape
    if frame.is_last:
        parts = grad.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c)
        return parts.sum((2, 4)).permute(0, 3, 1, 2)
    return grad.reshape(n, c, h // 2, 2, w // 2, 2).sum((3, 5))


class Normed:
    """A group norm, through SiLU where asked, that keeps its input and no copy of it in fp32."""

    def __init__(
        self, layer: Any, frame: Frame, stock: Any, failed: Callable[[BaseException], None], *, silu: bool
    ) -> None:  # fmt: skip
        self.norm = Norm(layer, frame, silu=silu)
        self.frame, self.stock, self.failed = frame, stock, failed

    def __call__(self, x: Tensor) -> Tensor:
        found: Tensor = _Normed.apply(x, self)
        return found


class _Normed(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor, normed: Normed) -> Tensor:
        ctx.normed = normed
        x = normed.frame.arranged(x)
        out, mean, rstd = normed.norm(x)
        ctx.save_for_backward(x, mean, rstd)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        normed: Normed = ctx.normed
        x, mean, rstd = ctx.saved_tensors
        try:
            return normed.norm.backward(normed.frame.arranged(grad), x, mean, rstd), None
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a library of somebody else's raises)
            normed.failed(error)
        return normed.frame.stock_gradients(normed.stock, grad, x.detach().requires_grad_())[0], None
