"""The end of a run that did not succeed: what happened, what to do, what survives, and a key for each way to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from launcher.failures import UNKNOWN
from launcher.paths import command
from launcher.ui import console
from launcher.ui.formats import clean, fit, wrap
from launcher.ui.menu import progress
from launcher.ui.tables import inset, lines_of

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from launcher.ending import Ending, Offer
    from launcher.history import RunRecord
    from launcher.ui.palette import Glyphs

LOG_KEY = "l"


def end_note(record: RunRecord, ending: Ending, glyphs: Glyphs, *, width: int = 80) -> RenderableType:
    """Everything but the keys; what was said takes one line: the log has it whole."""
    found = ending.explanation
    what = found.what if found else "The process is gone."
    where = f" at step {progress(record)}" if record.step else ""
    table = Table.grid(padding=0)
    table.add_column(width=2)
    table.add_column(overflow="fold")
    table.add_row(
        Text(glyphs.cross, "bad.strong"), Text.assemble((clean(record.name), "strong"), (f" ended{where}", "muted"))
    )  # fmt: skip
    table.add_row("", lines_of(what, "bad.strong"))
    if found is not None:
        table.add_row("", lines_of(found.why, "muted"))
        if found.said and found.kind != UNKNOWN and found.said not in found.why:
            table.add_row(
                "", lines_of(fit(f"It said: {found.said}", max(width - 6, 20), glyphs.ellipsis), "muted")
            )
        table.add_row("", Text.assemble((f"{glyphs.arrow} ", "accent"), lines_of(found.fix)))
    if ending.survives:
        table.add_row("", lines_of(ending.survives))
    return inset(table)


def offer_lines(offers: tuple[Offer, ...], width: int = 80) -> list[Text]:
    """A key for each offer, and below it the command that does the same: one line, however long, so that it can be copied."""
    lines = []
    for offer in offers:
        first, *rest = wrap(clean(offer.title), max(width - 6, 20))
        lines.append(Text.assemble((f"  {offer.key.upper()}  ", "key"), first))
        lines += [Text(f"     {line}") for line in rest]
        lines.append(Text(f"     {clean(command(*offer.words))}", "muted"))
    lines.append(Text.assemble((f"  {LOG_KEY.upper()}  ", "key"), "See the raw log"))
    lines.append(Text("     Any other key leaves it as it is.", "muted"))
    return lines


def ask_offer(record: RunRecord, ending: Ending, log: Path) -> Offer | None:
    """Show the end and wait for a key; None when the person leaves it at that."""
    from launcher.ui.log_view import ask_key, page, read_tail

    screen = console.get_console()
    console.show(end_note(record, ending, console.signs(), width=screen.width))
    while True:
        screen.print()
        for line in offer_lines(ending.offers, screen.width):
            screen.print(line, soft_wrap=True)
        key = ask_key().lower()
        if key == LOG_KEY:
            page(read_tail(log), str(log))
            continue
        return next((offer for offer in ending.offers if offer.key == key), None)
