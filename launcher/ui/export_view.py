"""What an export wrote, what its reader must change, and what the training does without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.ui import console
from launcher.ui.formats import clean

if TYPE_CHECKING:
    from launcher.exporter import Exported

MOST_PATHS = 8


def show_export(exported: Exported, again: str) -> None:
    """The files, then what to look at before they are shared."""
    written = [path for path, _ in reversed(exported.files)]
    console.out(f"\n  Written: {clean(str(written[0]))}", "good")
    for path in written[1:]:
        console.out(f"  and with it {clean(path.name)}, in the same folder: it names the images")
    for name in exported.secrets:
        console.out(f"  Left out because it holds a secret: {clean(name)}", "warn")
    _open_ends(exported)
    console.out("\n  Without the launcher:", "strong")
    for text in exported.script.lost:
        console.out(f"  - {clean(text)}")
    console.out("\n  A preset of it again:", "strong")
    console.out(f"    {clean(again)}")


def _open_ends(exported: Exported) -> None:
    paths = list(dict.fromkeys(exported.paths))
    to_change = [path for path in paths if path.startswith("CHANGE-ME")]
    here = [path for path in paths if path not in to_change]
    if to_change:
        console.out("\n  To be filled in before it can train:", "warn")
        for path in to_change:
            console.out(f"    {clean(path)}")
    if here:
        console.out("\n  Paths of this computer are in it; look at them before you share it:", "strong")
        for path in here[:MOST_PATHS]:
            console.out(f"    {clean(path)}")
        if len(here) > MOST_PATHS:
            console.out(f"    and {len(here) - MOST_PATHS} more")
