"""The layers of a VAE strip by strip: the same sums, without the tensors of a whole picture that nobody keeps.

A layer reads its input in strips of rows with one row more above and below, and group normalisation takes its mean and
variance from all strips, so the result is that of the whole picture up to the rounding of sums (tiles, by contrast, have
their own statistics and borders). At any time two tensors of full resolution exist at most, a layer's input and its
output; an input that nobody needs any more takes the output.

SDXL's VAE at 1024x1024 on an H100, torch 2.11 (`python tests/benchmarks/bench_vae.py`, random weights), against stock in
float32; cuDNN may use TF32, as it may by default, and without it the errors of the rows are 3.4e-6 and 3.7e-6:

             encode: reserved MiB   ms   rms error    decode: reserved MiB   ms   rms error
    stock            4632           74   -                    9062          126   -
    rows             1906           72   1.0e-3               2180          137   9.9e-4
    tiling           1538          108   2.0e-1               2128          248   3.6e-2
    bfloat16         2574           56   1.6e-2               4224           92   1.8e-2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

STRIP_BYTES = 32 << 20  # of a layer's input; a strip has two or three copies while it is worked on
LAZY_BYTES = 768 << 20  # a larger output of an upsampler is computed again when needed rather than kept

Span = tuple[int, int]


class Source(Protocol):
    """What gives the rows of an activation: kept ones, or computed at each call."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    @property
    def kept(self) -> Any | None:
        """The tensor with all rows, where there is one."""

    def rows(self, first: int, last: int) -> Any: ...


class Kept:
    """Rows that lie in memory."""

    def __init__(self, tensor: Any) -> None:
        self.kept: Any = tensor
        self.shape: tuple[int, int, int, int] = tuple(tensor.shape)

    def rows(self, first: int, last: int) -> Any:
        return self.kept[:, :, first:last]


class Convolved:
    """Output of a 3x3 convolution, optionally of the input doubled in size, computed for the rows asked for."""

    kept = None

    def __init__(self, source: Any, convolution: Any, *, double: bool = False) -> None:
        batch, _, height, width = source.shape
        scale = 2 if double else 1
        self.shape = (batch, convolution.out_channels, height * scale, width * scale)
        self._source = source
        self._convolution = convolution
        self._double = double

    def rows(self, first: int, last: int) -> Any:
        height = self.shape[2]
        above, below = max(first - 1, 0), min(last + 1, height)
        if not self._double:
            window = self._source[:, :, above:below]
        else:
            from torch.nn.functional import interpolate

            begin, end = above // 2, (below - 1) // 2 + 1
            window = interpolate(self._source[:, :, begin:end], scale_factor=2.0, mode="nearest")
            window = window[:, :, above - 2 * begin : below - 2 * begin]
        return convolve(self._convolution, window, at_top=first == 0, at_bottom=last == height)


def convolve(convolution: Any, window: Any, *, at_top: bool, at_bottom: bool) -> Any:
    """A 3x3 convolution with one row of zeros only where the picture ends."""
    from torch.nn import functional

    if at_top or at_bottom:
        window = functional.pad(window, (0, 0, int(at_top), int(at_bottom)))
    return functional.conv2d(window, convolution.weight, convolution.bias, padding=(0, 1))


def strips(shape: tuple[int, int, int, int], itemsize: int) -> Iterator[Span]:
    """Spans of rows that take about STRIP_BYTES each, even in number of rows."""
    batch, channels, height, width = shape
    size = max(2, STRIP_BYTES // max(1, batch * channels * width * itemsize)) & ~1
    for first in range(0, height, size):
        yield first, min(first + size, height)


def normalise(norm: Any, source: Source, itemsize: int) -> tuple[Any, Any]:
    """Factor and summand per picture and channel that do what the group normalisation would do to the whole."""
    import torch

    batch, channels, _, width = source.shape
    parts = []
    for first, last in strips(source.shape, itemsize):
        groups = source.rows(first, last).float().unflatten(1, (norm.num_groups, -1))
        variance, mean = torch.var_mean(groups, dim=(2, 3, 4), correction=0)
        parts.append((float((last - first) * width), mean.double(), variance.double()))
    total = sum(count for count, _, _ in parts)
    mean = sum(count * part for count, part, _ in parts) / total
    variance = sum(count * (spread + (part - mean) ** 2) for count, part, spread in parts) / total
    factor = torch.rsqrt(variance + norm.eps).repeat_interleave(channels // norm.num_groups, dim=1)
    mean = mean.repeat_interleave(channels // norm.num_groups, dim=1)
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    summand = -mean * factor
    if norm.bias is not None:
        summand = summand + norm.bias.double()
    as_column = (batch, channels, 1, 1)
    return factor.float().view(as_column), summand.float().view(as_column)


def activated(rows: Any, norm: tuple[Any, Any], activation: Any) -> Any:
    """Normalised rows after the activation, in their own precision."""
    import torch

    normal = torch.addcmul(norm[1], rows.float(), norm[0]).to(rows.dtype)
    if isinstance(activation, torch.nn.SiLU):
        return torch.nn.functional.silu(normal, inplace=True)
    return activation(normal)


def finish(norm: Any, activation: Any, convolution: Any, source: Source, like: Any) -> Any:
    """The convolution of the normalised, activated source, as a new tensor."""
    scaling = normalise(norm, source, like.element_size())
    batch, _, height, width = source.shape
    output = like.new_empty((batch, convolution.out_channels, height, width))
    for first, last in strips(source.shape, like.element_size()):
        window = activated(source.rows(max(first - 1, 0), min(last + 1, height)), scaling, activation)
        output[:, :, first:last] = convolve(convolution, window, at_top=first == 0, at_bottom=last == height)
    return output


def residual(block: Any, source: Source, like: Any) -> Kept:
    """A ResnetBlock2D without time embedding. A kept source of the right shape is overwritten with the output."""
    middle = finish(block.norm1, block.nonlinearity, block.conv1, source, like)
    scaling = normalise(block.norm2, Kept(middle), like.element_size())
    in_place = source.kept is not None and block.conv_shortcut is None
    output: Any = source.kept if in_place else middle
    height = middle.shape[2]
    above = None  # the last row of the strip before, which the output may have overwritten
    for first, last in strips(tuple(middle.shape), like.element_size()):
        window = _with_row_above(above, middle[:, :, first : min(last + 1, height)])
        above = middle[:, :, last - 1 : last].clone()
        window = activated(window, scaling, block.nonlinearity)
        rows = convolve(block.conv2, window, at_top=first == 0, at_bottom=last == height)
        rows += _shortcut(block, source.rows(first, last))
        if block.output_scale_factor != 1.0:
            rows /= block.output_scale_factor
        output[:, :, first:last] = rows
    return Kept(output)


def _with_row_above(above: Any | None, rows: Any) -> Any:
    import torch

    return rows if above is None else torch.cat([above, rows], dim=2)


def _shortcut(block: Any, rows: Any) -> Any:
    from torch.nn.functional import conv2d

    if block.conv_shortcut is None:
        return rows
    return conv2d(rows, block.conv_shortcut.weight, block.conv_shortcut.bias)


def halved(convolution: Any, source: Source, like: Any) -> Kept:
    """A downsampler: 3x3, stride 2, one row and one column of zeros at bottom and right."""
    from torch.nn import functional

    batch, _, height, width = source.shape
    output = like.new_empty((batch, convolution.out_channels, (height - 2) // 2 + 1, (width - 2) // 2 + 1))
    for start, stop in strips(source.shape, like.element_size()):
        first, last = start // 2, min(stop // 2 if stop < height else output.shape[2], output.shape[2])
        if first >= last:
            continue
        window = source.rows(2 * first, min(2 * last + 1, height))
        window = functional.pad(window, (0, 1, 0, 2 * last + 1 - 2 * first - window.shape[2]))
        output[:, :, first:last] = functional.conv2d(window, convolution.weight, convolution.bias, stride=2)
    return Kept(output)


def doubled(convolution: Any, source: Kept, like: Any) -> Source:
    """An upsampler: nearest neighbour, then 3x3. Not kept where it would be the largest tensor of all."""
    lazy = Convolved(source.kept, convolution, double=True)
    batch, channels, height, width = lazy.shape
    if batch * channels * height * width * like.element_size() > LAZY_BYTES:
        return lazy
    output = like.new_empty(lazy.shape)
    for first, last in strips(lazy.shape, like.element_size()):
        output[:, :, first:last] = lazy.rows(first, last)
    return Kept(output)
