"""What stands in an environment, and whether it stands there whole. Reads files, starts nothing.

uv links a package's files first and writes `INSTALLER` and `RECORD` last; killed in between it leaves packages that
its next run calls satisfied while thousands of files are missing (install facts, section 3.2). What is broken loses
its `.dist-info` folder here, so that the next run installs it again.
"""

from __future__ import annotations

import csv
import os
import shutil
from typing import TYPE_CHECKING

from launcher.install.pins import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INFO = ".dist-info"


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


def broken(venv: Path) -> dict[Path, str]:
    """`.dist-info` folders of packages that are not whole, each with its reason (0.1 s for 18,000 files)."""
    reasons = {folder: _damage(folder) for folder, _, _ in _distributions(venv)}
    return {folder: reason for folder, reason in reasons.items() if reason is not None}


def heal(venv: Path) -> list[str]:
    """Forget the packages that are not whole; returns their names."""
    folders = list(broken(venv))
    for folder in folders:
        shutil.rmtree(folder)
    return [folder.name.removesuffix(INFO) for folder in folders]


def _distributions(venv: Path) -> Iterator[tuple[Path, str, str]]:
    site = site_packages(venv)
    for folder in sorted(site.glob(f"*{INFO}")) if site else ():
        name, _, version = folder.name.removesuffix(INFO).rpartition("-")
        yield folder, normalize(name), version


def _damage(info: Path) -> str | None:
    """Why a package is not whole: a file named in its RECORD is missing or has another size."""
    if not (info / "INSTALLER").is_file():
        return "its installation was not finished"
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as stream:
            wrong = sum(1 for row in csv.reader(stream) if row and not _is_whole(info.parent, row))
    except (OSError, ValueError, csv.Error):
        return "its list of files cannot be read"
    return f"{wrong} of its files are missing or cut off" if wrong else None


def _is_whole(site: Path, row: list[str]) -> bool:
    if row[0].endswith(".pyc"):
        return True  # Python makes these again by itself
    size = row[2] if len(row) > 2 else ""
    try:
        found = os.stat(os.path.join(site, row[0])).st_size  # noqa: PTH116, PTH118  (18,000 Path objects cost 4 times as much)
    except OSError:
        return False
    return not size.isdigit() or found == int(size)
