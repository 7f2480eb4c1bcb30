"""What to type when a distribution ships Python without the parts that make environments."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")
PARTS = ("venv", "ensurepip")


def missing_parts() -> list[str]:
    """The parts of the standard library that this Python lacks and an environment needs."""
    return [name for name in PARTS if find_spec(name) is None]


def find_remedy() -> str:
    """The remedy for this computer, in one sentence."""
    try:
        text = OS_RELEASE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return remedy(text, sys.version_info[:2])


def remedy(os_release: str, version: tuple[int, int]) -> str:
    """The distribution's own remedy, from the text of /etc/os-release and the Python version."""
    family = _families(os_release)
    number = f"{version[0]}.{version[1]}"
    if {"debian", "ubuntu"} & family:
        return f"Type `sudo apt install python{number}-venv`, then start this again."
    if {"fedora", "rhel", "centos"} & family:
        return f"Type `sudo dnf install python{number} python3-pip`, then start this again."
    if {"suse", "opensuse"} & family:
        return f"Type `sudo zypper install python{version[0]}{version[1]} python{version[0]}{version[1]}-pip`, then start this again."
    if "arch" in family:
        return "Type `sudo pacman -S python`, then start this again."
    if "alpine" in family:
        return "Type `sudo apk add python3 py3-pip`, then start this again."
    return f"Install a complete Python {number} or newer (with its `venv` and `ensurepip` modules), then start this again with it."


def _families(os_release: str) -> set[str]:
    """`ID` and `ID_LIKE`: a derivative names its parents in the second."""
    found: set[str] = set()
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key.strip() in {"ID", "ID_LIKE"}:
            found |= set(value.strip().strip("\"'").lower().split())
    return found
