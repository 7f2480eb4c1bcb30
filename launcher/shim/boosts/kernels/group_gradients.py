"""Kernels of the group norm's backward, laid out as those of `group_kernels`.

With g the gradient before SiLU times the weight, and n the normed x: dx = rstd * (g - mean(g) - n * mean(g * n)).
"""

import triton
import triton.language as tl

from launcher.shim.boosts.kernels.group_kernels import _through


@triton.jit(do_not_specialize=["positions", "steps", "silu", "width"])
def sums_last(
    grad, x, mean, rstd, weight, bias, plain, along,
    channels, positions, steps, width, silu,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Sums of the gradient before SiLU, and of that times the normed x, of each channel in each range of positions."""
    part, image = tl.program_id(0), tl.program_id(2)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = c < channels
    group = image * (channels // width) + c // width
    m = tl.load(mean + group, mask=known, other=0)[None, :]
    r = tl.load(rstd + group, mask=known, other=0)[None, :]
    w = tl.load(weight + c, mask=known, other=0).to(tl.float32)[None, :]
    b = tl.load(bias + c, mask=known, other=0).to(tl.float32)[None, :]
    x += image * positions * channels
    grad += image * positions * channels
    first = part * steps * ROWS
    end = tl.minimum(first + steps * ROWS, positions)
    one = tl.zeros([ROWS, COLUMNS], tl.float32)
    two = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(first, end, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < positions)[:, None] & known[None, :]
        at = row[:, None] * channels + c[None, :]
        normed = (tl.load(x + at, mask=inside, other=0).to(tl.float32) - m) * r
        g = _through(tl.load(grad + at, mask=inside, other=0).to(tl.float32), normed * w + b, silu)
        one += g  # 0 outside, as the gradient is
        two += g * normed
    to = (image * tl.num_programs(0) + part) * channels + c
    tl.store(plain + to, tl.sum(one, axis=0), mask=known)
    tl.store(along + to, tl.sum(two, axis=0), mask=known)


@triton.jit(do_not_specialize=["steps", "silu", "width"])
def sums_first(
    grad, x, mean, rstd, weight, bias, plain, along,
    channels, positions, steps, width, silu,
    SIZE: tl.constexpr,
):  # fmt: skip
    """The same of each plane."""
    part, plane = tl.program_id(0), tl.program_id(1)
    channel = plane % channels
    m = tl.load(mean + plane // width)
    r = tl.load(rstd + plane // width)
    w = tl.load(weight + channel).to(tl.float32)
    b = tl.load(bias + channel).to(tl.float32)
    x += plane * positions
    grad += plane * positions
    first = part * steps * SIZE
    end = tl.minimum(first + steps * SIZE, positions)
    one = tl.zeros([SIZE], tl.float32)
    two = tl.zeros([SIZE], tl.float32)
    for start in range(first, end, SIZE):
        at = start + tl.arange(0, SIZE)
        normed = (tl.load(x + at, mask=at < positions, other=0).to(tl.float32) - m) * r
        g = _through(tl.load(grad + at, mask=at < positions, other=0).to(tl.float32), normed * w + b, silu)
        one += g
        two += g * normed
    to = (plane // channels * tl.num_programs(0) + part) * channels + channel
    tl.store(plain + to, tl.sum(one, axis=0))
    tl.store(along + to, tl.sum(two, axis=0))


@triton.jit(do_not_specialize=["positions", "parts", "width"])
def join_sums(
    plain, along, mean, rstd, weight, bias, factors,
    channels, positions, parts, width,
    PARTS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The parts of one group -> for each channel the five factors of `spread_*`, (5, images, channels)."""
    group, image = tl.program_id(0), tl.program_id(1)
    c = tl.arange(0, WIDTH)
    channel = group * width + c
    known = c < width
    plain += image * parts * channels
    along += image * parts * channels
    one = tl.zeros([PARTS, WIDTH], tl.float32)
    two = tl.zeros([PARTS, WIDTH], tl.float32)
    for start in range(0, parts, PARTS):
        part = (start + tl.arange(0, PARTS))[:, None]
        inside = (part < parts) & known[None, :]
        at = part * channels + channel[None, :]
        one += tl.load(plain + at, mask=inside, other=0)
        two += tl.load(along + at, mask=inside, other=0)
    w = tl.load(weight + channel, mask=known, other=0).to(tl.float32)
    b = tl.load(bias + channel, mask=known, other=0).to(tl.float32)
    size = (positions * width).to(tl.float32)
    one_mean = tl.sum(tl.sum(one, axis=0) * w, axis=0) / size
    two_mean = tl.sum(tl.sum(two, axis=0) * w, axis=0) / size
    m = tl.load(mean + image * tl.num_programs(0) + group)
    r = tl.load(rstd + image * tl.num_programs(0) + group)
    to = factors + image * channels + channel
    step = tl.num_programs(1) * channels
    none = tl.zeros([WIDTH], tl.float32)
    tl.store(to, w * r, mask=known)
    tl.store(to + step, b - m * (w * r), mask=known)
    tl.store(to + 2 * step, none + m, mask=known)
    tl.store(to + 3 * step, none - r * r * two_mean, mask=known)
    tl.store(to + 4 * step, none - r * one_mean, mask=known)


@triton.jit(do_not_specialize=["images", "positions", "steps", "silu"])
def spread_last(
    grad, x, factors, found,
    channels, images, positions, steps, silu,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    part, image = tl.program_id(0), tl.program_id(2)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = c < channels
    factors += image * channels
    step = images * channels
    scale = tl.load(factors + c, mask=known, other=0)[None, :]
    shift = tl.load(factors + step + c, mask=known, other=0)[None, :]
    m = tl.load(factors + 2 * step + c, mask=known, other=0)[None, :]
    slope = tl.load(factors + 3 * step + c, mask=known, other=0)[None, :]
    level = tl.load(factors + 4 * step + c, mask=known, other=0)[None, :]
    x += image * positions * channels
    grad += image * positions * channels
    found += image * positions * channels
    first = part * steps * ROWS
    end = tl.minimum(first + steps * ROWS, positions)
    for start in range(first, end, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < positions)[:, None] & known[None, :]
        at = row[:, None] * channels + c[None, :]
        value = tl.load(x + at, mask=inside, other=0).to(tl.float32)
        g = tl.load(grad + at, mask=inside, other=0).to(tl.float32)
        g = _through(g, value * scale + shift, silu)
        result = g * scale + ((value - m) * slope + level)
        tl.store(found + at, result.to(found.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["images", "steps", "silu"])
def spread_first(grad, x, factors, found, channels, images, positions, steps, silu, SIZE: tl.constexpr):
    part, plane = tl.program_id(0), tl.program_id(1)
    factors += plane
    step = images * channels
    scale = tl.load(factors)
    shift = tl.load(factors + step)
    m = tl.load(factors + 2 * step)
    slope = tl.load(factors + 3 * step)
    level = tl.load(factors + 4 * step)
    x += plane * positions
    grad += plane * positions
    found += plane * positions
    first = part * steps * SIZE
    end = tl.minimum(first + steps * SIZE, positions)
    for start in range(first, end, SIZE):
        at = start + tl.arange(0, SIZE)
        value = tl.load(x + at, mask=at < positions, other=0).to(tl.float32)
        g = tl.load(grad + at, mask=at < positions, other=0).to(tl.float32)
        g = _through(g, value * scale + shift, silu)
        result = g * scale + ((value - m) * slope + level)
        tl.store(found + at, result.to(found.dtype.element_ty), mask=at < positions)
