"""Finds out what this computer can do."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from typing import TYPE_CHECKING

from launcher.machine.records import MIB, Fact, Gpu, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.machine.cards import Sources

BF16_CAPABILITY = (8, 0)  # Ampere: the first cards with bf16 in hardware
OS_NAMES = {"win32": "windows", "darwin": "macos", "linux": "linux"}
ARCH_NAMES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64", "i386": "x86", "i686": "x86"}
IS_64_BIT = sys.maxsize > 2**32


def look_at_machine(sources: Sources | None = None) -> Machine:
    """Look at this computer. Never raises: what cannot be found out says so in its reason.

    Args:
        sources: who is asked about the cards; None: who can be trusted on this system.
    """
    from launcher.machine.cards import look_at_cards
    from launcher.machine.others import look_at_adapters

    ram_mib, free_ram_mib, cores = _memory_and_cores()
    cards, adapters = look_at_cards(sources), look_at_adapters()
    note = cards.note
    if adapters.has_nvidia and not cards.gpus:
        note = f"an NVIDIA card is in this computer, but {note}"
    os_name = OS_NAMES.get(sys.platform, sys.platform)
    arch, arch_note = architecture(
        os_name, platform.machine(), is_64_bit=IS_64_BIT, kernel=platform.version(), environ=os.environ
    )
    return Machine(
        os=f"{platform.system()} {platform.release()}".strip() or sys.platform,
        os_name=os_name,
        arch=arch,
        arch_note=arch_note,
        cores=cores,
        ram_mib=ram_mib,
        free_ram_mib=free_ram_mib,
        swap_mib=_swap_mib(),
        gpus=cards.gpus,
        has_bf16=_bf16(cards.gpus),
        gpu_note=note,
        gpu_source=cards.source,
        driver=cards.driver,
        cuda_driver=cards.cuda,
        other_gpus=adapters.others,
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def architecture(
    os_name: str, machine: str, *, is_64_bit: bool, kernel: str, environ: Mapping[str, str]
) -> tuple[str, str]:
    """The processor's architecture and what is unusual, from what a perhaps emulated Python is told.

    Args:
        os_name: `windows`, `macos`, `linux`.
        machine: `platform.machine()`.
        is_64_bit: of this Python.
        kernel: `platform.version()`; on macOS it names the processor even under Rosetta.
        environ: on Windows it names the processor even to 32-bit and emulated programs.
    """
    told = ARCH_NAMES.get(machine.lower(), machine.lower())
    arch = told
    if os_name == "windows":
        native = environ.get("PROCESSOR_ARCHITEW6432", machine).lower()
        is_arm = environ.get("PROCESSOR_IDENTIFIER", "").upper().startswith("ARM")
        arch = "arm64" if is_arm else ARCH_NAMES.get(native, native)
    elif os_name == "macos" and "ARM64" in kernel.upper():
        arch = "arm64"
    if not is_64_bit:
        return arch, "this Python is a 32-bit one; training needs a 64-bit Python"
    if arch != told:
        return arch, f"this Python is made for {told} and runs in emulation"
    return arch, ""


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


def _swap_mib() -> int:
    try:
        import psutil

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # a container without /proc/vmstat: the size is known
            return int(psutil.swap_memory().total) // MIB
    except (ImportError, OSError, RuntimeError):
        return 0


def _bf16(gpus: tuple[Gpu, ...]) -> Fact:
    if not gpus:
        return Fact(value=True, reason="no NVIDIA card: torch computes bf16 on the CPU")
    card = gpus[0]
    capability = ".".join(str(part) for part in card.capability)
    if card.capability >= BF16_CAPABILITY:
        return Fact(value=True, reason=f"{card.name} has compute capability {capability}; bf16 needs 8.0")
    return Fact(value=False, reason=f"{card.name} has compute capability {capability}; bf16 needs 8.0")
