"""What the guard saw happen while the runs of a chain trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.report import words
from launcher.report.content import Row, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.report.content import Part


def alert_rows(parts: Sequence[Part]) -> tuple[Row, ...]:
    """What the guard saw happen: when and at which step it began, what it was, how long it lasted."""
    return tuple(
        Row(
            name=words.moment(alert.began), value=said(alert.message),
            source=f"step {alert.step:,}, " + ("until the end" if alert.ended is None else f"for {words.duration(alert.ended - alert.began)}"),
            why=said(alert.fix),
        )
        for part in parts
        for alert in part.view.alerts
    )  # fmt: skip
