"""What both engines need to say: names, pins and folders of wheels, failures in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.install.places import as_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def pin_of(wheel: Path) -> str:
    """`torch==2.5.1+cu121`, from the file's name."""
    from packaging.utils import parse_wheel_filename

    name, version, _, _ = parse_wheel_filename(wheel.name)
    return f"{name}=={version}"


def folders_of(wheels: Sequence[Path]) -> list[str]:
    """The folders that wheels lie in, as file:// addresses (no spaces are left in them)."""
    return list(dict.fromkeys(as_url(str(wheel.parent)) for wheel in wheels))


def failed(requirements: Sequence[str]) -> str:
    names = ", ".join(requirement.partition("==")[0] for requirement in requirements[:4])
    more = f" and {len(requirements) - 4} more" if len(requirements) > 4 else ""
    return f"{names}{more} could not be installed."


def complaint(output: str) -> str:
    # uv: `The package a requires b, but it's not installed`; pip: `a 1.0 requires b, which is not installed`,
    # `a 1.0 has requirement b==2, but you have b 3`
    signs = ("requires", "has requirement", "incompatible", "not supported")
    lines = [line.strip() for line in output.splitlines() if any(sign in line for sign in signs)]
    return "; ".join(lines[:3]) or "the installed packages do not fit together"
