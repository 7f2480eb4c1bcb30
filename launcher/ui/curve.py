"""Curves from characters: braille (2 x 4 dots a cell), half blocks (1 x 2) or plain ASCII (1 x 1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]
BRAILLE_BASE = 0x2800
BRAILLE_DOTS = (
    (0x01, 0x08),
    (0x02, 0x10),
    (0x04, 0x20),
    (0x40, 0x80),
)  # [row][column], Unicode's own numbering
HALVES = (" ", "▀", "▄", "█")  # bit 0: upper half, bit 1: lower half
MARGIN = 0.3  # of the line's own range, above and below it: room for the dots of single steps
LEAST_SPAN = 0.04  # of the highest value: a line that hardly moves must not look like a mountain


class Canvas:
    """Dots on a grid of cells; y counts downwards. `level` is that of the glyphs: full, blocks or ascii."""

    def __init__(self, width: int, height: int, level: str) -> None:
        self.width, self.height, self.level = width, height, level
        self.per_x, self.per_y = {"full": (2, 4), "blocks": (1, 2)}.get(level, (1, 1))
        self.bits = [[0] * width for _ in range(height)]

    @property
    def size(self) -> tuple[int, int]:
        """Dots across and down."""
        return self.width * self.per_x, self.height * self.per_y

    def set(self, x: int, y: int) -> None:
        across, down = self.size
        if 0 <= x < across and 0 <= y < down:
            row, column = y % self.per_y, x % self.per_x
            bit = BRAILLE_DOTS[row][column] if self.level == "full" else 1 << row
            self.bits[y // self.per_y][x // self.per_x] |= bit

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """A connected line of dots (Bresenham's idea in floating point: few dots, so no need for more)."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            self.set(round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps))

    def char(self, row: int, column: int, ink: str) -> str:
        """The character of a cell, "" when it is empty; `ink` is what ASCII uses."""
        bits = self.bits[row][column]
        if not bits:
            return ""
        if self.level == "full":
            return chr(BRAILLE_BASE + bits)
        return HALVES[bits] if self.level == "blocks" else ink


def value_range(line: Sequence[float], margin: float = MARGIN) -> tuple[float, float] | None:
    """The range to draw: all of the line with a margin (a part of it), never empty, never below zero for what is positive.

    Of the line only: the loss of single steps scatters ten times wider than its average moves.
    None without a finite value.
    """
    found = [value for value in line if math.isfinite(value)]
    if not found:
        return None
    low, high = min(found), max(found)
    room = (high - low) * margin
    if high - low < (least := (abs(high) or 1.0) * LEAST_SPAN):
        room = least
    return (max(low - room, 0.0) if low >= 0 else low - room), high + room


def plot(
    canvas: Canvas, points: Sequence[Point], span: tuple[float, float], values: tuple[float, float]
) -> None:
    """Draw points as a connected line; x in `span`, y in `values`, clipped to them; a NaN breaks the line."""
    across, down = canvas.size
    before: tuple[int, int] | None = None
    for x, y in points:
        if not math.isfinite(y):
            before = None
            continue
        column = _scale(x, span, across)
        row = down - 1 - _scale(y, values, down)
        canvas.line(*(before or (column, row)), column, row)
        before = column, row


def scatter(
    canvas: Canvas, points: Sequence[Point], span: tuple[float, float], values: tuple[float, float]
) -> None:
    """Draw points as single dots; what lies outside `values` is left out."""
    across, down = canvas.size
    for x, y in points:
        if values[0] <= y <= values[1]:
            canvas.set(_scale(x, span, across), down - 1 - _scale(y, values, down))


def _scale(value: float, limits: tuple[float, float], dots: int) -> int:
    low, high = limits
    part = (value - low) / (high - low) if high > low else 0.5
    return round(min(max(part, 0.0), 1.0) * (dots - 1))


def overlay(over: Canvas, under: Canvas) -> list[list[tuple[str, int]]]:
    """Cells of two canvases as (character, layer): 1 from `over`, 2 from `under` where the former is empty, 0 blank."""
    rows = []
    for row in range(over.height):
        cells: list[tuple[str, int]] = []
        for column in range(over.width):
            if char := over.char(row, column, "*"):
                cells.append((char, 1))
            elif char := under.char(row, column, "."):
                cells.append((char, 2))
            else:
                cells.append((" ", 0))
        rows.append(cells)
    return rows
