"""From a finished run's files to numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.bench.variants import WARM_UP
from launcher.events import read_events
from launcher.history import load_run
from launcher.monitor import Boost, boosts_in
from launcher.monitor.values import number

if TYPE_CHECKING:
    from launcher.events import Event
    from launcher.paths import RunPaths

CACHING = frozenset({"cache_latents", "cache_text_encoder_outputs"})
TRAINING = "train_loop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One run. `seconds` of each counted step; `vram_mib` is what torch reserved at the most while training; None: no card, or the run did not get there.

    `first_s` is the time from the start to the end of the first step, without the caching: that is done once, not at each start.
    """

    variant: str
    seconds: tuple[float, ...]
    vram_mib: float | None = None
    first_s: float | None = None
    boosts: tuple[Boost, ...] = ()
    ops: str = ""
    torch: str = ""


def measure(run: RunPaths, variant: str) -> Measured:
    """What the events of a run say, finished or not."""
    events = [event for event, _ in read_events(run.events)]
    told = next((event for event in events if event["type"] == "boosts"), {})
    start = next((event for event in events if event["type"] == "start"), {})
    return Measured(
        variant=variant, seconds=tuple(_seconds(events)), vram_mib=_vram(events), first_s=_first(run, events),
        boosts=boosts_in(told), ops=str(told.get("ops") or ""), torch=str(start.get("torch") or ""),
    )  # fmt: skip


def _seconds(events: list[Event]) -> list[float]:
    steps = [event for event in events if event["type"] == "step"][WARM_UP:]
    found = [number(event.get("seconds")) for event in steps]
    return [one for one in found if one is not None and one > 0]


def _vram(events: list[Event]) -> float | None:
    """The peak of the training phase; of one that did not end, the most that was reserved behind a step."""
    ends = [number(it.get("peak_vram_mib")) for it in events if _ends(it) and it.get("name") == TRAINING]
    steps = [number(it.get("vram_mib")) for it in events if it["type"] == "step"]
    return max((mib for mib in (*ends, *steps) if mib is not None), default=None)


def _first(run: RunPaths, events: list[Event]) -> float | None:
    first = next((number(event.get("t")) for event in events if event["type"] == "step"), None)
    if first is None:
        return None
    cached = sum(number(it.get("seconds")) or 0.0 for it in events if _ends(it) and it.get("name") in CACHING)
    seconds = first - load_run(run.folder).created - cached
    return seconds if seconds > 0 else None


def _ends(event: dict[str, Any]) -> bool:
    return event["type"] == "phase" and event.get("state") == "end"
