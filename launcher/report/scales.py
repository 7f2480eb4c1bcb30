"""Axes: from numbers to places, and the ticks a person would have drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
LEAST_RANGE = 1e-9  # beside its values a range must be at least so long, or ticks drown in rounding
SMALLEST = 1e-9  # of a value that is not nothing: learning rates are larger
UNITS = 1000.0  # the plot's own coordinates, in both directions


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A range of values laid over 0..UNITS."""

    low: float
    high: float

    def at(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low) * UNITS


def scale(low: float, high: float, *, margin: float = 0.0) -> Scale:
    """A range that is never empty, with a margin at both ends as a part of its length."""
    if not high - low > LEAST_RANGE * max(abs(low), abs(high), SMALLEST):
        room = abs(low) * 0.1 if abs(low) > SMALLEST else 1.0
        low, high = low - room, low + room
    room = (high - low) * margin
    return Scale(low=low - room, high=high + room)


def ticks(over: Scale, wanted: int) -> tuple[float, ...]:
    """About `wanted` round values inside the range: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    rough = (over.high - over.low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice for nice in NICE if nice * power >= rough * 0.999) * power
    first = math.ceil(over.low / step - 1e-9)
    last = math.floor(over.high / step + 1e-9)
    return tuple(round(at * step, 20) + 0.0 for at in range(first, last + 1))


def ceiling(values: list[float], *, room: float) -> float:
    """The top of an axis that outliers do not flatten: the largest value, at most `room` times the 95th percentile."""
    ordered = sorted(values)
    usual = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return min(ordered[-1], usual * room) if usual > 0 else ordered[-1]
