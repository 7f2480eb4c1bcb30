"""Which programs hold memory of a graphics card just now."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from launcher.machine.records import MIB

QUESTIONS = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses")
LONGEST = 40  # characters of a name


@dataclass(frozen=True, slots=True)
class Holder:
    """A program and the MiB that it holds; None where the driver keeps that secret (Windows)."""

    name: str
    mib: int | None


def holders(card: int = 0) -> tuple[Holder, ...]:
    """Programs on a card (as the driver numbers them), the largest first. Never raises; empty where nobody tells."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return _holders(pynvml, card)
    except pynvml.NVMLError:
        return ()
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _holders(nvml: Any, card: int) -> tuple[Holder, ...]:
    handle = nvml.nvmlDeviceGetHandleByIndex(card)
    used: dict[int, int | None] = {}
    for question in QUESTIONS:
        with suppress(nvml.NVMLError):
            used |= {process.pid: process.usedGpuMemory for process in getattr(nvml, question)(handle)}
    sums: dict[str, int | None] = {}
    for pid, taken in used.items():
        name, mib = _name(pid), None if taken is None else round(taken / MIB)
        before = sums.get(name, 0)
        sums[name] = None if mib is None or before is None else before + mib
    return tuple(Holder(name, mib) for name, mib in sorted(sums.items(), key=lambda item: -(item[1] or 0)))


def _name(pid: int) -> str:
    """Of a process; its number where another user owns it."""
    try:
        import psutil

        return str(psutil.Process(pid).name())[:LONGEST]
    except Exception:  # noqa: BLE001  (psutil is missing, or the process has gone)
        return f"process {pid}"
