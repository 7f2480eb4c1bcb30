"""The forecast of a run in one block: the card phase by phase against what is free, memory, disk, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from launcher.forecast import FITS, TOO_LARGE
from launcher.ui import formats
from launcher.ui.sheet import bar
from launcher.ui.tables import grid, inset

if TYPE_CHECKING:
    from rich.console import RenderableType

    from launcher.forecast import Card, Forecast
    from launcher.ui.palette import Glyphs

PHASES = {
    "latents": "caching images",
    "text": "caching captions",
    "training": "training",
    "sampling": "sample images",
}
BAR = 20
LOOKS = {FITS: ("success", "fits"), TOO_LARGE: ("error", "does not fit")}  # else tight


def forecast_view(found: Forecast, glyphs: Glyphs) -> RenderableType:
    """A few lines; empty parts are left out."""
    table = grid({"no_wrap": True, "style": "muted", "min_width": 10}, {"overflow": "fold"}, gap=3)
    if found.card is not None:
        _add_card(table, found.card, glyphs)
    if found.ram_mib is not None:
        table.add_row("RAM", _against(found.ram_mib, found.free_ram_mib or None))
    table.add_row("disk", _against(found.disk_mib, found.free_disk_mib))
    if found.pace is not None:
        table.add_row("time", _time(found))
    return inset(table)


def _add_card(table: object, card: Card, glyphs: Glyphs) -> None:
    role, word = LOOKS.get(card.verdict, ("warning", "tight"))
    head = Text.assemble(
        (f"about {formats.gib(card.need_mib)} GiB", "accent"), f" of {formats.gib(card.free_mib)} GiB free   ", (word, role),
    )  # fmt: skip
    table.add_row("VRAM", head)  # type: ignore[attr-defined]
    most = max(card.free_mib, card.need_mib, 1)
    for name, peak in card.phases.items():
        need = peak.reserved + card.context
        line = Text(f"{PHASES[name]:<17}{formats.gib(need):>5} ")
        is_peak = name == card.phase
        line.append_text(bar(need / most, BAR, glyphs, role if is_peak else "muted"))
        table.add_row("", line)  # type: ignore[attr-defined]
    named = [one.name if one.mib is None else f"{one.name} {formats.amount(one.mib)}" for one in card.holders]
    if named:
        table.add_row("", Text(f"held by {', '.join(map(formats.clean, named[:3]))}", style="muted"))  # type: ignore[attr-defined]
    for words in card.rough:
        table.add_row("", Text(f"roughly: {formats.clean(words)}", style="muted"))  # type: ignore[attr-defined]


def _against(need: float, free: float | None) -> Text:
    if free is None:
        return Text(f"about {formats.amount(need)}")
    role = "text" if need <= free else "warning"
    return Text.assemble(
        (f"about {formats.amount(need)}", role), (f" of {formats.amount(free)} free", "muted")
    )


def _time(found: Forecast) -> Text:
    pace = found.pace
    if pace is None:
        return Text()
    whole = formats.duration(found.total_s) if found.total_s else "length not known"
    return Text.assemble(
        f"about {whole}", (f"   {formats.step_time(pace.step_s)}, begins after {formats.duration(pace.start_s)}", "muted"),
        (f"   {formats.clean(pace.source)}", "muted"),
    )  # fmt: skip
