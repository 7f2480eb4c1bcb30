"""How long the phases took in the last runs of the same trainer: what is usual on this computer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.events import parse_event
from launcher.monitor.values import number, text
from launcher.paths import RunPaths

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 5
HEAD_BYTES = 256 << 10  # the phases before the first step; the progress of a big cache is some hundred lines


def usual_phases(run: RunPaths, trainer_class: str) -> dict[str, float]:
    """The longest of each phase, in seconds. Costs the head of a few files, once."""
    longest: dict[str, float] = {}
    for other in _earlier(run):
        found = _phases(other, trainer_class)
        for name, seconds in found.items():
            longest[name] = max(longest.get(name, 0.0), seconds)
    return longest


def _earlier(run: RunPaths) -> Iterator[RunPaths]:
    """The newest runs beside this one: names begin with the time."""
    try:
        names = sorted(os.listdir(run.folder.parent), reverse=True)  # noqa: PTH208  (thousands of runs: names will do)
    except OSError:
        return
    others = [name for name in names if name != run.folder.name and not name.startswith(".")]
    for name in others[:RUNS]:
        yield RunPaths(folder=run.folder.parent / name)


def _phases(run: RunPaths, trainer_class: str) -> dict[str, float]:
    try:
        with run.events.open("rb") as stream:
            events = [event for line in stream.read(HEAD_BYTES).splitlines() if (event := parse_event(line))]
    except OSError:
        return {}
    if not any(event["type"] == "start" and event.get("trainer") == trainer_class for event in events):
        return {}
    ends = [event for event in events if event["type"] == "phase" and event.get("state") == "end"]
    timed = {text(event.get("name")): number(event.get("seconds")) for event in ends}
    return {name: seconds for name, seconds in timed.items() if seconds is not None and name != "train_loop"}
