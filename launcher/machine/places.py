"""Where Pythons are kept. Nothing is started here but Windows' own list of them, by its absolute path."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.errors import LauncherError
from launcher.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTING_TIMEOUT_S = 8.0
NAMES = re.compile(r"python(3(\.\d+)?t?)?(\.exe)?")
POSIX_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
CONDAS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge")


class Place(NamedTuple):
    """A file that is probably a Python."""

    path: Path
    source: str


def python_places(environ: Mapping[str, str] = os.environ) -> Iterator[Place]:
    """Every file on this computer that is probably a Python, the most trusted source first."""
    yield Place(Path(getattr(sys, "_base_executable", None) or sys.executable), "the launcher runs on it")
    if sys.platform == "win32":
        yield from _py_launcher(environ)
        yield from _registry()
        yield from _store(environ)
    yield from on_path(environ)
    yield from in_homes(environ, Path.home())
    if sys.platform != "win32":
        for folder in POSIX_FOLDERS:
            yield from in_folder(Path(folder), folder)
    if sys.platform == "darwin":
        for path in sorted(Path("/Library/Frameworks/Python.framework/Versions").glob("3.*/bin/python3.*")):
            yield from _named(path, "python.org")


def on_path(environ: Mapping[str, str]) -> Iterator[Place]:
    """Pythons on the PATH. Relative entries mean whatever folder we were started in: they are passed over."""
    for folder in environ.get("PATH", "").split(os.pathsep):
        if folder and os.path.isabs(folder):  # noqa: PTH117  (the entry may be no path at all)
            yield from in_folder(Path(folder), "PATH")


def in_folder(folder: Path, source: str) -> Iterator[Place]:
    """All `python`, `python3`, `python3.11` (`.exe`) in a folder."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  (thousands of names: no objects needed)
    except (OSError, ValueError):
        return
    for name in names:
        if NAMES.fullmatch(name.lower()):
            yield Place(folder / name, source)


def in_homes(environ: Mapping[str, str], home: Path) -> Iterator[Place]:
    """Pythons that pyenv, uv and conda keep in the user's home folder."""
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = environ.get("UV_PYTHON_INSTALL_DIR")
    keepers = [(pyenv / "versions", "pyenv"), (pyenv / "pyenv-win" / "versions", "pyenv"), (Path(uv) if uv else data / "uv" / "python", "uv")]  # fmt: skip
    if environ.get("APPDATA"):
        keepers.append((Path(environ["APPDATA"]) / "uv" / "python", "uv"))
    for folder, source in keepers:
        for version in _folders(folder):
            yield from in_version(version, source)
    for name in CONDAS:
        yield from in_version(home / name, "conda")


def in_version(folder: Path, source: str) -> Iterator[Place]:
    """The Python of one installation: in `bin` on POSIX, at its top on Windows."""
    for name in ("python.exe", "bin/python3", "bin/python"):
        if (folder / name).exists():
            yield from _named(folder / name, source)
            return


def _named(path: Path, source: str) -> Iterator[Place]:
    if NAMES.fullmatch(path.name.lower()):
        yield Place(path, source)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def parse_py_list(listing: str) -> list[Path]:
    """The interpreters in the output of `py -0p`, of the old launcher and of the new install manager."""
    found = (re.search(r"([A-Za-z]:\\.*\.exe)\s*$", line) for line in listing.splitlines())
    return [Path(match.group(1)) for match in found if match]


def _py_launcher(environ: Mapping[str, str]) -> Iterator[Place]:
    for folder, inner in (("SYSTEMROOT", ""), ("LOCALAPPDATA", r"Programs\Python\Launcher")):
        program = Path(environ.get(folder, ""), inner, "py.exe")
        if not program.is_absolute() or not program.is_file():
            continue
        with suppress(LauncherError):
            listing = run([program, "-0p"], cwd=program.parent, timeout_s=LISTING_TIMEOUT_S).output
            yield from (Place(path, "py") for path in parse_py_list(listing))
            return


def _store(environ: Mapping[str, str]) -> Iterator[Place]:
    """Each Store Python has a folder of its own beside the aliases that anybody has."""
    folder = Path(environ.get("LOCALAPPDATA", ""), "Microsoft", "WindowsApps")
    for inner in _folders(folder) if folder.is_absolute() else []:
        if inner.name.startswith("PythonSoftwareFoundation.Python."):
            yield from in_version(inner, "Microsoft Store")


def _registry() -> Iterator[Place]:
    """Pythons that registered themselves (PEP 514): company, tag, then where it was installed."""
    if sys.platform != "win32":
        return
    import winreg

    views = (winreg.KEY_WOW64_64KEY, winreg.KEY_WOW64_32KEY)
    for hive, view in product((winreg.HKEY_CURRENT_USER, winreg.HKEY_LOCAL_MACHINE), views):
        with suppress(OSError), winreg.OpenKey(hive, r"Software\Python", 0, winreg.KEY_READ | view) as root:
            for company in _subkeys(root):
                if company == "PyLauncher":
                    continue
                with suppress(OSError), winreg.OpenKey(root, company) as tags:
                    for tag in _subkeys(tags):
                        yield from _registered(tags, tag)


def _subkeys(key: Any) -> list[str]:
    if sys.platform != "win32":
        return []
    import winreg

    return [winreg.EnumKey(key, number) for number in range(winreg.QueryInfoKey(key)[0])]


def _registered(tags: Any, tag: str) -> Iterator[Place]:
    if sys.platform != "win32":
        return
    import winreg

    with suppress(OSError), winreg.OpenKey(tags, rf"{tag}\InstallPath") as key:
        try:
            path = str(winreg.QueryValueEx(key, "ExecutablePath")[0])
        except OSError:  # older ones tell their folder only
            path = str(Path(str(winreg.QueryValueEx(key, "")[0]), "python.exe"))
        if path:
            yield Place(Path(path), "registry")
