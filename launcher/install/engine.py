"""Who puts packages into an environment: uv where it works, else pip. Both with the same few methods."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from launcher.errors import InstallError, LauncherError, UsageError
from launcher.install.packages import installed
from launcher.install.pins import loads
from launcher.install.sizes import Download, measure
from launcher.paths import venv_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from launcher.install.commands import Commands

START_TIMEOUT_S = 60.0
OLDEST_UV = (0, 9)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Whether requirements can be had from some place, and how much that is to download."""

    problem: str | None = None
    download: Download | None = None  # None: the engine cannot tell before it downloads

    @property
    def size_in_words(self) -> str:
        return self.download.in_words() if self.download else "size unknown"


class Engine(Protocol):
    """An installer of packages. Every method may raise InstallError."""

    @property
    def name(self) -> str: ...

    def make(self, venv: Path, python: Path, tell: Callable[[str], None]) -> None:
        """Make an empty environment from an interpreter."""

    def look(self, venv: Path, requirements: Sequence[str], *, index: str | None, alone: bool) -> Offer:
        """Find out without installing. `alone`: without dependencies."""

    def install(
        self,
        venv: Path,
        requirements: Sequence[str],
        tell: Callable[[str], None],
        *,
        index: str | None = None,
        alone: bool = False,
    ) -> None:
        """Install from `index`, or from where the user's configuration says."""  # fmt: skip

    def check(self, venv: Path) -> str | None:
        """Why the installed packages do not fit together, or None."""

    def forget(self, names: Sequence[str]) -> None:
        """Drop the kept files of packages that turned out to be damaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UvEngine:
    """The fast one: it tells sizes beforehand; leaves half packages when killed (packages.py heals them)."""

    commands: Commands
    program: Path
    name: str = "uv"

    def make(self, venv: Path, python: Path, tell: Callable[[str], None]) -> None:
        words = ["venv", "--no-project", "--python", str(python), str(venv)]
        self.commands.need(
            self.commands.uv(self.program, words, tell), "The environment's folder could not be made."
        )

    def look(self, venv: Path, requirements: Sequence[str], *, index: str | None, alone: bool) -> Offer:
        self.commands.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.commands.cache, prefix="look-") as folder:
            wanted, lock = Path(folder, "wanted.txt"), Path(folder, "pylock.toml")
            wanted.write_text("\n".join(requirements) + "\n", encoding="utf-8")
            words = ["pip", "compile", "--quiet", "--no-header", "--python", str(venv_python(venv)), "--output-file", str(lock)]  # fmt: skip
            words += [*(["--no-deps"] if alone else []), *_from(index), str(wanted)]
            finished = self.commands.uv(self.program, words, changes=_patience(index))
            if finished.code:
                return Offer(problem=finished.output.strip())
            return Offer(
                download=measure(
                    loads(lock.read_text(encoding="utf-8")),
                    {} if alone else installed(venv),
                    self.commands.settings,
                )
            )

    def install(
        self, venv: Path, requirements: Sequence[str], tell: Callable[[str], None], *, index: str | None = None, alone: bool = False
    ) -> None:  # fmt: skip
        words = ["pip", "install", "--python", str(venv_python(venv)), *_from(index)]
        words += [*(["--no-deps"] if alone else []), *requirements]
        self.commands.need(self.commands.uv(self.program, words, tell), _failed(requirements))

    def forget(self, names: Sequence[str]) -> None:
        if names:  # without names it would drop everything
            self.commands.uv(self.program, ["cache", "clean", *names])

    def check(self, venv: Path) -> str | None:
        finished = self.commands.uv(self.program, ["pip", "check", "--python", str(venv_python(venv))])
        return _complaint(finished.output) if finished.code else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PipEngine:
    """The one that is always there: it reads the user's configuration by itself; tells no sizes without downloading."""

    commands: Commands
    name: str = "pip"

    def make(self, venv: Path, python: Path, tell: Callable[[str], None]) -> None:
        tell("making the environment")
        finished = self.commands.call([str(python), "-X", "utf8", "-m", "venv", str(venv)], {"PYTHONHOME": None, "PYTHONPATH": None})  # fmt: skip
        self.commands.need(finished, "The environment's folder could not be made.")

    def look(self, venv: Path, requirements: Sequence[str], *, index: str | None, alone: bool) -> Offer:
        del (
            venv,
            requirements,
            index,
            alone,
        )  # `pip install --dry-run` downloads everything: no way to look first
        return Offer()

    def install(
        self, venv: Path, requirements: Sequence[str], tell: Callable[[str], None], *, index: str | None = None, alone: bool = False
    ) -> None:  # fmt: skip
        self._ensure_pip(venv)
        words = ["install", "--no-input", *(["--index-url", index] if index else [])]
        words += [*(["--no-deps"] if alone else []), *requirements]
        self.commands.need(self.commands.pip(venv_python(venv), words, tell), _failed(requirements))

    def check(self, venv: Path) -> str | None:
        self._ensure_pip(venv)
        finished = self.commands.pip(venv_python(venv), ["check"])
        return _complaint(finished.output) if finished.code else None

    def forget(self, names: Sequence[str]) -> None:
        """Nothing: pip unpacks every time, and keeps what it has checked against a hash."""

    def _ensure_pip(self, venv: Path) -> None:
        """An environment made by uv has no pip."""
        if "pip" not in installed(venv):
            finished = self.commands.call([str(venv_python(venv)), "-X", "utf8", "-m", "ensurepip"])
            self.commands.need(finished, "pip could not be put into the environment.")


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


def _from(index: str | None) -> list[str]:
    """Only ever an address from our own pins: the user's stand in the environment."""
    return ["--default-index", index] if index else []


def _patience(index: str | None) -> Mapping[str, str | None]:
    """A look at a foreign index gives up soon: the next source is waiting."""
    return {"UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "1"} if index else {}


def _failed(requirements: Sequence[str]) -> str:
    names = ", ".join(requirement.partition("==")[0] for requirement in requirements[:4])
    more = f" and {len(requirements) - 4} more" if len(requirements) > 4 else ""
    return f"{names}{more} could not be installed."


def _complaint(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if "requires" in line or "incompatible" in line]
    return "; ".join(lines[:3]) or "the installed packages do not fit together"
