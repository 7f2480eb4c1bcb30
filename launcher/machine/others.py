"""Graphics cards that no NVIDIA driver answers for: named, so that nobody waits for an AMD card to train."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PCI = Path("/sys/bus/pci/devices")
PCI_NAMES = (Path("/usr/share/hwdata/pci.ids"), Path("/usr/share/misc/pci.ids"))
DISPLAY_CLASS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
NVIDIA = "10de"
VENDORS = {"1002": "AMD", "8086": "Intel", "106b": "Apple", "15ad": "VMware", "1a03": "ASPEED", "102b": "Matrox"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """Display adapters as the system lists them, whether they have a driver or not."""

    others: tuple[str, ...] = ()  # names of all that are not NVIDIA's
    has_nvidia: bool = False


def look_at_adapters() -> Adapters:
    """What sits in this computer. Never raises; nothing on macOS, where it makes no difference."""
    if sys.platform == "win32":
        return adapters_of(_registry())
    if sys.platform == "linux":
        return pci_adapters(PCI)
    return Adapters()


def adapters_of(entries: Iterable[tuple[str, str]]) -> Adapters:
    r"""From Windows' list: description and id (`pci\ven_1002&dev_73bf`). Those without a PCI id are software."""
    others: list[str] = []
    has_nvidia = False
    for name, identity in entries:
        vendor = identity.lower().partition("ven_")[2][:4]
        if vendor == NVIDIA:
            has_nvidia = True
        elif vendor and name not in others:
            others.append(name)
    return Adapters(others=tuple(others), has_nvidia=has_nvidia)


def _registry() -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, DISPLAY_CLASS) as display:
            for number in range(winreg.QueryInfoKey(display)[0]):
                with (
                    suppress(OSError),
                    winreg.OpenKey(display, winreg.EnumKey(display, number)) as adapter,
                ):  # some need rights
                    name = str(winreg.QueryValueEx(adapter, "DriverDesc")[0])
                    entries.append((name, str(winreg.QueryValueEx(adapter, "MatchingDeviceId")[0])))
    return entries


def pci_adapters(devices: Path) -> Adapters:
    """From Linux' list of PCI devices: those of class 0x03, display controllers."""
    others: list[str] = []
    has_nvidia = False
    with suppress(OSError):
        for device in sorted(devices.iterdir()):
            if not _read(device / "class").startswith("0x03"):
                continue
            vendor, model = (_read(device / name).removeprefix("0x") for name in ("vendor", "device"))
            if vendor == NVIDIA:
                has_nvidia = True
            elif vendor:
                others.append(_pci_name(vendor, model))
    return Adapters(others=tuple(others), has_nvidia=has_nvidia)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip().lower()
    except OSError:
        return ""


def _pci_name(vendor: str, model: str) -> str:
    """`AMD Navi 21 [Radeon RX 6800]` where the system has the list of names, else vendor and numbers."""
    maker = VENDORS.get(vendor, f"vendor {vendor}")
    for names in PCI_NAMES:
        with suppress(OSError):
            is_ours = False
            for line in names.read_text(encoding="utf-8", errors="replace").splitlines():
                if not line.startswith(("\t", "#")):
                    is_ours = line.startswith(vendor)
                elif is_ours and line.startswith(f"\t{model}"):
                    return f"{maker} {line.split(maxsplit=1)[1]}"
    return f"{maker} graphics ({vendor}:{model})"
