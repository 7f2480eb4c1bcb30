"""Reads lock files: exact versions with markers and hashes, as `uv pip compile --universal --generate-hashes` writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.errors import InstallError

if TYPE_CHECKING:
    from pathlib import Path

HASH = re.compile(r"\s--hash=(\S+)")


def read(path: Path, python: tuple[int, int], os: str, arch: str) -> dict[str, str]:
    """Names (normalized) and versions that hold for one Python on one platform.

    Raises:
        InstallError: the file is missing or damaged.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), environment(python, os, arch))
    except (OSError, ValueError) as error:
        raise InstallError(
            f"The list of exact versions {path.name} cannot be used.",
            why=str(error),
            fix="Get the shipped file back (git checkout, or unpack the download again).",
            where=str(path),
        ) from error


def parse(text: str, env: dict[str, str]) -> dict[str, str]:
    """The lines whose marker holds in that environment.

    Raises:
        ValueError: a line is no exact version, or two versions of a package hold at once.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for line in lines(text):
        wanted = Requirement(HASH.sub("", line).strip())
        if wanted.marker and not wanted.marker.evaluate(env):
            continue
        pins = [pin.version for pin in wanted.specifier if pin.operator == "=="]
        name = canonicalize_name(wanted.name)
        if len(pins) != 1 or len(wanted.specifier) != 1:
            raise ValueError(f"`{wanted}` is no exact version")
        if found.setdefault(name, pins[0]) != pins[0]:
            raise ValueError(f"{name} is both {found[name]} and {pins[0]}")
    return found


def lines(text: str) -> list[str]:
    """Whole requirements: continued lines joined, comments and empty lines left out."""
    joined = re.sub(r"\\\r?\n", " ", text).splitlines()
    return [line.strip() for line in joined if line.strip() and not line.lstrip().startswith("#")]


def environment(python: tuple[int, int], os: str, arch: str) -> dict[str, str]:
    """What markers ask for, of another computer than this one."""
    system, sys_platform, os_name = {
        "windows": ("Windows", "win32", "nt"),
        "macos": ("Darwin", "darwin", "posix"),
    }.get(os, ("Linux", "linux", "posix"))
    machines = {("windows", "x86_64"): "AMD64", ("windows", "arm64"): "ARM64", ("linux", "arm64"): "aarch64"}
    version = f"{python[0]}.{python[1]}"
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": os_name,
        "platform_machine": machines.get((os, arch), arch),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": sys_platform,
        "extra": "",
    }
