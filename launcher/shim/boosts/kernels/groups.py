"""Group norm, with SiLU or without: parts of the statistics, joined, applied; for both memory formats."""

from dataclasses import dataclass

import torch

from launcher.shim.boosts.kernels import group_gradients, group_kernels
from launcher.shim.boosts.kernels.launching import Kernel

ROWS, COLUMNS = 64, 64  # tile of a program where channels lie side by side; 128 bytes a row
SIZE = 1024  # and where positions do
PARTS, WIDTH = 32, 128  # tile of a program that joins; WIDTH: the most channels of a group
MOST_PARTS = 128
ENOUGH = 2048  # programs: more would only make more parts
LARGEST = 1 << 31  # elements: the kernels count in 32 bits

_moments = Kernel(group_kernels.moments_first, warps=4), Kernel(group_kernels.moments_last, warps=8)
_join_moments = Kernel(group_kernels.join_moments, warps=8)
_apply = Kernel(group_kernels.apply_first, warps=4), Kernel(group_kernels.apply_last, warps=8)
_sums = Kernel(group_gradients.sums_first, warps=4), Kernel(group_gradients.sums_last, warps=8)
_join_sums = Kernel(group_gradients.join_sums, warps=8)
_spread = Kernel(group_gradients.spread_first, warps=4), Kernel(group_gradients.spread_last, warps=8)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a tensor is divided among programs. `is_last`: its channels lie side by side."""

    is_last: bool
    grid: tuple[int, int, int]
    steps: int  # tiles a program
    each: int  # positions a program
    parts: int
    tile: tuple[int, ...]


_plans: dict[tuple[int, int, int, bool], Plan] = {}


def _plan(x: torch.Tensor) -> Plan | None:
    is_first = x.is_contiguous()
    if not is_first and not x.is_contiguous(memory_format=torch.channels_last):
        return None
    images, channels, height, width = x.shape
    key = images, channels, height * width, not is_first
    found = _plans.get(key)
    if found is None:
        if not 0 < x.numel() < LARGEST:
            return None
        found = _plans[key] = _divide(*key)
    return found


def _divide(images: int, channels: int, positions: int, is_last: bool) -> Plan:
    tile = (ROWS, COLUMNS) if is_last else (SIZE,)
    tiles = -(-positions // tile[0])
    across = -(-channels // COLUMNS) * images if is_last else channels * images
    steps = max(-(-tiles // MOST_PARTS), min(tiles, tiles * across // ENOUGH), 1)
    parts = -(-tiles // steps)
    grid = (parts, across // images, images) if is_last else (parts, across, 1)
    return Plan(is_last, grid, steps, steps * tile[0], parts, tile)


def group_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float, *, silu: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """(norm, mean, rstd); None where the kernels cannot."""
    plan = _plan(x)
    images, channels, height, breadth = x.shape
    width = channels // groups
    if plan is None or width > WIDTH:
        return None
    positions = height * breadth
    key = x.dtype, weight.dtype, channels, positions
    found = torch.empty_like(x)
    mean = torch.empty(images, groups, dtype=torch.float32, device=x.device)
    rstd = torch.empty_like(mean)
    scale = torch.empty(images, channels, dtype=torch.float32, device=x.device)
    shift = torch.empty_like(scale)
    means = torch.empty(images, plan.parts, channels, dtype=torch.float32, device=x.device)
    squares = torch.empty_like(means)
    _moments[plan.is_last](key, plan.grid, (x, means, squares), (channels, positions, plan.steps), plan.tile)
    _join_moments(
        key, (groups, images, 1), (means, squares, weight, bias, mean, rstd, scale, shift),
        (channels, positions, plan.each, plan.parts, width, eps), (PARTS, WIDTH),
    )  # fmt: skip
    numbers = (channels, positions, plan.steps, int(silu))
    _apply[plan.is_last](
        key, plan.grid, (x, scale, shift, found), numbers if plan.is_last else numbers[1:], plan.tile
    )
    return found, mean, rstd


def group_norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    groups: int,
    *,
    silu: bool,
) -> torch.Tensor | None:
    """Gradient of x; None where the kernels cannot."""
    plan = _plan(x)
    images, channels, height, breadth = x.shape
    width = channels // groups
    if plan is None or width > WIDTH:
        return None
    if grad.stride() != x.stride():
        grad = grad.contiguous(memory_format=torch.channels_last if plan.is_last else torch.contiguous_format)
    positions = height * breadth
    key = x.dtype, grad.dtype, weight.dtype, channels, positions
    found = torch.empty_like(x)
    plain = torch.empty(images, plan.parts, channels, dtype=torch.float32, device=x.device)
    along = torch.empty_like(plain)
    factors = torch.empty(5, images, channels, dtype=torch.float32, device=x.device)
    _sums[plan.is_last](
        key, plan.grid, (grad, x, mean, rstd, weight, bias, plain, along),
        (channels, positions, plan.steps, width, int(silu)), plan.tile,
    )  # fmt: skip
    _join_sums(
        key, (groups, images, 1), (plain, along, mean, rstd, weight, bias, factors),
        (channels, positions, plan.parts, width), (PARTS, WIDTH),
    )  # fmt: skip
    _spread[plan.is_last](
        key,
        plan.grid,
        (grad, x, factors, found),
        (channels, images, positions, plan.steps, int(silu)),
        plan.tile,
    )
    return found
