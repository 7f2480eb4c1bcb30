"""The machine in the dashboard: memory of card and computer, temperature, power, disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.ui import formats
from launcher.ui.sheet import Pen, bar, beside, crop, join, level_role, spans

if TYPE_CHECKING:
    from rich.text import Text

    from launcher.monitor import RunView

LABEL, REMARK = 6, 8  # columns
WIDEST_BAR = 24
LOW_DISK_MIB = 2048  # from here on the next state may not fit
TWO_COLUMNS = 70  # columns from which meters stand side by side


def meters(view: RunView, pen: Pen) -> list[Text]:
    """Memory of card and computer as bars, temperature, power, disk. Without a card its cells are left out.

    Of a run that has ended only the peak: how warm the card was then is no news, and the disk has changed since.
    """
    if not view.status.is_live:
        if view.vram_peak_mib is None:
            return []
        return [_meter("VRAM", view.vram_peak_mib, view.vram_total_mib, "peak", pen) or spans()]
    is_double = pen.width >= TWO_COLUMNS
    half = pen.narrowed((pen.width - 4) * 3 // 5 if is_double else pen.width)
    left = [
        _meter("VRAM", view.vram_used_mib, view.vram_total_mib, _peak("peak", view.vram_peak_mib), half),
        _meter("RAM", view.ram_used_mib, view.ram_total_mib, _peak("run", view.ram_mib), half),
    ]
    bars = [line for line in left if line is not None]
    facts = [line for line in (_gpu(view, pen), _disk(view)) if line is not None]
    if is_double and bars:
        rows = beside(bars, facts, half.width, 4, pen.glyphs)
    else:
        is_short = sum(line.cell_len + 3 for line in facts) <= pen.width
        rows = [*bars, *([join(facts, pen.width)] if facts and is_short else facts)]
    return [crop(line, pen.width, pen.glyphs) for line in rows]


def _peak(word: str, mib: float | None) -> str:
    return "" if mib is None else f"{word} {formats.gib(mib)}"


def _meter(label: str, used: float | None, total: float | None, remark: str, pen: Pen) -> Text | None:
    if used is None or not total:
        return spans((f"{label:<{LABEL}}", "muted"), (remark, "text")) if remark else None
    amount = f"{formats.gib(used):>4} / {formats.gib(total):>4} GiB"
    tail = f"  {remark:<{REMARK}}"
    line = spans((f"{label:<{LABEL}}", "muted"), (f"{amount}  ", "text"))
    room = pen.width - line.cell_len - len(tail)
    if room >= 6:
        line.append_text(bar(used / total, min(room, WIDEST_BAR), pen.glyphs, level_role(used / total)))
    return crop(line.append(tail, "muted"), pen.width, pen.glyphs)


def _gpu(view: RunView, pen: Pen) -> Text | None:
    facts = [
        "" if view.temperature_c is None else f"{view.temperature_c:.0f} {pen.glyphs.degree}",
        "" if view.power_w is None else f"{view.power_w:.0f} W",
        "" if view.utilisation_pct is None else f"{view.utilisation_pct:.0f} %",
    ]
    if not any(facts):
        return None
    line = spans(
        (f"{'GPU':<{LABEL}}", "muted"), f" {pen.glyphs.between} ".join(fact for fact in facts if fact)
    )
    return line.append(f"  slowed: {formats.clean(view.throttle)}", "warn") if view.throttle else line


def _disk(view: RunView) -> Text | None:
    if view.disk_free_mib is None:
        return None
    role = "bad" if view.disk_free_mib < LOW_DISK_MIB else "text"
    return spans((f"{'disk':<{LABEL}}", "muted"), (f"{formats.amount(view.disk_free_mib)} free", role))
