"""Which curves a run has, over all its resumed parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.report import words
from launcher.report.charts import Axis, Chart, Line, Mark, draw
from launcher.report.scales import ceiling, scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from launcher.monitor import RunView

LOSS_ROOM = 2.2  # single steps scatter by a factor of two; the average is what one wants to see
NEARLY = 1.2  # not worth cutting a curve for less
OUTLIER_ROOM = 1.6  # how far above the usual values an axis still reaches
MINUTE_S = 60.0
HOUR_S = 3600.0
MIB_IN_GIB = 1024.0

Pieces = tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class XAxis:
    """A horizontal axis and how a place on it is said in words."""

    axis: Axis
    say: Callable[[float], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A drawn chart with its heading, the legend's entries (word, CSS class) and a remark."""

    title: str
    unit: str
    svg: Markup
    note: str = ""
    legend: tuple[tuple[str, str], ...] = ()


def step_figures(views: Sequence[RunView]) -> tuple[Figure, ...]:
    """Loss, learning rate and step time over absolute steps; what a resume repeated is shown once."""
    ends = _valid_until(views)
    marks = tuple(Mark(x=view.resumed_step, label=f"resumed at {view.resumed_step:,}") for view in views[1:])
    silent = tuple(Mark(x=mark.x, label="") for mark in marks)  # said once, in the large chart
    losses = _until(tuple(view.losses for view in views), ends)
    figures = [_loss_figure(losses, marks)] if any(losses) else []
    for title, unit, curves, write in (
        ("Learning rate", "", tuple(view.lrs for view in views), words.learning_rate),
        ("Seconds per step", "s", tuple(view.step_times for view in views), words.number),
    ):
        pieces = _until(curves, ends)
        if write is words.learning_rate:  # a resume continues the schedule: no gap where nothing happened
            pieces = (tuple(point for piece in pieces for point in piece),)
        if any(pieces):
            figures.append(
                _plain_figure(title, unit, pieces, marks=silent, write=write, x=_step_axis(pieces))
            )
    return tuple(figures)


def machine_figures(views: Sequence[RunView]) -> tuple[Figure, ...]:
    """VRAM and temperature over the time of training; memory of the machine when there is no GPU."""
    vram = _on_one_clock(views, [view.vram for view in views])
    if not any(vram):
        ram = _on_one_clock(views, [view.rams for view in views])
        return (_memory_figure("Memory of the training", ram, None),) if any(ram) else ()
    total = next((view.vram_total_mib for view in reversed(views) if view.vram_total_mib), None)
    figures = [_memory_figure("VRAM in use", vram, total)]
    heat = _on_one_clock(views, [view.temperatures for view in views])
    if any(heat):
        timed, x = _timed(heat)
        figures.append(_plain_figure("GPU temperature", "°C", timed, write=words.number, x=x))
    return tuple(figures)


def _valid_until(views: Sequence[RunView]) -> list[float]:
    """Per run the last step that the later ones built upon: what came after was done again."""
    ends = [float("inf")]
    for after in reversed(views[1:]):
        ends.append(min(ends[-1], float(after.resumed_step)))
    return ends[::-1]


def _until(curves: Sequence[Sequence[tuple[float, ...]]], ends: list[float]) -> Pieces:
    return tuple(
        tuple(point for point in curve if point[0] <= end) for curve, end in zip(curves, ends, strict=True)
    )


def _on_one_clock(views: Sequence[RunView], curves: Sequence[Sequence[tuple[float, float]]]) -> Pieces:
    """Time of training from 0, the pauses between runs left out."""
    pieces = []
    before = 0.0
    for view, curve in zip(views, curves, strict=True):
        origin = min([point[0] for point in curve] + ([view.started] if view.started else []), default=0.0)
        moved = tuple((before + time - origin, value) for time, value in curve)
        before = max([point[0] for point in moved], default=before)
        pieces.append(moved)
    return tuple(pieces)


def _loss_figure(losses: Pieces, marks: tuple[Mark, ...]) -> Figure:
    points = [point for piece in losses for point in piece]
    raw = [point[1] for point in points]
    averages = [point[2] for point in points]
    top = ceiling(averages, room=1.0) * LOSS_ROOM
    if max(raw) < top * NEARLY:
        top = max(raw)
    hidden = sum(value > top for value in raw)
    y_scale = scale(min(0.0, *raw), top, margin=0.02)
    chart = Chart(
        description=f"Average loss from {words.number(averages[0])} at step {points[0][0]:,.0f} "
        f"to {words.number(averages[-1])} at step {points[-1][0]:,.0f}",
        x=_step_axis(losses).axis,
        y=Axis(scale=y_scale, label="loss", write=words.number),
        lines=(
            Line(pieces=tuple(tuple((p[0], p[1]) for p in piece) for piece in losses), kind="raw"),
            Line(pieces=tuple(tuple((p[0], p[2]) for p in piece) for piece in losses)),
        ),
        marks=marks,
        hover=tuple(
            (p[0], p[2], f"step {p[0]:,.0f}\naverage {words.number(p[2])}\nloss {words.number(p[1])}")
            for p in points
        ),
    )
    note = (
        f"{words.plural(hidden, 'peak')} above the frame, up to {words.number(max(raw))}." if hidden else ""
    )
    legend = (("average", "main"), ("single steps", "raw"))
    return Figure(title="Loss", unit="", svg=draw(chart), note=note, legend=legend)


def _plain_figure(
    title: str,
    unit: str,
    pieces: Pieces,
    *,
    x: XAxis,
    write: Callable[[float], str],
    marks: tuple[Mark, ...] = (),
) -> Figure:
    points = [point for piece in pieces for point in piece]
    values = [point[1] for point in points]
    y_scale = scale(min(0.0, *values), ceiling(values, room=OUTLIER_ROOM), margin=0.04)
    if unit == "°C":  # nobody reads a temperature from zero
        y_scale = scale(min(values), max(values), margin=0.12)
    end = f" {unit}" if unit else ""
    chart = Chart(
        description=f"{title}: {write(min(values))} to {write(max(values))}{end}",
        x=x.axis,
        y=Axis(scale=y_scale, label=unit, write=write, wanted_ticks=4),
        lines=(Line(pieces=_pairs(pieces), has_area=True),),
        marks=marks,
        hover=tuple((p[0], p[1], f"{x.say(p[0])}\n{write(p[1])}{end}") for p in points),
    )
    return Figure(title=title, unit=unit, svg=draw(chart))


def _memory_figure(title: str, pieces: Pieces, total_mib: float | None) -> Figure:
    timed, x = _timed(pieces)
    gib: Pieces = tuple(tuple((p[0], p[1] / MIB_IN_GIB) for p in piece) for piece in timed)
    points = [point for piece in gib for point in piece]
    peak = max(point[1] for point in points)
    limit = None if total_mib is None else total_mib / MIB_IN_GIB
    chart = Chart(
        description=f"{title}: at most {words.number(peak)} GiB",
        x=x.axis,
        y=Axis(
            scale=scale(0.0, max(peak, limit or 0.0) * 1.12), label="GiB", write=words.number, wanted_ticks=4
        ),
        lines=(Line(pieces=_pairs(gib), has_area=True),),
        limit=None if limit is None else (limit, f"{words.number(limit)} GiB on the card"),
        hover=tuple((p[0], p[1], f"{x.say(p[0])}\n{p[1]:.2f} GiB") for p in points),
    )
    return Figure(
        title=title,
        unit="GiB",
        svg=draw(chart),
        note="With everything else that used the card." if limit else "",
    )


def _pairs(pieces: Pieces) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(tuple((point[0], point[1]) for point in piece) for piece in pieces)


def _step_axis(pieces: Pieces) -> XAxis:
    steps = [point[0] for piece in pieces for point in piece]
    axis = Axis(scale=scale(min(0.0, *steps), max(steps)), label="step", write=lambda step: f"{step:,.0f}")
    return XAxis(axis=axis, say=lambda step: f"step {step:,.0f}")


def _timed(pieces: Pieces) -> tuple[Pieces, XAxis]:
    """Elapsed seconds in the unit that keeps the numbers small, and the axis for them."""
    last = max(point[0] for piece in pieces for point in piece)
    unit, name = (1.0, "seconds")
    if last >= 3 * MINUTE_S:
        unit, name = (MINUTE_S, "minutes") if last < 3 * HOUR_S else (HOUR_S, "hours")
    axis = Axis(scale=scale(0.0, last / unit), label=name, write=words.number)
    in_unit = tuple(tuple((point[0] / unit, point[1]) for point in piece) for piece in pieces)
    return in_unit, XAxis(axis=axis, say=lambda value: words.duration(value * unit))
