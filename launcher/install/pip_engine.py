"""pip: the engine that is always there. It reads the user's configuration by itself, and tells no size beforehand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.install.engine_words import complaint, failed, folders_of, pin_of
from launcher.install.index import pip_environment
from launcher.install.narration import Narrator
from launcher.install.packages import installed
from launcher.install.sizes import Offer
from launcher.paths import venv_python
from launcher.process import show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.steps import Tell

# Compiling 57 packages takes 50 s of pip's 76 (install facts, 3.1); engine.compile_bytecode does those that matter.
INSTALL = ("install", "--no-input", "--progress-bar", "off", "--no-compile")
KEPT = frozenset({"PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "PIP_RETRIES"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PipEngine:
    """See `engine.Engine`."""

    commands: Commands
    name: str = "pip"

    def make(self, venv: Path, python: Path, tell: Callable[[str], None]) -> None:
        tell("making the environment")
        finished = self.commands.call(_make(venv, python), {"PYTHONHOME": None, "PYTHONPATH": None})
        self.commands.need(finished, "The environment's folder could not be made.")

    def install_files(self, venv: Path, wheels: Sequence[Path], tell: Tell) -> None:
        """By name and version, from the folders where the files lie: a path would be noted in the environment."""
        if not wheels:
            return
        self._ensure_pip(venv)
        python = venv_python(venv)
        # No setting of the user's counts here: an index or a page of links would be asked for what lies here already.
        settings = dict.fromkeys(name for name in os.environ if name.startswith("PIP_") and name not in KEPT)
        changes = {**settings, **pip_environment(python), "PIP_CONFIG_FILE": os.devnull}
        finished = self.commands.call(
            _pip(python, _files(wheels)), {**changes, **self._cache()}, Narrator(tell=tell)
        )
        self.commands.need(finished, failed([pin_of(wheel) for wheel in wheels]))

    def install_lock(self, venv: Path, lock: Path, tell: Tell, *, total: int | None = None) -> None:
        self._ensure_pip(venv)
        finished = self.commands.pip(venv_python(venv), _lock(lock), Narrator(tell=tell, total=total))
        self.commands.need(finished, "The trainer's packages could not be installed.")

    def install(
        self, venv: Path, requirements: Sequence[str], tell: Callable[[str], None],
        *, index: str | None = None, alone: bool = False, constraints: Path | None = None,
    ) -> None:  # fmt: skip
        self._ensure_pip(venv)
        words = [*INSTALL, *(["--index-url", index] if index else [])]
        words += ["--constraint", str(constraints.absolute())] if constraints else []
        words += [*(["--no-deps"] if alone else []), *requirements]
        self.commands.need(self.commands.pip(venv_python(venv), words, tell), failed(requirements))

    def remove(self, venv: Path, names: Sequence[str], tell: Callable[[str], None]) -> None:
        if names:
            self._ensure_pip(venv)
            finished = self.commands.pip(venv_python(venv), _remove(names), tell)
            self.commands.need(finished, f"{', '.join(names)} could not be removed.")

    def look_lock(self, venv: Path, lock: Path) -> Offer:
        """`pip install --dry-run` downloads everything: there is no way to look first."""
        del venv, lock
        return Offer()

    def check(self, venv: Path) -> str | None:
        self._ensure_pip(venv)
        finished = self.commands.pip(venv_python(venv), ["check"])
        return complaint(finished.output) if finished.code else None

    def forget(self, names: Sequence[str]) -> None:
        """Nothing: pip unpacks every time, and keeps what it has checked against a hash."""

    def commands_for(
        self, venv: Path, *, python: Path | None = None, wheels: Sequence[Path] = (), lock: Path | None = None,
        remove: Sequence[str] = (),
    ) -> list[str]:  # fmt: skip
        """The very commands that the methods of the same names would run, as one would type them."""
        inside = venv_python(venv)
        parts = [
            *([_make(venv, python)] if python else []),
            *([_pip(inside, _remove(remove))] if remove else []),
            *([_pip(inside, _files(wheels))] if wheels else []),
            *([_pip(inside, _lock(lock))] if lock else []),
        ]
        return [show(part) for part in parts]

    def _cache(self) -> dict[str, str | None]:
        own = {"PIP_CACHE_DIR", "PIP_NO_CACHE_DIR"} & os.environ.keys()
        return {} if own else {"PIP_CACHE_DIR": str(self.commands.cache / "pip")}

    def _ensure_pip(self, venv: Path) -> None:
        """An environment made by uv has no pip."""
        if "pip" not in installed(venv):
            finished = self.commands.call([str(venv_python(venv)), "-X", "utf8", "-m", "ensurepip"])
            self.commands.need(finished, "pip could not be put into the environment.")


def _pip(python: Path, words: Sequence[str]) -> list[str]:
    return [str(python), "-X", "utf8", "-m", "pip", "--disable-pip-version-check", *words]


def _make(venv: Path, python: Path) -> list[str]:
    return [str(python), "-X", "utf8", "-m", "venv", str(venv)]


def _files(wheels: Sequence[Path]) -> list[str]:
    links = [f"--find-links={place}" for place in folders_of(wheels)]
    return [*INSTALL, "--no-deps", "--no-index", *links, *map(pin_of, wheels)]


def _lock(lock: Path) -> list[str]:
    return [*INSTALL, "--no-deps", "--require-hashes", "--requirement", str(lock.absolute())]


def _remove(names: Sequence[str]) -> list[str]:
    return ["uninstall", "--yes", *names]
