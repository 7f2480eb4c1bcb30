"""What `warnings.jsonl` adds up to: alerts of the supervisor's guard, each with its begin and its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.monitor.values import number, text, whole
from launcher.monitor.view import Alert

KEPT = 200  # a run whose card gets hot every five minutes has as many in a night


class Alerts:
    """The last ones, in the order in which they began."""

    def __init__(self) -> None:
        self._alerts: list[Alert] = []

    def take(self, event: dict[str, Any]) -> None:
        """Add one event; malformed ones change nothing."""
        time, kind = number(event.get("t")), text(event.get("kind"))
        if time is None or not kind or event.get("type") != "warning":
            return
        if event.get("state") == "end":
            self._end(kind, time)
        elif event.get("state") == "begin" and text(event.get("message")):
            self._alerts = [*self._alerts[-KEPT + 1 :], Alert(
                kind=kind, message=text(event.get("message")), fix=text(event.get("fix")), act=text(event.get("act")),
                step=whole(event.get("step")) or 0, began=time,
            )]  # fmt: skip

    def _end(self, kind: str, time: float) -> None:
        for at in range(len(self._alerts) - 1, -1, -1):
            alert = self._alerts[at]
            if alert.kind == kind and alert.ended is None:
                self._alerts[at] = replace(alert, ended=time)
                return

    def all(self) -> tuple[Alert, ...]:
        return tuple(self._alerts)
