"""What stands in an environment, and whether it stands there whole. Reads files, starts nothing.

uv links a package's files first and writes `INSTALLER` and `RECORD` last; killed in between it leaves packages that
its next run calls satisfied while thousands of files are missing (install facts, section 3.2). What is broken loses
its `.dist-info` folder here, so that the next run installs it again.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.install.family import is_family
from launcher.install.pins import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

INFO = ".dist-info"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # at the beginning of a requirement
MISSING, CUT = "missing", "cut"


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """A package that is not whole."""

    info: Path  # its .dist-info folder
    reason: str
    is_cut: bool = False  # a file has another size: with hard links the same file in uv's cache has it too

    @property
    def name(self) -> str:
        return self.info.name.removesuffix(INFO).rpartition("-")[0]


def site_packages(venv: Path) -> Path | None:
    """The folder with the environment's packages, or None if there is no environment."""
    if os.name == "nt":
        folder = venv / "Lib" / "site-packages"
        return folder if folder.is_dir() else None
    return next(iter(sorted((venv / "lib").glob("python3.*/site-packages"))), None)


def installed(venv: Path) -> dict[str, str]:
    """Names (normalized) and versions of the packages whose installation was finished."""
    return {
        name: version for folder, name, version in _distributions(venv) if (folder / "INSTALLER").is_file()
    }


def broken(venv: Path) -> list[Damage]:
    """Packages that are not whole (0.1 s for 18,000 files)."""
    found = [_damage(folder) for folder, _, _ in _distributions(venv)]
    return [damage for damage in found if damage is not None]


def heal(damages: list[Damage]) -> None:
    """Forget packages that are not whole, so that they are installed again."""
    for damage in damages:
        shutil.rmtree(damage.info)


def differences(venv: Path, wanted: Mapping[str, str]) -> list[str]:
    """How an environment differs from its plan, in words: one for each package that must be mended.

    Args:
        venv: the environment.
        wanted: names (normalized) and exact versions; of the torch family also what the set brought along.

    More than wanted is fine, but for the torch family: of that only what an installed package requires may stand
    beside the plan (the nvidia-* wheels of a Linux build), because a stray torchao or a second CUDA changes training.
    """
    damages = {normalize(damage.name): damage.reason for damage in broken(venv)}
    present = installed(venv)
    found = [f"{name}: {reason}" for name, reason in sorted(damages.items())]
    for name, version in sorted(wanted.items()):
        if name not in present and name not in damages:
            found.append(f"{name} {version} is missing")
        elif present.get(name, version) != version:
            found.append(f"{name} is {present[name]} and should be {version}")
    return found + [f"{name} {present[name]} does not belong here" for name in strays(venv, wanted)]


def strays(venv: Path, wanted: Mapping[str, str]) -> list[str]:
    """Names of installed packages of the torch family that neither the plan nor another package asks for."""
    required = family_needs(venv)
    return [name for name in sorted(installed(venv)) if is_family(name) and name not in {*wanted, *required}]


def family_needs(venv: Path) -> set[str]:
    """Names of the torch family that installed packages of it require; extras and markers do not matter here."""
    needs: set[str] = set()
    for folder, name, _ in _distributions(venv):
        if is_family(name):
            needs |= {need for need in _requirements(folder) if is_family(need)}
    return needs


def _requirements(info: Path) -> Iterator[str]:
    """Names in a package's `Requires-Dist`."""
    try:
        text = (info / "METADATA").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.partition("\n\n")[0].splitlines():
        found = NAME.match(line.partition(":")[2].strip()) if line.startswith("Requires-Dist:") else None
        if found:
            yield normalize(found[0])


def _distributions(venv: Path) -> Iterator[tuple[Path, str, str]]:
    site = site_packages(venv)
    for folder in sorted(site.glob(f"*{INFO}")) if site else ():
        name, _, version = folder.name.removesuffix(INFO).rpartition("-")
        yield folder, normalize(name), version


def _damage(info: Path) -> Damage | None:
    """Compare a package with its RECORD: files are there, with their sizes."""
    if not (info / "INSTALLER").is_file():
        return Damage(info=info, reason="its installation was not finished")
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as stream:
            changes = [_change(info.parent, row) for row in csv.reader(stream) if row]
    except (OSError, ValueError, csv.Error):
        return Damage(info=info, reason="its list of files cannot be read")
    missing, cut = changes.count(MISSING), changes.count(CUT)
    if not missing and not cut:
        return None
    return Damage(
        info=info, reason=f"{missing} of its files are missing, {cut} have another size", is_cut=cut > 0
    )


def _change(site: Path, row: list[str]) -> str | None:
    if row[0].endswith(".pyc"):
        return None  # Python makes these again by itself
    size = row[2] if len(row) > 2 else ""
    try:
        found = os.stat(os.path.join(site, row[0])).st_size  # noqa: PTH116, PTH118  (18,000 Path objects cost 4 times as much)
    except OSError:
        return MISSING
    return None if not size.isdigit() or found == int(size) else CUT
