"""A line in `gpu.jsonl` every few seconds: what the card, the memory and the disk are doing."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json
from launcher.plan.cards import cards_of as numbers_of
from launcher.run.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.paths import RunPaths
    from launcher.process import ProcessId

MIB = 1 << 20
NEARLY_FULL = 0.85  # of the card: from there on it matters who else is on it
MOST_OTHERS = 5
# Bits of nvmlClocksThrottleReasons (nvml.h) that slow a card down; the others (idle, application clocks) are normal.
THROTTLE = {
    0x0000000000000004: "power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "thermal (software)",
    0x0000000000000040: "thermal (hardware)",
    0x0000000000000080: "power brake",
}


class Sampler:
    """Appends samples; whatever cannot be measured is null, whatever cannot be written is lost."""

    def __init__(self, run: RunPaths) -> None:
        self._run = run
        self._nvml = _open_nvml()
        self._cards = cards_of(run)
        self._surroundings = Surroundings(run)

    def sample(self, roots: Sequence[ProcessId]) -> dict[str, Any]:
        """Measure once, write it down and return it. `roots`: the processes whose trees count as the training's RAM."""
        import psutil

        memory = psutil.virtual_memory()
        line = {
            "t": round(time.time(), 3),
            "gpus": self._gpus(roots),
            "ram_mib": _tree_rss_mib(roots),
            "ram_used_mib": round((memory.total - memory.available) / MIB),
            "ram_total_mib": round(memory.total / MIB),
            **self._surroundings.look(),
        }
        # disk full or folder gone: a sample is not worth a word
        with suppress(OSError), self._run.gpu.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, separators=(",", ":")) + "\n")
        return line

    def _gpus(self, roots: Sequence[ProcessId]) -> list[dict[str, Any]]:
        if self._nvml is None:
            return []
        count = _ask(self._nvml, self._nvml.nvmlDeviceGetCount) or 0
        ours = [index for index in self._cards if index < count] or range(count)
        handles = [_ask(self._nvml, self._nvml.nvmlDeviceGetHandleByIndex, index) for index in ours]
        found = [_gpu(self._nvml, handle) for handle in handles]
        for handle, gpu in zip(handles, found, strict=True):
            if (gpu["used_mib"] or 0) >= NEARLY_FULL * (gpu["total_mib"] or float("inf")):
                gpu["others"] = others_on_card(self._nvml, handle, roots)
        return found


def cards_of(run: RunPaths) -> list[int]:
    """Numbers of the cards that this run was told to use (`--gpus`), as the driver counts them; empty: not told."""
    try:
        plan = read_json(run.plan)
        return list(numbers_of(plan["machine"]["gpus"]["value"]))
    except (InputError, KeyError, TypeError):
        return []


def others_on_card(nvml: Any, handle: Any, roots: Sequence[ProcessId]) -> list[dict[str, Any]]:
    """Programs that hold memory of a card beside the training: name and MiB (null where Windows keeps it secret)."""
    import psutil

    running = [
        process
        for ask in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses")
        for process in _ask(nvml, getattr(nvml, ask), handle) or ()
    ]
    own = _family(roots)
    found: dict[str, int | None] = {}
    for pid, used in {
        process.pid: process.usedGpuMemory for process in running if process.pid not in own
    }.items():
        try:
            name = psutil.Process(pid).name()
        except psutil.Error:
            continue
        mib = None if used is None else round(used / MIB)
        found[name] = mib if mib is None or found.get(name) is None else (found[name] or 0) + mib
    largest = sorted(found.items(), key=lambda item: -(item[1] or 0))[:MOST_OTHERS]
    return [{"name": name, "mib": mib} for name, mib in largest]


def _family(roots: Sequence[ProcessId]) -> set[int]:
    """Process ids of the training: its roots and all below them."""
    import psutil

    pids: set[int] = set()
    for root in roots:
        pids.add(root.pid)
        process = root.find()
        try:
            pids |= {child.pid for child in process.children(recursive=True)} if process else set()
        except psutil.Error:
            continue
    return pids


def _open_nvml() -> Any:
    """The pynvml module, ready; None without an NVIDIA driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _gpu(nvml: Any, handle: Any) -> dict[str, Any]:
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    power = _ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)  # milliwatts
    load = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    reasons = _ask(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
    return {
        "used_mib": round(memory.used / MIB) if memory else None,
        "total_mib": round(memory.total / MIB) if memory else None,
        "temperature_c": _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        "slowdown_c": _ask(nvml, nvml.nvmlDeviceGetTemperatureThreshold, handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
        "power_w": None if power is None else round(power / 1000, 1),
        "utilisation_pct": load.gpu if load else None,
        "throttle": [word for bit, word in THROTTLE.items() if reasons & bit],
    }  # fmt: skip


def _ask(nvml: Any, question: Callable[..., Any], *arguments: Any) -> Any:
    """One answer of the driver; None for what this card or driver does not tell."""
    try:
        return question(*arguments)
    except nvml.NVMLError:
        return None


def _tree_rss_mib(roots: Sequence[ProcessId]) -> int | None:
    """RAM of the processes and all below them (pages they share count in each)."""
    import psutil

    seen: dict[int, int] = {}
    for root in roots:
        process = root.find()
        try:
            family = [process, *process.children(recursive=True)] if process else []
        except psutil.Error:
            continue
        for member in family:
            try:
                seen[member.pid] = member.memory_info().rss
            except psutil.Error:
                continue
    return round(sum(seen.values()) / MIB) if seen else None
