"""uv: the fast engine. It tells sizes beforehand; killed, it leaves half packages (packages.py heals them)."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.install.engine_words import complaint, failed, folders_of, pin_of
from launcher.install.index import uv_flags
from launcher.install.narration import Narrator
from launcher.install.packages import installed
from launcher.install.pins import loads
from launcher.install.sizes import Offer, measure
from launcher.paths import venv_python
from launcher.process import show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from launcher.install.commands import Commands
    from launcher.install.steps import Tell

# What the user may have told uv for other work, and what would change our packages here.
FOREIGN = (
    "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_EXCLUDE_NEWER", "UV_NO_BINARY",
    "UV_NO_BINARY_PACKAGE", "UV_REQUIRE_HASHES", "UV_PRERELEASE", "UV_RESOLUTION", "UV_TORCH_BACKEND", "UV_COMPILE_BYTECODE",
    "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_PYTHON", "UV_WORKING_DIR",
)  # fmt: skip
INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


@dataclass(frozen=True, kw_only=True, slots=True)
class UvEngine:
    """See `engine.Engine`."""

    commands: Commands
    program: Path
    name: str = "uv"

    def make(self, venv: Path, python: Path, tell: Callable[[str], None]) -> None:
        self._need(_make(venv, python), venv, "The environment's folder could not be made.", tell)

    def install_files(self, venv: Path, wheels: Sequence[Path], tell: Tell) -> None:
        """By name and version, from the folders where the files lie: a path would be noted in the environment."""
        if wheels:
            what = failed([pin_of(wheel) for wheel in wheels])
            changes = {**dict.fromkeys(INDEXES), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
            self._need(self._files(venv, wheels), venv, what, Narrator(tell=tell), changes)

    def install_lock(self, venv: Path, lock: Path, tell: Tell, *, total: int | None = None) -> None:
        what = "The trainer's packages could not be installed."
        self._need(_lock(venv, lock), venv, what, Narrator(tell=tell, total=total))

    def install(
        self, venv: Path, requirements: Sequence[str], tell: Callable[[str], None],
        *, index: str | None = None, alone: bool = False, constraints: Path | None = None,
    ) -> None:  # fmt: skip
        words = ["pip", "install", "--python", str(venv_python(venv)), *_from(index)]
        words += ["--constraint", str(constraints.absolute())] if constraints else []
        words += [*(["--no-deps"] if alone else []), *requirements]
        self._need(words, venv, failed(requirements), tell)

    def remove(self, venv: Path, names: Sequence[str], tell: Callable[[str], None]) -> None:
        if names:
            self._need(_remove(venv, names), venv, f"{', '.join(names)} could not be removed.", tell)

    def look_lock(self, venv: Path, lock: Path) -> Offer:
        """How much of a lock is still to be downloaded."""
        self.commands.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.commands.cache, prefix="look-") as folder:
            listed, found = Path(folder, "wanted.txt"), Path(folder, "pylock.toml")
            listed.write_bytes(lock.read_bytes())
            argv = ["pip", "compile", "--quiet", "--no-header", "--python", str(venv_python(venv)), "--output-file", str(found), "--no-deps", str(listed)]  # fmt: skip
            finished = self.commands.uv(self.program, argv, changes=dict.fromkeys(FOREIGN))
            if finished.code:
                return Offer(problem=finished.output.strip())
            table = loads(found.read_text(encoding="utf-8"))
            return Offer(download=measure(table, installed(venv), self.commands.settings))

    def forget(self, names: Sequence[str]) -> None:
        if names:  # without names it would drop everything
            self.commands.uv(self.program, ["cache", "clean", *names])

    def check(self, venv: Path) -> str | None:
        finished = self.commands.uv(self.program, ["pip", "check", "--python", str(venv_python(venv))])
        return complaint(finished.output) if finished.code else None

    def commands_for(
        self, venv: Path, *, python: Path | None = None, wheels: Sequence[Path] = (), lock: Path | None = None,
        remove: Sequence[str] = (),
    ) -> list[str]:  # fmt: skip
        """The very commands that the methods of the same names would run, as one would type them."""
        parts = [
            *([_make(venv, python)] if python else []),
            *([_remove(venv, remove)] if remove else []),
            *([self._files(venv, wheels)] if wheels else []),
            *([_lock(venv, lock)] if lock else []),
        ]
        flags = uv_flags(self.commands.settings)
        return [show([str(self.program), *part, *(flags if part[0] == "pip" else [])]) for part in parts]

    def _files(self, venv: Path, wheels: Sequence[Path]) -> list[str]:
        # uv takes a comma for the end of a place
        links = [f"--find-links={place.replace(',', '%2C')}" for place in folders_of(wheels)]
        # The user's own `no-index` comes from Commands; uv takes the flag once only.
        alone = [] if self.commands.settings.no_index else ["--no-index"]
        pins = [pin_of(wheel) for wheel in wheels]
        return ["pip", "install", "--python", str(venv_python(venv)), "--no-deps", *alone, *links, *pins]

    def _need(
        self, words: Sequence[str], venv: Path, what: str, tell: Callable[[str], None],
        changes: Mapping[str, str | None] | None = None,
    ) -> None:  # fmt: skip
        env = {**dict.fromkeys(FOREIGN), **_links(venv), **(changes or {})}
        self.commands.need(self.commands.uv(self.program, words, tell, env), what)


def _make(venv: Path, python: Path) -> list[str]:
    return ["venv", "--no-project", "--python", str(python), str(venv)]


def _lock(venv: Path, lock: Path) -> list[str]:
    return ["pip", "install", "--python", str(venv_python(venv)), "--no-deps", "--require-hashes", "--requirements", str(lock.absolute())]  # fmt: skip


def _remove(venv: Path, names: Sequence[str]) -> list[str]:
    return ["pip", "uninstall", "--python", str(venv_python(venv)), *names]


def _from(index: str | None) -> list[str]:
    """Only ever an address from our own pins: the user's stand in the environment."""
    return ["--default-index", index] if index else []


def _links(venv: Path) -> Mapping[str, str | None]:
    """OneDrive refuses hard links (os error 396) and the refusal can spoil uv's cache: install facts, section 5."""
    if "UV_LINK_MODE" in os.environ:
        return {}
    clouds = [place for name, place in os.environ.items() if name.lower().startswith("onedrive") and place]
    is_inside = any(Path(cloud) in (venv, *venv.parents) for cloud in clouds)
    return {"UV_LINK_MODE": "copy"} if is_inside else {}
