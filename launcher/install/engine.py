"""Who puts packages into an environment: uv where it works, else pip. Both with the same few methods."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from launcher.errors import InstallError, LauncherError, UsageError
from launcher.install.packages import site_packages
from launcher.install.pip_engine import PipEngine
from launcher.install.uv_engine import UvEngine
from launcher.paths import venv_python

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.install.commands import Commands
    from launcher.install.sizes import Offer
    from launcher.install.steps import Tell

START_TIMEOUT_S = 60.0
OLDEST_UV = (0, 9)
COMPILE_TIMEOUT_S = 600.0  # 1,000 files: 5 s of processor time; a virus scanner looks at each
# What a shell may have set so that no bytecode is written, or elsewhere.
NO_BYTECODE = ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


class Engine(Protocol):
    """An installer of packages. Every method may raise InstallError."""

    @property
    def name(self) -> str: ...

    def make(self, venv: Path, python: Path, tell: Callable[[str], None]) -> None:
        """Make an empty environment from an interpreter."""

    def install_files(self, venv: Path, wheels: Sequence[Path], tell: Tell) -> None:
        """Install exactly these files, without any index and without what they require."""

    def install_lock(self, venv: Path, lock: Path, tell: Tell, *, total: int | None = None) -> None:
        """Install exactly what a lock lists, checked against its hashes. `total`: bytes of all its downloads."""

    def install(
        self,
        venv: Path,
        requirements: Sequence[str],
        tell: Callable[[str], None],
        *,
        index: str | None = None,
        alone: bool = False,
        constraints: Path | None = None,
    ) -> None:
        """Install from `index`, or from where the user's configuration says; nothing against the constraints."""

    def remove(self, venv: Path, names: Sequence[str], tell: Callable[[str], None]) -> None:
        """Take packages out of the environment; those that are not in it do not matter."""

    def look_lock(self, venv: Path, lock: Path) -> Offer:
        """How much of a lock is still to be downloaded."""

    def check(self, venv: Path) -> str | None:
        """Why the installed packages do not fit together, or None."""

    def forget(self, names: Sequence[str]) -> None:
        """Drop the kept files of packages that turned out to be damaged."""

    def commands_for(
        self,
        venv: Path,
        *,
        python: Path | None = None,
        wheels: Sequence[Path] = (),
        lock: Path | None = None,
        remove: Sequence[str] = (),
    ) -> list[str]:
        """The very commands that `make`, `remove`, `install_files` and `install_lock` run, as one would type them."""


def choose_engine(commands: Commands, wanted: str | None = None) -> Engine:
    """Take uv if it starts, else pip; or the one that is wanted.

    Raises:
        UsageError: the wanted one is not known.
        InstallError: uv is wanted and does not start.
    """
    if wanted not in {None, "uv", "pip"}:
        raise UsageError(f"There is no installer `{wanted}`.", fix="Known: uv, pip.")
    uv = None if wanted == "pip" else find_uv(commands)
    if uv:
        return UvEngine(commands=commands, program=uv)
    if wanted == "uv":
        raise InstallError("uv does not start.", fix="Leave the choice open: pip takes its place.")
    return PipEngine(commands=commands)


def find_uv(commands: Commands) -> Path | None:
    """A uv that starts and is new enough: the launcher's own, else one on PATH."""
    for program in _uv_candidates():
        try:
            finished = commands.call([str(program), "--version"], timeout_s=START_TIMEOUT_S)
        except LauncherError:
            continue
        words = finished.output.split()
        if finished.code == 0 and len(words) > 1 and _version(words[1]) >= OLDEST_UV:
            return program
    return None


def _uv_candidates() -> list[Path]:
    found: list[Path] = []
    try:
        import uv

        found.append(Path(uv.find_uv_bin()))
    except (ImportError, FileNotFoundError):  # not installed, or installed without its program
        pass
    on_path = shutil.which("uv")
    if on_path:
        found.append(Path(on_path).resolve())
    return found


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def compile_bytecode(
    commands: Commands,
    venv: Path,
    names: Sequence[str],
    tell: Callable[[str], None],
    *,
    code: Path | None = None,
) -> None:
    """Let the environment's Python compile packages, and the trainer's `code`: else the first training does it.

    Some files of some packages are for other Pythons and cannot be compiled: that is no failure of ours. Nor is
    anything else here: a training compiles what it finds uncompiled.
    """
    site = site_packages(venv)
    folders = [str(site / name) for name in names if (site / name).is_dir()] if site else []
    folders += [str(code)] if site and code is not None and code.is_dir() else []
    if not folders:
        return
    tell("preparing packages and code for quick starts")
    argv = [str(venv_python(venv)), "-X", "utf8", "-m", "compileall", "-q", "-j", "0", *folders]
    try:
        commands.call(argv, dict.fromkeys(NO_BYTECODE), timeout_s=COMPILE_TIMEOUT_S)
    except LauncherError:
        tell("not all could be prepared: the first training will do the rest")
