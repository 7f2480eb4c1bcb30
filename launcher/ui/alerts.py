"""What the guard says, in the dashboard's and the plain watcher's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.ui import formats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.monitor import Alert, RunView

HELD = {"too-hot": "letting the card cool down", "on-battery": "waiting for mains power"}
MOST_SHOWN = 4  # the newest; more at once is one cause with many effects
SEVERE = frozenset({"disk-full", "card-lost", "loss-nan", "loss-stuck", "silent", "spill"})


def held_word(view: RunView) -> str:
    """What a held training waits for; empty when it is not held."""
    return HELD.get(view.held_for, "waiting") if view.held_for else ""


def shown(view: RunView) -> tuple[Alert, ...]:
    """The alerts that the picture has room for: those that stand; of a run that has ended the one that paused it."""
    standing = view.standing
    if not view.status.is_live:
        standing = tuple(alert for alert in standing if alert.act == "pause")
    return standing[-MOST_SHOWN:]


def alert_news(before: RunView | None, view: RunView) -> Iterator[str]:
    """What began and what is over since the last picture, as plain lines."""
    known = {(alert.kind, alert.began): alert for alert in before.alerts} if before is not None else {}
    for alert in view.alerts:
        old = known.get((alert.kind, alert.began))
        if old is None and alert.ended is None:
            yield f"warning: {formats.clean(alert.message)} {formats.clean(alert.fix)}".rstrip()
        elif alert.ended is not None and old is not None and old.ended is None:
            yield f"over: {alert.kind.replace('-', ' ')}, after {formats.duration(alert.ended - alert.began)}"
