"""Kernels of the group norm; `groups` says how they go together.

Two layouts: `last` has the channels side by side (channels_last), a program takes 64 channels of a range of positions;
`first` has the positions side by side (contiguous), a program takes a range of one plane. Parts are written, not
added: the same numbers come out every time.
"""

import triton
import triton.language as tl


@triton.jit
def _activated(z, silu):
    if silu:
        z = z * tl.sigmoid(z)
    return z


@triton.jit
def _through(grad, z, silu):
    """Gradient before SiLU."""
    if silu:
        s = tl.sigmoid(z)
        grad = grad * (s * (1.0 + z * (1.0 - s)))
    return grad


@triton.jit(do_not_specialize=["positions", "steps"])
def moments_last(x, means, squares, channels, positions, steps, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Mean, and sum of squared distances from it, of each channel in each range of positions."""
    part, image = tl.program_id(0), tl.program_id(2)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = c < channels
    x += image * positions * channels
    first = part * steps * ROWS
    end = tl.minimum(first + steps * ROWS, positions)
    pivot = tl.load(x + first * channels + c, mask=known, other=0).to(
        tl.float32
    )  # near the mean: small squares
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    square = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(first, end, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < positions)[:, None] & known[None, :]
        value = tl.load(x + row[:, None] * channels + c[None, :], mask=inside, other=0).to(tl.float32)
        value = tl.where(inside, value - pivot[None, :], 0.0)
        total += value
        square += value * value
    sums = tl.sum(total, axis=0)
    shift = sums / (end - first)
    at = (image * tl.num_programs(0) + part) * channels + c
    tl.store(means + at, pivot + shift, mask=known)
    tl.store(squares + at, tl.maximum(tl.sum(square, axis=0) - sums * shift, 0.0), mask=known)


@triton.jit(do_not_specialize=["steps"])
def moments_first(x, means, squares, channels, positions, steps, SIZE: tl.constexpr):
    """The same of each plane."""
    part, plane = tl.program_id(0), tl.program_id(1)
    x += plane * positions
    first = part * steps * SIZE
    end = tl.minimum(first + steps * SIZE, positions)
    pivot = tl.load(x + first).to(tl.float32)
    total = tl.zeros([SIZE], tl.float32)
    square = tl.zeros([SIZE], tl.float32)
    for start in range(first, end, SIZE):
        at = start + tl.arange(0, SIZE)
        value = tl.load(x + at, mask=at < positions, other=0).to(tl.float32)
        value = tl.where(at < positions, value - pivot, 0.0)
        total += value
        square += value * value
    sums = tl.sum(total, axis=0)
    shift = sums / (end - first)
    at = (plane // channels * tl.num_programs(0) + part) * channels + plane % channels
    tl.store(means + at, pivot + shift)
    tl.store(squares + at, tl.maximum(tl.sum(square, axis=0) - sums * shift, 0.0))


@triton.jit(do_not_specialize=["positions", "each", "parts", "width"])
def join_moments(
    means, squares, weight, bias, mean_out, rstd_out, scale_out, shift_out,
    channels, positions, each, parts, width, eps,
    PARTS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The parts of one group -> its mean and 1 / deviation, and for each channel what the norm multiplies and adds."""
    group, image = tl.program_id(0), tl.program_id(1)
    c = tl.arange(0, WIDTH)
    channel = group * width + c
    means += image * parts * channels
    squares += image * parts * channels
    known = (c < width)[None, :]
    total = tl.zeros([PARTS, WIDTH], tl.float32)
    for start in range(0, parts, PARTS):
        part = (start + tl.arange(0, PARTS))[:, None]
        count = tl.minimum(positions - part * each, each).to(tl.float32)
        inside = (part < parts) & known
        total += tl.load(means + part * channels + channel[None, :], mask=inside, other=0) * tl.where(
            inside, count, 0.0
        )
    size = (positions * width).to(tl.float32)
    mean = tl.sum(tl.sum(total, axis=1), axis=0) / size
    total = tl.zeros([PARTS, WIDTH], tl.float32)
    for start in range(0, parts, PARTS):
        part = (start + tl.arange(0, PARTS))[:, None]
        count = tl.minimum(positions - part * each, each).to(tl.float32)
        inside = (part < parts) & known
        at = part * channels + channel[None, :]
        away = tl.load(means + at, mask=inside, other=0) - mean
        square = tl.load(squares + at, mask=inside, other=0)
        total += tl.where(inside, square + away * away * count, 0.0)
    rstd = tl.rsqrt(tl.sum(tl.sum(total, axis=1), axis=0) / size + eps)
    tl.store(mean_out + image * tl.num_programs(0) + group, mean)
    tl.store(rstd_out + image * tl.num_programs(0) + group, rstd)
    scale = rstd * tl.load(weight + channel, mask=c < width, other=0).to(tl.float32)
    shift = tl.load(bias + channel, mask=c < width, other=0).to(tl.float32) - mean * scale
    tl.store(scale_out + image * channels + channel, scale, mask=c < width)
    tl.store(shift_out + image * channels + channel, shift, mask=c < width)


@triton.jit(do_not_specialize=["positions", "steps", "silu"])
def apply_last(
    x, scale, shift, found, channels, positions, steps, silu, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    part, image = tl.program_id(0), tl.program_id(2)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = c < channels
    a = tl.load(scale + image * channels + c, mask=known, other=0)[None, :]
    b = tl.load(shift + image * channels + c, mask=known, other=0)[None, :]
    x += image * positions * channels
    found += image * positions * channels
    first = part * steps * ROWS
    end = tl.minimum(first + steps * ROWS, positions)
    for start in range(first, end, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < positions)[:, None] & known[None, :]
        at = row[:, None] * channels + c[None, :]
        z = tl.load(x + at, mask=inside, other=0).to(tl.float32) * a + b
        tl.store(found + at, _activated(z, silu).to(found.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["steps", "silu"])
def apply_first(x, scale, shift, found, positions, steps, silu, SIZE: tl.constexpr):
    part, plane = tl.program_id(0), tl.program_id(1)
    a = tl.load(scale + plane)
    b = tl.load(shift + plane)
    x += plane * positions
    found += plane * positions
    first = part * steps * SIZE
    end = tl.minimum(first + steps * SIZE, positions)
    for start in range(first, end, SIZE):
        at = start + tl.arange(0, SIZE)
        z = tl.load(x + at, mask=at < positions, other=0).to(tl.float32) * a + b
        tl.store(found + at, _activated(z, silu).to(found.dtype.element_ty), mask=at < positions)
