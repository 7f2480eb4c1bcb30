"""A Python that the torch set supports: one that is here, else one that uv brings. Nobody's own is touched."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.install.commands import TAIL_LINES, advice
from launcher.install.turn import take_turn
from launcher.process import show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.steps import Tell
    from launcher.machine.pythons import Python

Version = tuple[int, int]
DOWNLOAD_MIB = 35  # python-build-standalone, `install_only_stripped`: 20 to 45 MiB on the three systems
DISK_MIB = 200
WAIT_S = 1800.0  # for another window that brings one
ALONE = "(Yours stays as it is: environments made here use a Python of their own.)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """The Python for an environment, and why this one."""

    path: Path | None  # None: uv brings it
    version: Version
    reason: str


def choose_python(candidates: Iterable[Python], wanted: tuple[Version, Version]) -> Interpreter:
    """The best of the Pythons that are here: one without a warning, then the launcher's own, then the newest.

    Args:
        candidates: as `find_pythons` gives them.
        wanted: first and last version that will do, both included.

    Returns:
        One whose `path` is None where none fits: uv then brings the last version of the range.
    """
    first, last = wanted
    candidates = list(candidates)
    fitting = [python for python in candidates if not python.problem and python.version and first <= python.version[:2] <= last]  # fmt: skip
    span = words_of(first) if first == last else f"{words_of(first)} to {words_of(last)}"
    if not fitting:
        return Interpreter(path=None, version=last, reason=f"{_unfit(candidates, wanted)} uv brings Python {words_of(last)} (needed: {span}).")  # fmt: skip
    best = max(fitting, key=lambda python: (not python.warning, python.is_own, python.version or (0, 0, 0)))
    assert best.version is not None  # noqa: S101  (those without are no candidates)
    why = "the launcher runs on it too" if best.is_own else f"found through {best.source}"
    return Interpreter(
        path=best.path,
        version=best.version[:2],
        reason=f"{best.title} is here ({why}) and fits: {span} will do."
        + (f" Note: {best.warning}." if best.warning else ""),
    )


def _unfit(candidates: list[Python], wanted: tuple[Version, Version]) -> str:
    """Why none of them will do, in one sentence."""
    first, last = wanted
    words: list[str] = []
    for python in candidates:
        if python.version is None:
            continue
        version = python.version[:2]
        cause = "too old" if version < first else "too new" if version > last else python.problem or ""
        words.append(f"{python.title} is {cause}" if cause.startswith("too") else f"{python.title}: {cause}")
    return f"No Python here fits ({'; '.join(words)})." if words else "There is no Python here that an environment can be made from."  # fmt: skip


def words_of(version: Version) -> str:
    """`3.11`."""
    return f"{version[0]}.{version[1]}"


def python_plan_words(uv: Path, version: Version, folder: Path) -> list[str]:
    """The command lines that `bring_python` would run, for a dry run."""
    return [show([str(uv), *_words(version, folder)])]


def _words(version: Version, folder: Path) -> list[str]:
    # Nothing on the PATH, nothing in the registry: this Python is ours alone.
    return ["python", "install", words_of(version), "--install-dir", str(folder), "--no-bin", "--no-registry"]


def bring_python(commands: Commands, uv: Path | None, version: Version, folder: Path, tell: Tell) -> Path:
    """Let uv download a Python into `folder`; one that it brought before, and that still works, is taken.

    uv unpacks aside and renames, so an interrupted download is never taken for a Python; its rest is removed here.
    UV_PYTHON_INSTALL_MIRROR and the user's proxy and certificates count.

    Raises:
        InstallError: there is no uv, the download failed, or what came does not start.
    """
    if uv is None:
        raise InstallError(
            f"Python {words_of(version)} is needed, and uv, which could bring it, does not work here.",
            fix=f"Install {_by_hand(version)} {ALONE}",
        )
    with take_turn(
        folder / ".launcher.lock", timeout_s=WAIT_S,
        on_wait=lambda: tell("another window is bringing a Python; waiting until it is done"),
        busy="Another window is still bringing a Python.",
    ) as handle:  # fmt: skip
        present = _brought(folder, version)
        if present and _complaint(present) is None:
            return present
        tell(f"Python {words_of(version)} is downloaded (about {DOWNLOAD_MIB} MiB) into {folder}", keep=True)
        _clear(folder)
        # The lock goes on to uv: if we are killed and it is not, nobody clears away what it is unpacking.
        _install(replace(commands, lock=handle), uv, version, folder, tell, is_again=present is not None)
        return _proved(folder, version, commands)


def _install(
    commands: Commands, uv: Path, version: Version, folder: Path, tell: Tell, *, is_again: bool
) -> None:
    words = [*_words(version, folder), *(["--reinstall"] if is_again else [])]
    finished = commands.uv(uv, words, tell, {"UV_PYTHON_DOWNLOADS": "manual"})
    if finished.code == 0:
        return
    lines = [line for line in finished.output.strip().splitlines() if line.strip()]
    raise InstallError(
        f"Python {words_of(version)} could not be downloaded.",
        why="\n".join(lines[-TAIL_LINES:]) or f"uv ended with code {finished.code} and said nothing.",
        fix=_fix(finished.output, version),
        where=str(commands.log.path),
    )


def _fix(output: str, version: Version) -> str:
    """What helps against this failure, and what helps against any."""
    if "offline" in output.lower() and "UV_OFFLINE" in output:
        return f"uv was told to stay offline: take UV_OFFLINE out of the environment, or install {_by_hand(version)}"
    # What pip's settings can mend; statuses and damaged files are not about the package index here.
    general = "" if "HTTP status" in output or "archive" in output else f"{advice(output)} "
    return (
        f"{general}uv fetches Pythons from GitHub: where that is blocked, name a mirror in the variable "
        f"UV_PYTHON_INSTALL_MIRROR, or install {_by_hand(version)} {ALONE}"
    )


def _by_hand(version: Version) -> str:
    return f"Python {words_of(version)} (64-bit) from python.org beside what is there, then start this again."


def _clear(folder: Path) -> None:
    """What an interrupted download left. uv has none of it in use: we hold the lock."""
    with suppress(OSError):  # a virus scanner may hold a file; uv takes a new name
        shutil.rmtree(folder / ".temp")


def _brought(folder: Path, version: Version) -> Path | None:
    """The newest patch release of `version` that uv unpacked here.

    Its link without a patch number is passed over: an upgrade would move it under the environments' feet.
    """
    pattern = re.compile(rf"cpython-{version[0]}\.{version[1]}\.(\d+)-.*")
    with suppress(OSError):
        found = [
            (int(match[1]), path) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))
        ]
        for _, path in sorted(found, reverse=True):
            for name in ("python.exe", f"bin/python{words_of(version)}"):
                if (path / name).is_file():
                    return path / name
    return None


def _complaint(python: Path) -> str | None:
    """Why no environment can be made from it; it is asked by starting it."""
    from launcher.machine.pythons import ask_python

    told = ask_python(python, "uv")
    return "it is not one" if told is None else told.problem


def _proved(folder: Path, version: Version, commands: Commands) -> Path:
    python = _brought(folder, version)
    complaint = _complaint(python) if python else "uv says that it is done, and there is none"
    if python is None or complaint:
        raise InstallError(
            f"The Python {words_of(version)} that uv brought cannot be used: {complaint}.",
            why="A virus scanner may have stopped it, or this system is too old for it.",
            fix=f"Install {_by_hand(version)} {ALONE}",
            where=str(commands.log.path),
        )
    return python
