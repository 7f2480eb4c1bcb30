"""The Pythons of this computer, each asked by starting it. Takes a second: not for every start."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import LauncherError
from launcher.machine.aliases import Kind, kind_of, stub_words
from launcher.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.machine.places import Place

ASK_TIMEOUT_S = 8.0
MOST_AT_ONCE = 6
NEEDED = (
    "_ctypes",
    "_ssl",
    "zlib",
    "_bz2",
    "_lzma",
)  # torch and torchvision import them; own builds often lack one
QUESTION = f"""
import json, platform, struct, sys, sysconfig, os, importlib.util as u
v = sysconfig.get_config_var
print(json.dumps(dict(
    version=list(sys.version_info[:3]), level=sys.version_info[3], bits=struct.calcsize("P") * 8,
    implementation=platform.python_implementation(), platform=sysconfig.get_platform(), abi=str(v("SOABI") or ""),
    is_free_threaded=bool(v("Py_GIL_DISABLED")), is_conda=os.path.isdir(os.path.join(sys.base_prefix, "conda-meta")),
    missing=[name for name in {NEEDED!r} if u.find_spec(name) is None], has_venv=u.find_spec("venv") is not None,
    base=getattr(sys, "_base_executable", None) or sys.executable,
)))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Python:
    """One Python, or a file that looks like one."""

    path: Path  # of the base interpreter, where what was found is an environment of it
    source: str  # how it was found
    version: tuple[int, int, int] | None = None
    bits: int | None = None
    platform: str = ""  # `win-amd64`, `linux-x86_64`
    title: str = ""  # `CPython 3.11.7`
    problem: str | None = None  # why no environment can be made from it
    warning: str = ""  # usable, but another one is better
    is_own: bool = False  # the launcher's own environment stands on it


def find_pythons(places: Iterable[Place] | None = None, *, timeout_s: float = ASK_TIMEOUT_S) -> list[Python]:
    """Every Python that can be found, newest first; those that cannot be used say why. Never raises.

    Args:
        places: where to look; None: wherever this system keeps them.
        timeout_s: for each to answer.
    """
    from concurrent.futures import ThreadPoolExecutor

    if places is None:
        from launcher.machine.places import python_places

        places = python_places()
    chosen: dict[str, Place] = {}
    for place in places:
        chosen.setdefault(_real(place.path), place)
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        answers = list(pool.map(lambda place: ask_python(place.path, place.source, timeout_s=timeout_s), chosen.values()))  # fmt: skip
    own = _real(Path(getattr(sys, "_base_executable", None) or sys.executable))
    found: dict[str, Python] = {}
    for python in answers:
        if python is not None:
            key = _real(python.path)
            found.setdefault(key, replace(python, is_own=key == own))
    return sorted(found.values(), key=lambda python: python.version or (0, 0, 0), reverse=True)


def _real(path: Path) -> str:
    try:
        return os.path.normcase(os.path.realpath(path))
    except OSError:  # Windows: a link that may not be followed
        return os.path.normcase(path)


def ask_python(path: Path, source: str, *, timeout_s: float = ASK_TIMEOUT_S) -> Python | None:
    """What a Python says of itself; None for one that leads only to others. An alias of the Store is not started."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    kind = kind_of(str(path), size=size, has_developer_tools=_has_developer_tools())
    if kind is Kind.SHIM:
        return None
    if kind is Kind.STUB:
        return Python(path=path, source=source, problem=stub_words(str(path)))
    try:
        finished = run([path, "-I", "-c", QUESTION], cwd=path.parent, env={"PYTHONHOME": None, "PYTHONPATH": None}, timeout_s=timeout_s)  # fmt: skip
    except LauncherError as error:
        return Python(path=path, source=source, problem=f"it does not start: {error.what}")
    try:
        told = json.loads(finished.output.strip().splitlines()[-1])
        return describe(told, path=path, source=source, is_store=kind is Kind.STORE)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return Python(path=path, source=source, problem=_broken(finished.output, finished.code))


def _broken(output: str, code: int) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("Unknown option: -I" in line or "No module named util" in line for line in lines):
        return "it is Python 2"
    return f"it does not work: {lines[-1][:200] if lines else f'it ended with code {code}'}"


def _has_developer_tools() -> bool:
    return sys.platform != "darwin" or Path("/Library/Developer/CommandLineTools/usr/bin/python3").exists()


def describe(told: dict[str, Any], *, path: Path, source: str, is_store: bool = False) -> Python:
    """A Python from its answer to QUESTION.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, IndexError: the answer is none.
    """
    major, minor, patch = (int(part) for part in told["version"])
    base = _lasting(Path(told.get("base") or path), f"python{major}.{minor}")
    is_store = is_store or kind_of(str(base), size=None) is Kind.STORE
    kind = "conda" if told["is_conda"] else "Microsoft Store" if is_store else ""
    return Python(
        path=base,
        source=source,
        version=(major, minor, patch),
        bits=int(told["bits"]),
        platform=str(told["platform"]),
        title=f"{told['implementation']} {major}.{minor}.{patch}{f' ({kind})' if kind else ''}",
        problem=_problem(told),
        warning=_warning(told, is_store=is_store),
    )


def _lasting(path: Path, name: str) -> Path:
    """`python3` may be another version tomorrow; its neighbour `python3.11`, if it is the same now, will not."""
    neighbour = path.parent / name
    return neighbour if path.name != name and _real(neighbour) == _real(path) else path


def _problem(told: dict[str, Any]) -> str | None:
    """Why no wheel of torch fits, or why what it installs cannot work."""
    kind, platform, missing = told["implementation"], str(told["platform"]), told["missing"]
    lacking = ", ".join(name.strip("_") for name in missing)
    reasons = (
        (kind != "CPython", f"it is {kind}: torch is made for CPython"),
        (told["bits"] != 64, "it is a 32-bit Python: torch needs a 64-bit one"),
        (told["is_free_threaded"], "it is a free-threaded build: the packages of the trainers are not made for it"),
        (told["level"] != "final", "it is a preview of a version to come"),
        ("musl" in told["abi"], "it is built for musl: torch is made for glibc"),
        (platform.startswith(("mingw", "cygwin", "msys")), f"it is built for {platform}: torch is made for Python from python.org"),
        (missing, f"it was built without {lacking}, which the trainers need"),
    )  # fmt: skip
    return next((words for is_so, words in reasons if is_so), None)


def _warning(told: dict[str, Any], *, is_store: bool) -> str:
    if is_store:
        return "Pythons from the Microsoft Store live in long, redirected paths"
    if told["is_conda"]:
        return "it belongs to conda, which may change or remove it"
    return ""
