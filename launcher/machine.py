"""What this computer can do. Every answer travels with its reason; looking never fails and never imports torch."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
BF16_CAPABILITY = (8, 0)  # Ampere: the first cards with bf16 in hardware


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A detected value and why it is so."""

    value: object
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """An NVIDIA card as its driver describes it. Memory in MiB."""

    name: str
    capability: tuple[int, int]
    total_mib: int
    free_mib: int
    driver: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """This computer. Memory in MiB; 0 where it cannot be found out."""

    os: str
    cores: int
    ram_mib: int
    free_ram_mib: int
    gpus: tuple[Gpu, ...]
    has_bf16: Fact
    gpu_note: str = ""  # why there is no card, in words

    @property
    def gpu(self) -> Gpu | None:
        """The card that training uses: the first, as `CUDA_DEVICE_ORDER=PCI_BUS_ID` numbers them."""
        return self.gpus[0] if self.gpus else None


def look_at_machine() -> Machine:
    """Look at this computer. Never raises: what cannot be found out says so in its reason."""
    ram_mib, free_ram_mib, cores = _memory_and_cores()
    gpus, note = _cards()
    return Machine(
        os=f"{platform.system()} {platform.release()}".strip() or sys.platform,
        cores=cores,
        ram_mib=ram_mib,
        free_ram_mib=free_ram_mib,
        gpus=gpus,
        has_bf16=_bf16(gpus),
        gpu_note=note,
    )


def free_disk_mib(folder: Path) -> int | None:
    """Free space for this user where `folder` lies (or will lie), in MiB; None where it cannot be found out."""
    import shutil

    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free // MIB
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _memory_and_cores() -> tuple[int, int, int]:
    try:
        cores = len(os.sched_getaffinity(0))  # what a container or `taskset` leaves us
    except (AttributeError, OSError):  # Windows and macOS have no such call
        cores = os.cpu_count() or 1
    try:
        import psutil

        memory = psutil.virtual_memory()
        cores = min(
            cores, psutil.cpu_count(logical=False) or cores
        )  # hyper-threads slow matrix products down
    except (ImportError, OSError, RuntimeError):  # psutil reads /proc, which a sandbox may hide
        return 0, 0, cores
    return memory.total // MIB, memory.available // MIB, cores


def _cards() -> tuple[tuple[Gpu, ...], str]:
    try:
        import pynvml
    except ImportError:
        return (), "the NVIDIA management library is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"no NVIDIA driver answers ({_words(error)})"
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        cards = [_card(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        return (), f"the NVIDIA driver gives no answer ({_words(error)})"
    finally:
        _shut_down()
    found = tuple(card for card in cards if card)
    return found, "" if found else "the NVIDIA driver knows no card"


def _card(index: int, driver: str) -> Gpu | None:
    """One card; None when it is there but cannot be asked (fallen off the bus, no permission)."""
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        name = _text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError:
        return None
    return Gpu(
        name=name,
        capability=(int(major), int(minor)),
        total_mib=int(memory.total) // MIB,
        free_mib=int(memory.free) // MIB,
        driver=driver,
    )


def _shut_down() -> None:
    import pynvml

    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # the answers are already here
        return


def _text(value: object) -> str:
    return (
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    )  # bytes before version 11.5


def _words(error: object) -> str:
    return str(error).strip() or type(error).__name__


def _bf16(gpus: tuple[Gpu, ...]) -> Fact:
    if not gpus:
        return Fact(value=True, reason="no NVIDIA card: torch computes bf16 on the CPU")
    card = gpus[0]
    capability = ".".join(str(part) for part in card.capability)
    if card.capability >= BF16_CAPABILITY:
        return Fact(value=True, reason=f"{card.name} has compute capability {capability}; bf16 needs 8.0")
    return Fact(value=False, reason=f"{card.name} has compute capability {capability}; bf16 needs 8.0")
