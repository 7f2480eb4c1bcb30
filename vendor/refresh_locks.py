"""Refresh `vendor/locks/`: .venv/bin/python vendor/refresh_locks.py [TRAINER=CHECKOUT ...]

Resolves a trainer's requirements together with every torch build that it takes, once for all systems and Pythons of the
build (`uv pip compile --universal --generate-hashes`), and writes what is not torch's own family with its hashes. The
rehearsal needs no checkout. Packages come from wherever the user's pip configuration says; torch itself from the
PyTorch index if that can be reached, else the public version of the same release stands for it, which has the same
dependencies but for CUDA's libraries, and those are left out of a lock anyway.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from packaging.markers import Marker  # noqa: E402
from uv import find_uv_bin  # noqa: E402

from launcher.errors import LauncherError  # noqa: E402
from launcher.install.index import PipSettings, base_python, read_pip_settings, uv_environment, uv_flags  # noqa: E402
from launcher.install.lock import environment, lines  # noqa: E402
from launcher.install.pins import Pins, Platform, TorchSet, Version, load_pins, loads, normalize  # noqa: E402
from launcher.paths import Paths  # noqa: E402
from launcher.process import Finished, run  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAINERS = ("rehearsal", "sd-scripts", "sd-scripts-fp8")
PLATFORMS = tuple(
    Platform(os=system, arch=arch)
    for system, arch in (("linux", "x86_64"), ("windows", "x86_64"), ("macos", "arm64"), ("linux", "arm64"))
)
MARKERS = {
    "linux-x86_64": "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "linux-arm64": "sys_platform == 'linux' and platform_machine == 'aarch64'",
    "windows-x86_64": "sys_platform == 'win32' and platform_machine == 'AMD64'",
    "macos-arm64": "sys_platform == 'darwin' and platform_machine == 'arm64'",
}
FAMILY = re.compile(r"(torch|torchvision|xformers|triton|nvidia-.*|cuda-.*)$")
LIMIT_S = 900.0


def main(arguments: list[str]) -> None:
    checkouts = dict(argument.split("=", 1) for argument in arguments)
    unknown = set(checkouts) - set(TRAINERS)
    if unknown:
        raise SystemExit(f"no such trainer: {', '.join(sorted(unknown))}")
    for name in TRAINERS:
        table = loads((ROOT / "vendor" / f"{name}.toml").read_text(encoding="utf-8"))
        wanted = requirements(name, table, checkouts)
        if wanted is None:
            print(f"{name}: no checkout given, left as it is")
            continue
        views = {str(platform): _pins(name, platform) for platform in PLATFORMS}
        sdists = table.get("requirements", {}).get("sdists", [])
        for set_name in dict.fromkeys(key for pins in views.values() for key in pins.sets):
            builds = {key: pins.sets[set_name] for key, pins in views.items() if set_name in pins.sets}
            write(views["linux-x86_64"].lock_file(set_name), name, wanted, builds, sdists)


def _pins(name: str, platform: Platform) -> Pins:
    return load_pins(Paths(root=ROOT, home=ROOT, shipped=ROOT), name, platform=platform)


# --- what is wanted


def requirements(name: str, table: Mapping, checkouts: Mapping[str, str]) -> list[str] | None:
    """A trainer's own requirements with our changes, or None where its checkout was not given."""
    if "requirements" not in table:
        return _from_pins(table)
    if name not in checkouts:
        return None
    words = table["requirements"]
    own = lines(Path(checkouts[name], words["file"]).read_text(encoding="utf-8"))
    missing = set(words["removed"]) - set(own)
    if missing:
        raise SystemExit(f"{name}: {missing} is to be removed but is not there: look at the pins again")
    overrides = words["overrides"]
    kept = [line for line in own if line not in words["removed"] and _name(line) not in overrides]
    return kept + [f"{key}{value['wanted']}" for key, value in overrides.items()]


def _from_pins(table: Mapping) -> list[str]:
    """The rehearsal names its packages in its pins; those of one Python get a marker, the others its opposite."""
    special = table.get("packages_on", {})
    found = []
    for package, version in table["packages"].items():
        others = [python for python, packages in special.items() if package in packages]
        marker = " and ".join(f"({_but(python)})" for python in others)
        found.append(f"{package}=={version}" + (f" ; {marker}" if marker else ""))
    for python, packages in special.items():
        found += [f"{package}=={version} ; {_on(python)}" for package, version in packages.items()]
    return found


def _on(python: str) -> str:
    return f"python_full_version >= '{python}' and python_full_version < '{_next(python)}'"


def _but(python: str) -> str:
    """Not `python_version != ...`: uv 0.13.9 takes such a package for that Python all the same."""
    return f"python_full_version < '{python}' or python_full_version >= '{_next(python)}'"


def _next(python: str) -> str:
    major, minor = python.split(".")
    return f"{major}.{int(minor) + 1}"


def _name(requirement: str) -> str:
    return normalize(re.match(r"[A-Za-z0-9._-]+", requirement)[0])


# --- the resolution


def write(
    target: Path, name: str, wanted: list[str], builds: Mapping[str, TorchSet], sdists: list[str]
) -> None:
    """Resolve for all builds of one name, and write the lock."""
    index = next(iter(builds.values())).index
    is_reached = bool(index) and reaches(index)
    torch = [line for key, build in builds.items() for line in _torch(key, build, with_tag=is_reached)]
    answer = resolve([*torch, *wanted], builds, index if is_reached else None, sdists)
    kept = simplify(without_family(answer), builds)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes((header(name, target, builds, is_reached=is_reached) + kept).encode())
    print(f"{target.name}: {len(lines(kept))} lines", flush=True)


def _torch(key: str, build: TorchSet, *, with_tag: bool) -> list[str]:
    packages = build.packages if with_tag else [package.partition("+")[0] for package in build.packages]
    return [f"{package} ; {MARKERS[key]}" for package in packages]


def resolve(wanted: list[str], builds: Mapping[str, TorchSet], index: str | None, sdists: list[str]) -> str:
    """What uv answers, hashes included."""
    first = min(build.pythons[0] for build in builds.values())
    with tempfile.TemporaryDirectory() as folder:
        project, lock = Path(folder, "pyproject.toml"), Path(folder, "lock.txt")
        project.write_text(_project(wanted, builds, index), encoding="utf-8")
        words = [
            "pyproject.toml",
            "--universal",
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
            "--quiet",
        ]
        words += [
            "--python-version",
            "{}.{}".format(*first),
            "--only-binary",
            ":all:",
            "--output-file",
            str(lock),
        ]
        words += [word for sdist in sdists for word in ("--no-binary", sdist)]
        finished = compile_with_uv(words, Path(folder))
        if finished.code:
            raise SystemExit(f"no solution:\n{finished.output}\n{project.read_text(encoding='utf-8')}")
        return lock.read_text(encoding="utf-8")


def _project(wanted: list[str], builds: Mapping[str, TorchSet], index: str | None) -> str:
    """What is wanted, the systems and Pythons to resolve for (each must have wheels), and where torch is from."""
    places = [f"{MARKERS[key]} and {_range(*build.pythons)}" for key, build in builds.items()]
    each = [f"{MARKERS[key]} and {_range(it, it)}" for key, build in builds.items() for it in _span(build)]
    text = f'[project]\nname = "lock"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = {json.dumps(wanted)}\n'
    text += f"[tool.uv]\nenvironments = {json.dumps(places)}\nrequired-environments = {json.dumps(each)}\n"
    if index:
        text += f'[[tool.uv.index]]\nname = "torch"\nurl = "{index}"\nexplicit = true\n[tool.uv.sources]\n'
        text += "".join(
            f'{package} = {{ index = "torch" }}\n' for package in ("torch", "torchvision", "xformers")
        )
    return text


def _range(low: Version, high: Version) -> str:
    ends = f"python_full_version >= '{low[0]}.{low[1]}' and python_full_version < '{high[0]}.{high[1] + 1}'"
    return f"{ends} and platform_python_implementation == 'CPython'"


def _span(build: TorchSet) -> list[Version]:
    (major, first), (_, last) = build.pythons
    return [(major, minor) for minor in range(first, last + 1)]


def without_family(text: str) -> str:
    """The lock without torch's family: those come with the torch build. Hashes stay with their package."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", text)
    return "".join(block for block in blocks if block.strip() and not FAMILY.match(_name(block)))


def simplify(text: str, builds: Mapping[str, TorchSet]) -> str:
    """Drop a marker that holds wherever the lock is for: uv repeats all of those places in every line."""
    places = [
        environment(python, *key.split("-")) for key, build in builds.items() for python in _span(build)
    ]

    def shorter(match: re.Match[str]) -> str:
        holds = all(Marker(match["marker"]).evaluate(place) for place in places)
        return match["pin"] if holds else match[0]

    return re.sub(r"(?m)^(?P<pin>[A-Za-z0-9]\S*) ; (?P<marker>.*?)(?= \\$)", shorter, text)


def header(name: str, target: Path, builds: Mapping[str, TorchSet], *, is_reached: bool) -> str:
    found = [
        f"# {key}: {', '.join(build.packages)}; Python {'{}.{}'.format(*build.pythons[0])} to {'{}.{}'.format(*build.pythons[1])}"
        for key, build in builds.items()
    ]
    how = (
        "# Resolved against the PyTorch index."
        if is_reached
        else "# The PyTorch index could not be read: the public versions of the same releases stood for the builds."
    )
    return "\n".join(
        [
            f"# Packages of `{name}` beside the torch build `{target.stem.removeprefix(name + '-')}`, for",
            *found,
            "# torch, torchvision, xformers, triton and CUDA's libraries are left out: they come with the build.",
            how,
            "# Made by vendor/refresh_locks.py (uv pip compile --universal --generate-hashes). Do not edit.",
            "",
        ]
    )


# --- uv


def compile_with_uv(words: list[str], folder: Path, *, only: str | None = None) -> Finished:
    """`uv pip compile` in a folder, from the index of the user's pip configuration, or from another one.

    Further indexes and folders with wheels are left out: where one holds a version too, but not all of its wheels, uv
    looks no further, and the lock would fit this computer alone.
    """
    settings = _settings()
    changes = {**uv_environment(settings, os.environ), "UV_NO_PROGRESS": "1", "VIRTUAL_ENV": None}
    changes |= dict.fromkeys(("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"))
    flags = uv_flags(settings)
    if only:
        changes |= {"UV_DEFAULT_INDEX": None, "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"}
        flags = ["--default-index", only]
    return run([find_uv_bin(), "pip", "compile", *words, *flags], cwd=folder, env=changes, timeout_s=LIMIT_S)


@cache
def _settings() -> PipSettings:
    return read_pip_settings((base_python(),), cwd=ROOT)


@cache
def reaches(index: str) -> bool:
    """Can that index be read?"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "wanted.in").write_text("torch\n", encoding="utf-8")
        try:
            return compile_with_uv(["wanted.in", "--no-deps", "--quiet"], Path(folder), only=index).code == 0
        except LauncherError:
            return False


if __name__ == "__main__":
    main(sys.argv[1:])
