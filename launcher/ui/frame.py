"""One picture of a run as lines of a given size: a pure function of the view. `parts` draws, this module arranges."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group

from launcher.ui import parts
from launcher.ui.alerts import shown
from launcher.ui.meters import meters
from launcher.ui.palette import FULL, Glyphs
from launcher.ui.sheet import Pen, beside, crop, spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from launcher.monitor import RunView

LEAST_WIDE_HEIGHT = 16
TWO_CHARTS = 18  # rows from which the learning rate gets a chart of its own
WIDE = 108  # columns from which a second column is worth more than a wider curve
SIDE_WIDTH = 50
LEAST_CHART, GOOD_CHART, MOST_CHART = 5, 8, 24  # rows, with title and labels
MARGIN = 1
GAP = 4


@dataclass(slots=True)
class Section:
    """Lines that belong together; `keep` of them stay when room is short."""

    lines: list[Text]
    keep: int


def render(
    view: RunView,
    width: int,
    height: int,
    *,
    glyphs: Glyphs = FULL,
    now: float | None = None,
    note: str = "",
    is_full_screen: bool = False,
) -> Group:
    """The dashboard, at most `height` lines of at most `width` columns.

    `now` (seconds since the epoch) ages the times; `note` replaces the last line (a request that is under way);
    `is_full_screen` keeps that line at the bottom, however little there is to show above it.
    """
    return Group(
        *compose(view, width, height, glyphs=glyphs, now=now, note=note, is_full_screen=is_full_screen)
    )


def compose(
    view: RunView,
    width: int,
    height: int,
    *,
    glyphs: Glyphs = FULL,
    now: float | None = None,
    note: str = "",
    is_full_screen: bool = False,
) -> list[Text]:
    """The lines of `render`."""
    pen = Pen(width=width - 2 * MARGIN, glyphs=glyphs, now=time.time() if now is None else now)
    arrange = _wide if width >= WIDE and height >= LEAST_WIDE_HEIGHT else _narrow
    lines = arrange(view, pen, height - 1)[: max(height - 1, 0)]
    missing = height - 1 - len(lines)
    if missing > 0:
        lines += [spans()] * (missing if is_full_screen else 1)
    lines.append(parts.footer(view, pen, note))
    return [crop(spans(" " * MARGIN).append_text(line), width, glyphs) for line in lines]


def _narrow(view: RunView, pen: Pen, height: int) -> list[Text]:
    """Everything below each other; the chart takes what is left."""
    head = Section(parts.head(view, pen), 1)
    progress = Section(parts.progress(view, pen), 2)
    machine = Section(meters(view, pen), 2)
    files = Section(parts.files(view, pen), 1)
    messages = Section(parts.messages(view, pen), 7 if parts.has_failed(view) else 3 if shown(view) else 1)
    sections = [head, progress, machine, files, messages]
    _shrink([files, messages, head, machine], sections, height - LEAST_CHART)
    _shrink([files, messages, machine, progress], sections, height, to=0)
    room = height - sum(len(section.lines) for section in sections)
    gaps = 5 if room - 5 >= GOOD_CHART else 3
    chart = (
        parts.loss_chart(view, pen, min(room - gaps, MOST_CHART))
        or parts.loss_chart(view, pen, min(room, MOST_CHART))
        or (parts.loss_line(view, pen) or parts.preparation(view, pen))[: max(room, 0)]
    )
    blocks = [head.lines, progress.lines, chart, machine.lines, [*files.lines, *messages.lines]]
    return _stack([block for block in blocks if block], height - 1)


def _wide(view: RunView, pen: Pen, height: int) -> list[Text]:
    """Charts on the left, numbers on the right, head and progress above both."""
    top = [*parts.head(view, pen), spans(), *parts.progress(view, pen), spans()]
    rows = height - len(top) - 1
    side = pen.narrowed(SIDE_WIDTH)
    right: list[Text] = []
    for block in (meters(view, side), parts.files(view, side), parts.messages(view, side)):
        right += [*([spans()] if right and block else []), *block]
    main = pen.narrowed(pen.width - SIDE_WIDTH - GAP)
    has_second = rows >= TWO_CHARTS and len(view.lrs) > 1
    left = parts.loss_chart(view, main, min(rows * 2 // 3 if has_second else rows, MOST_CHART)) or [
        *parts.loss_line(view, main),
        *parts.preparation(view, main),
    ]
    if has_second:
        left += [spans(), *parts.rate_chart(view, main, min(rows - len(left) - 1, MOST_CHART // 2))]
    return [*top, *beside(left[:rows], right[:rows], main.width, GAP, pen.glyphs)]


def _shrink(
    order: Sequence[Section], sections: Sequence[Section], height: int, to: int | None = None
) -> None:
    """Cut sections, in `order`, down to what they must keep until all fit in `height`."""
    for section in order:
        over = sum(len(one.lines) for one in sections) - height
        if over <= 0:
            return
        least = section.keep if to is None else to
        section.lines = section.lines[: max(len(section.lines) - over, least)]


def _stack(blocks: Sequence[list[Text]], height: int) -> list[Text]:
    """Blocks with as many blank lines between them as there is room for; the last ones get theirs first."""
    spare = height - sum(len(block) for block in blocks)
    lines: list[Text] = []
    for number in range(len(blocks) - 1, -1, -1):
        if lines and spare > 0:
            lines.insert(0, spans())
            spare -= 1
        lines = [*blocks[number], *lines]
    return lines
