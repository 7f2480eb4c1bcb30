"""What was measured on a card, kept for the next training on such a card: one small JSON of the launcher's own cache.

By card (its name, torch, CUDA and cuDNN), then by what was measured, then milliseconds by name.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from launcher.errors import InputError
from launcher.files import read_json, write_json
from launcher.shim.upstream.caching import CACHE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Machine

VARIABLE = "LAUNCHER_TUNING"  # the file
NAME = "tuning.json"  # else beside the caches of the image folders
CALLS, ROUNDS = 8, 3
SLEEP_CYCLES = (
    20_000_000  # about 10 ms: the card waits until all calls are queued, so that none waits for the processor
)


def file() -> Path | None:
    """Where it is kept; None: nowhere."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if cache := os.environ.get(CACHE_VARIABLE):
        return Path(cache).parent / NAME
    return None


def remembered(machine: Machine) -> dict[str, Any]:
    """What is known of such a card; nothing where the file is missing or damaged, or not made of numbers."""
    known = _read().get(_card(machine))
    return (
        {key: times for key, times in known.items() if _are_times(times)} if isinstance(known, dict) else {}
    )


def _are_times(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, (int, float)) for one in value.values())


def remember(machine: Machine, measured: dict[str, Any]) -> None:
    """Add to the file. Raises OSError where it cannot be written."""
    place = file()
    if place is None or not measured:
        return
    everything = _read()
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, {**everything, _card(machine): {**remembered(machine), **measured}})


def milliseconds(call: Callable[[], object], device: Any) -> float:
    """The best of some rounds, a call: the card's own time, a processor's by the clock."""
    call()
    return round(min(_round(call, device) for _ in range(ROUNDS)) / CALLS, 4)


def _round(call: Callable[[], object], device: Any) -> float:
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        return (time.perf_counter() - start) * 1000
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    torch.cuda._sleep(SLEEP_CYCLES)  # noqa: SLF001  (torch has no public name for it)
    first.record()
    for _ in range(CALLS):
        call()
    last.record()
    torch.cuda.synchronize(device)
    return float(first.elapsed_time(last))


def _read() -> dict[str, Any]:
    place = file()
    if place is None:
        return {}
    try:
        found = read_json(place)
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def _card(machine: Machine) -> str:
    parts = (machine.name, torch.__version__, torch.version.cuda, torch.backends.cudnn.version())
    return " | ".join(str(part) for part in parts)
