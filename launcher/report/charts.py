"""Line charts as inline SVG: pure functions of their points.

The plot stretches to any width, its strokes and words do not: the curves live in a nested SVG with coordinates of its
own, while ticks and labels stand at percentages of the outer one. So a phone shows the same chart with readable words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from launcher.report.scales import UNITS, Scale, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

XY = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A curve in pieces (one for each run of a chain). `kind` is its CSS class: main, raw."""

    pieces: tuple[tuple[XY, ...], ...]
    kind: str = "main"
    has_area: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A vertical line with a word at its top, such as a resume."""

    x: float
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    scale: Scale
    label: str
    write: Callable[[float], str]
    wanted_ticks: int = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart; `hover` are places with the words to show there, `limit` is a dashed line such as the card's memory."""

    description: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    limit: tuple[float, str] | None = None
    hover: tuple[tuple[float, float, str], ...] = ()


def draw(chart: Chart) -> Markup:
    """The chart as SVG markup; every word in it is escaped."""
    data = json.dumps([[*_place(chart, (x, y)), words] for x, y, words in chart.hover], separators=(",", ":"))
    return Markup(
        '<svg class="plot" role="img" aria-label="{}" data-points="{}">{}{}{}{}{}'
        '<line class="cross" y1="0" y2="100%" /><circle class="dot" r="4" /></svg>'
    ).format(
        chart.description,
        data,
        Markup("").join(_y_tick(chart.y, value) for value in ticks(chart.y.scale, chart.y.wanted_ticks)),
        _x_ticks(chart.x),
        _curves(chart),
        Markup("").join(_mark(chart, mark) for mark in chart.marks),
        _limit(chart),
    )


def _place(chart: Chart, point: XY) -> tuple[float, float]:
    """From the left and from the top, in plot units."""
    return round(chart.x.scale.at(point[0]), 1), round(UNITS - chart.y.scale.at(point[1]), 1)


def _percent(units: float) -> str:
    return f"{units / UNITS * 100:.2f}%"


def _y_tick(axis: Axis, value: float) -> Markup:
    at = _percent(UNITS - axis.scale.at(value))
    return Markup(
        '<line class="grid" x2="100%" y1="{0}" y2="{0}" />'
        '<text class="tick" x="-8" y="{0}" dy="0.32em" text-anchor="end">{1}</text>'
    ).format(at, axis.write(value))


def _x_ticks(axis: Axis) -> Markup:
    values = ticks(axis.scale, axis.wanted_ticks)
    name = Markup('<text class="axis" x="100%" y="100%" dy="3em" text-anchor="end">{}</text>').format(
        axis.label
    )
    return name + Markup("").join(
        Markup(
            '<line class="notch" x1="{0}" x2="{0}" y1="100%" y2="100%" />'
            '<text class="tick{2}" x="{0}" y="100%" dy="1.55em" text-anchor="{3}">{1}</text>'
        ).format(
            _percent(axis.scale.at(value)),
            axis.write(value),
            " spare" if at % 2 else "",  # a narrow screen hides every second one
            _anchor(axis.scale.at(value)),
        )
        for at, value in enumerate(values)
    )


def _anchor(units: float) -> str:
    """Words at the right edge grow to the left, so that nothing is cut off."""
    return "end" if units > UNITS * 0.97 else "middle"


def _mark(chart: Chart, mark: Mark) -> Markup:
    at = chart.x.scale.at(mark.x)
    is_right = at > UNITS * 0.75
    return Markup(
        '<g class="mark"><line x1="{0}" x2="{0}" y1="0" y2="100%" />'
        '<text x="{0}" dx="{2}" y="1em" text-anchor="{3}">{1}</text></g>'
    ).format(_percent(at), mark.label, -6 if is_right else 6, "end" if is_right else "start")


def _curves(chart: Chart) -> Markup:
    paths = Markup("").join(
        _path(chart, piece, line) for line in chart.lines for piece in line.pieces if piece
    )
    return Markup(
        '<svg viewBox="0 0 {0} {0}" preserveAspectRatio="none" width="100%" height="100%">{1}</svg>'
    ).format(int(UNITS), paths)


def _path(chart: Chart, piece: Sequence[XY], line: Line) -> Markup:
    places = [_place(chart, point) for point in piece]
    if len(places) == 1:
        places.append((places[0][0] + 1, places[0][1]))  # a lone point is still to be seen
    steps = "L".join(f"{x:g} {y:g}" for x, y in places)
    curve = Markup('<path class="line {}" d="M{}" />').format(line.kind, steps)
    if not line.has_area:
        return curve
    floor = int(UNITS)
    area = f"M{places[0][0]:g} {floor}L{steps}L{places[-1][0]:g} {floor}Z"
    return Markup('<path class="area" d="{}" />').format(area) + curve


def _limit(chart: Chart) -> Markup:
    if chart.limit is None:
        return Markup("")
    value, label = chart.limit
    at = _percent(UNITS - chart.y.scale.at(value))
    return Markup(
        '<g class="limit"><line x2="100%" y1="{0}" y2="{0}" />'
        '<text x="100%" y="{0}" dy="-0.5em" text-anchor="end">{1}</text></g>'
    ).format(at, label)
