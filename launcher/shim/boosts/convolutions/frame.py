"""What all parts of the convolutional U-Net share: type, layout, operations; a frozen convolution and a frozen norm."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

if TYPE_CHECKING:
    from torch import Tensor

    from launcher.shim.boosts.ops import Ops


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """`is_last`: channels lie together (channels_last), as tensor cores read them; else as torch lays them out.

    `is_autocast`: what is stock runs under autocast to `dtype`.
    """

    ops: Ops
    dtype: torch.dtype
    is_last: bool
    is_autocast: bool

    @property
    def format(self) -> torch.memory_format:
        return torch.channels_last if self.is_last else torch.contiguous_format

    def arranged(self, x: Tensor) -> Tensor:
        """In type and layout; x itself where it is so already (a part of a concatenation is not)."""
        return x.to(self.dtype).contiguous(memory_format=self.format)

    def rows(self, x: Tensor) -> Tensor:
        """(images, channels, height, width) -> (images * height * width, channels); a view of channels_last."""
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])

    def image(self, rows: Tensor, like: Tensor) -> Tensor:
        """The reverse of `rows`; `like` has the images' number, height and width."""
        n, _, h, w = like.shape
        return rows.view(n, h, w, -1).permute(0, 3, 1, 2)

    def sum(self, x: Tensor, y: Tensor, bias: Tensor | None) -> Tensor:
        """`x + (y + bias)`, bias one a channel; y may be overwritten."""
        if self.is_last:
            return self.image(self.ops.add(self.rows(x), self.rows(y), bias), like=x)
        return y.add_(x) if bias is None else y.add_(bias.view(1, -1, 1, 1)).add_(x)

    def stock_gradients(self, stock: Any, grad: Tensor, *inputs: Tensor) -> list[Tensor | None]:
        """What stock gives for inputs, made anew inside a backward. None where an input wants no gradient."""
        leaves = [one.detach().requires_grad_(one.requires_grad) for one in inputs]
        amp = torch.autocast(grad.device.type, dtype=self.dtype)
        with torch.enable_grad(), amp if self.is_autocast else contextlib.nullcontext():
            out = stock(*leaves)
        torch.autograd.backward(out, grad.to(out.dtype))
        return [leaf.grad for leaf in leaves]


class Convolution:
    """A frozen Conv2d. Its weight is asked of the layer and cast at each use, so nothing of it is kept."""

    def __init__(self, layer: Any, frame: Frame) -> None:
        self.layer = layer
        self.frame = frame
        self.bias = None if layer.bias is None else layer.bias.detach().to(frame.dtype)
        self._geometry = (list(layer.stride), list(layer.padding), list(layer.dilation))

    @property
    def weight(self) -> Tensor:
        return self.frame.ops.cast(self.layer.weight.detach(), self.frame.dtype)

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x: arranged. `bias` is not the layer's own unless it is given."""
        stride, padding, dilation = self._geometry
        return F.conv2d(x, self.weight, bias, stride, padding, dilation, self.layer.groups)

    def backward(self, grad: Tensor, like: Tensor) -> Tensor:
        """Gradient of the input; grad: arranged. `like` has the input's shape, type and layout, its numbers do not matter."""
        stride, padding, dilation = self._geometry
        return torch.ops.aten.convolution_backward(
            grad, like, self.weight, None, stride, padding, dilation, False, [0, 0],
            self.layer.groups, [True, False, False],
        )[0]  # fmt: skip

    def stand_in(self, grad: Tensor, shape: torch.Size) -> Tensor:
        """Something of the input's shape in memory that nobody writes: cuDNN asks for sizes and layout alone."""
        if grad.shape == shape:
            return grad
        return torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=self.frame.format)


class Norm:
    """A frozen GroupNorm, its few numbers kept in fp32."""

    def __init__(self, layer: Any, frame: Frame, *, silu: bool) -> None:
        self.weight, self.bias = layer.weight.detach().float(), layer.bias.detach().float()
        self._groups, self._eps, self._silu = layer.num_groups, layer.eps, silu
        self._ops = frame.ops

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The norm, mean and 1 / deviation."""
        return self._ops.group_norm(x, self.weight, self.bias, self._groups, self._eps, silu=self._silu)

    def backward(self, grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
        return self._ops.group_norm_backward(
            grad, x, mean, rstd, self.weight, self.bias, self._groups, silu=self._silu
        )
