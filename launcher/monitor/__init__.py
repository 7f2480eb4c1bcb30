"""What a run is doing, read from its folder alone: incremental, in bounded memory, by any number of readers."""

from __future__ import annotations

from launcher.monitor.boosts import boosts_in
from launcher.monitor.reader import RunMonitor
from launcher.monitor.view import Alert, Boost, Failure, RunView, Sample, Save, Span, State, Warn

__all__ = [
    "Alert",
    "Boost",
    "Failure",
    "RunMonitor",
    "RunView",
    "Sample",
    "Save",
    "Span",
    "State",
    "Warn",
    "boosts_in",
]
