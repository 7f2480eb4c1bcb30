"""Exact lines of text for full-screen drawing: spans, two ends of a line, columns, bars, charts.

rich's tables measure and wrap on every frame; lines of known width are drawn in a tenth of the time and never wrap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from launcher.ui.curve import MARGIN, Canvas, overlay, plot, scatter, value_range
from launcher.ui.formats import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.ui.curve import Point
    from launcher.ui.palette import Glyphs

LABEL_WIDTH = 8  # columns left of a chart's axis
FULL_PART, HIGH_PART = 0.97, 0.90  # of a memory: from here on it is an alarm, or a warning
GREATEST_PLOT = 400  # columns; beyond, more dots tell nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Pen:
    """How to draw: columns, signs, and the moment that ages are counted from."""

    width: int
    glyphs: Glyphs
    now: float

    def narrowed(self, width: int) -> Pen:
        return replace(self, width=width)


def spans(*parts: str | tuple[str, str]) -> Text:
    """A line of plain strings and (text, role) pairs; foreign text is made harmless here."""
    text = Text(no_wrap=True, overflow="ellipsis", end="\n")
    for part in parts:
        raw, role = (part, "") if isinstance(part, str) else part
        text.append(clean(raw), role or None)
    return text


def crop(text: Text, width: int, glyphs: Glyphs) -> Text:
    """At most `width` columns of it, marked where it was cut."""
    if text.cell_len <= width:
        return text
    cut = text.copy()
    cut.truncate(max(width - len(glyphs.ellipsis), 0), overflow="crop")
    cut.append(glyphs.ellipsis if width > 0 else "", "muted")
    return cut


def spread(left: Text, right: Text, width: int, glyphs: Glyphs) -> Text:
    """Both ends of a line; when it is narrow the left end is cut, then the right one is left out."""
    room = width - right.cell_len - 2
    if room < width // 3:
        return crop(left, width, glyphs)
    line = crop(left, room, glyphs).copy()
    line.append(" " * (width - line.cell_len - right.cell_len))
    return line.append_text(right)


def join(parts: Sequence[Text], width: int, separator: str = "   ") -> Text:
    """As many parts as fit, in order; the first one always."""
    line = Text(no_wrap=True, end="\n")
    for part in parts:
        if line and line.cell_len + len(separator) + part.cell_len > width:
            break
        if line:
            line.append(separator)
        line.append_text(part)
    return line


def beside(
    left: Sequence[Text], right: Sequence[Text], left_width: int, gap: int, glyphs: Glyphs
) -> list[Text]:
    """Two columns; the left one is `left_width` wide."""
    rows = []
    for number in range(max(len(left), len(right))):
        line = crop(left[number], left_width, glyphs).copy() if number < len(left) else spans()
        if number < len(right):
            line.append(" " * (left_width + gap - line.cell_len))
            line.append_text(right[number])
        rows.append(line)
    return rows


def bar(part: float | None, width: int, glyphs: Glyphs, role: str = "accent") -> Text:
    """A bar of `width` columns filled to `part` (0 to 1)."""
    filled = round(min(max(part or 0.0, 0.0), 1.0) * width)
    if part and filled == 0:
        filled = 1
    return spans((glyphs.bar * filled, role), (glyphs.rest * (width - filled), "faint"))


def level_role(part: float) -> str:
    """The colour of a memory that is filled to `part`."""
    if part >= FULL_PART:
        return "bad"
    return "warn" if part >= HIGH_PART else "accent"


def chart(
    over: Sequence[Point], under: Sequence[Point], size: tuple[int, int], show: Callable[[float], str], glyphs: Glyphs,
) -> list[Text]:  # fmt: skip
    """A chart of `size` (columns, rows, its labels included): `over` as a line in colour, `under` behind it as grey dots.

    The last row names the first and last x. Empty list when there is nothing to draw or no room for it.
    """
    width, rows = min(size[0], GREATEST_PLOT) - LABEL_WIDTH - 1, size[1] - 1
    values = value_range([y for _, y in over], MARGIN if under else 0.0)
    if values is None or width < 10 or rows < 2 or len(over) < 2:
        return []
    span = (over[0][0], over[-1][0])
    layers = [Canvas(width, rows, glyphs.level) for _ in range(2)]
    plot(layers[0], over, span, values)
    scatter(layers[1], under, span, values)
    lines = []
    for number, row in enumerate(overlay(*layers)):
        lines.append(_label(number, rows, values, show, glyphs))
        _append_cells(lines[-1], row)
    first, last = f"{span[0]:.0f}", f"{span[1]:.0f}"
    foot = f"step {first}" + last.rjust(max(width - 5 - len(first), len(last)))
    return [*lines, spans((f"{'':>{LABEL_WIDTH - 1}}  {foot}", "muted"))]


def _label(
    row: int, rows: int, values: tuple[float, float], show: Callable[[float], str], glyphs: Glyphs
) -> Text:
    low, high = values
    words = {0: show(high), rows - 1: show(low)}
    if rows >= 7:
        words[rows // 2] = show(high - (high - low) * (rows // 2) / (rows - 1))
    return spans((f"{words.get(row, ''):>{LABEL_WIDTH - 1}} ", "muted"), (glyphs.axis, "faint"))


def _append_cells(line: Text, row: Sequence[tuple[str, int]]) -> None:
    """The cells of one row, neighbours of the same layer as one span."""
    roles = ("", "accent", "faint")
    begin = 0
    for column in range(1, len(row) + 1):
        if column == len(row) or row[column][1] != row[begin][1]:
            line.append("".join(char for char, _ in row[begin:column]), roles[row[begin][1]] or None)
            begin = column
