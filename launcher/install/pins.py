"""What a training environment is made of, read from `vendor/`: a trainer's own pins and the table of torch builds.

The words of the files: vendor/README.md.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InstallError, UsageError
from launcher.install import lock
from launcher.install.proof import pins_file, pins_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.paths import Paths

Version = tuple[int, int]
TABLE = "torch-sets.toml"  # beside the trainers' pins: the torch builds that they share
LOCKS = "locks"
DEFAULT_MIB = 10000  # a CUDA build where nobody measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """What decides which wheels fit, beside Python's version."""

    os: str  # linux, windows, macos
    arch: str  # x86_64, arm64

    def __str__(self) -> str:
        return f"{self.os}-{self.arch}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchSet:
    """One build of torch and what belongs to it, for one platform."""

    name: str
    title: str
    packages: tuple[str, ...]  # exact requirements, `torch==2.13.0+cpu`
    index: str | None
    fallback: tuple[str, ...]  # exact requirements for the configured index; empty: no other source will do
    pythons: tuple[Version, Version]  # both ends included; the trainer's own range is already applied
    disk_mib: int  # peak need, downloads and environment together
    download_mib: int = 0  # over the network, an estimate; 0: nobody knows
    capabilities: tuple[Version, Version] | None = (
        None  # first and last compute capability served; None: no GPU
    )
    driver: str | None = None  # the lowest that will do on this OS
    cuda: str | None = None  # "12.1"
    xformers_capability: Version | None = None  # below it xformers has no kernels
    note: str = ""  # one sentence: for whom

    @property
    def has_xformers(self) -> bool:
        return any(exact(package)[0] == "xformers" for package in self.packages)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePin:
    """The trainer's own code: where it is and how to know that it is the right one."""

    git: str
    zip: str
    commit: str
    tree: str  # git's hash of the whole tree: the same however the code came
    ref: str  # tag or branch, for servers that refuse a commit id
    executables: tuple[str, ...]  # paths with mode 100755: Windows cannot tell
    omitted: Mapping[
        str, str
    ]  # path -> blob id of files that may be absent; the ids enter the tree hash all the same
    script: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pins:
    """The plan of one trainer's environment."""

    name: str
    title: str
    text: str  # of the file that it was read from: the marker remembers it
    folder: Path  # where the file lies, and the locks beside it
    platform: Platform
    default_set: str
    sets: Mapping[str, TorchSet]
    elsewhere: tuple[str, ...]  # sets without a build for this platform
    second: tuple[str, str] | None  # a set offered beside the default one, and why
    packages: Mapping[str, str]
    packages_on: Mapping[str, Mapping[str, str]]
    source: SourcePin | None  # None: the trainer is shipped with the launcher
    accelerate: str  # version, as the lock has it
    proof_imports: tuple[str, ...]
    proof_operations: tuple[str, ...]
    probe_help: bool  # does `script --help` belong to the proof?

    def torch_set(self, name: str) -> TorchSet:
        """The set of that name.

        Raises:
            UsageError: there is none, or none for this platform.
        """
        if name not in self.sets:
            here = f" on {self.platform}" if name in self.elsewhere else ""
            raise UsageError(
                f"There is no torch build `{name}` for {self.title}{here}.",
                fix=f"Known builds: {', '.join(sorted(self.sets))}.",
            )
        return self.sets[name]

    def lock_file(self, set_name: str) -> Path:
        """Exact versions and hashes of everything but the torch family."""
        return self.folder / LOCKS / f"{self.name}-{set_name}.txt"

    def locked(self, set_name: str, python: Version) -> dict[str, str]:
        """Package names (normalized) and exact versions, without the torch family, for one Python.

        Raises:
            InstallError: the lock is missing or damaged.
        """
        path = self.lock_file(set_name)
        if not path.is_file() and self.packages:
            return self.versions(python)
        return lock.read(path, python, self.platform.os, self.platform.arch)

    def versions(self, python: Version) -> dict[str, str]:
        """The packages that the pins themselves name, for one Python version."""
        chosen = {**self.packages, **self.packages_on.get(f"{python[0]}.{python[1]}", {})}
        return {normalize(name): version for name, version in chosen.items()}


def normalize(name: str) -> str:
    """The one spelling of a package's name (the packaging specifications' rule)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def exact(requirement: str) -> tuple[str, str]:
    """`torch==2.13.0+cpu` as normalized name and version."""
    name, _, version = requirement.partition("==")
    return normalize(name), version


def this_platform() -> Platform:
    """The one that we run on; what we do not know gets its own name, for which there are no builds."""
    from platform import machine as running_machine

    systems = {"win32": "windows", "cygwin": "windows", "darwin": "macos"}
    machine = running_machine().lower()
    arches = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}
    return Platform(os=systems.get(sys.platform, sys.platform), arch=arches.get(machine, machine))


def load_pins(paths: Paths, name: str, *, platform: Platform | None = None) -> Pins:
    """The pins of a trainer, for a platform (by default this one).

    Raises:
        InstallError: there are none, or a file is damaged.
    """
    path = pins_file(paths, name)
    raw = _read(path, f"There is no environment to install for `{name}`.")
    try:
        own = loads(raw.decode("utf-8-sig"))
        table = _table(path.with_name(TABLE)) if "torch" in own else {}
        return _parse(path, own, table, pins_text(raw), platform or this_platform())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InstallError(
            f"The pins of `{name}` are damaged.",
            why=f"{type(error).__name__}: {error}",
            fix="Get the shipped file back (git checkout, or unpack the download again).",
            where=str(path),
        ) from error


def loads(text: str) -> dict[str, Any]:
    """TOML on every Python that we run on."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    table: dict[str, Any] = tomllib.loads(text)
    return table


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = f"{path.name} cannot be read: {error.strerror or error}"
        raise InstallError(what, why=why, where=str(path)) from error


def _table(path: Path) -> dict[str, Any]:
    sets: dict[str, Any] = loads(_read(path, "The table of torch builds is missing.").decode("utf-8-sig"))[
        "sets"
    ]
    return sets


def _parse(path: Path, own: dict[str, Any], table: dict[str, Any], text: str, platform: Platform) -> Pins:
    family = own.get("torch", {})
    known = {name: table[name] for name in family.get("sets", ())} | own.get("sets", {})
    sets = {name: _set(name, value, family, platform) for name, value in known.items()}
    packages = dict(own.get("packages", {}))
    return Pins(
        name=path.stem,
        title=str(own["title"]),
        text=text,
        folder=path.parent,
        platform=platform,
        default_set=str(own["default_set"]),
        sets={name: found for name, found in sets.items() if found},
        elsewhere=tuple(name for name, found in sets.items() if not found),
        second=(family["second"], family["second_because"]) if "second" in family else None,
        packages=packages,
        packages_on={key: dict(value) for key, value in own.get("packages_on", {}).items()},
        source=_source(own["source"]) if "source" in own else None,
        accelerate=str(own.get("accelerate") or packages.get("accelerate", "")),
        proof_imports=tuple(own["proof"]["imports"]),
        proof_operations=tuple(own["proof"].get("operations", ())),
        probe_help=bool(own["proof"].get("help", False)),
    )


def _set(name: str, table: dict[str, Any], family: dict[str, Any], platform: Platform) -> TorchSet | None:
    """The set on one platform: what the build says stands before what the set says for all of them."""
    builds = table.get("builds")
    if builds is not None and str(platform) not in builds:
        return None
    words = {**table, **(builds[str(platform)] if builds else {})}
    wanted = family.get("packages")
    packages = tuple(package for package in words["packages"] if not wanted or exact(package)[0] in wanted)
    return TorchSet(
        name=name,
        title=str(words["title"]),
        packages=packages,
        index=words.get("index"),
        fallback=tuple(it for it in words.get("fallback", ()) if not wanted or exact(it)[0] in wanted),
        pythons=_both(_range(words["python"]), _range(family.get("python", words["python"]))),
        disk_mib=int(words.get("disk_mib", DEFAULT_MIB)),
        download_mib=int(words.get("download_mib", 0)),
        capabilities=_range(words["capabilities"]) if "capabilities" in words else None,
        driver=words.get("driver"),
        cuda=words.get("cuda"),
        xformers_capability=_version(words["xformers_capability"])
        if "xformers_capability" in words
        else None,
        note=str(words.get("note", "")),
    )


def _source(table: dict[str, Any]) -> SourcePin:
    return SourcePin(
        git=str(table["git"]),
        zip=str(table["zip"]),
        commit=str(table["commit"]),
        tree=str(table["tree"]),
        ref=str(table["ref"]),
        executables=tuple(table.get("executables", ())),
        omitted=dict(table.get("omitted", {})),
        script=str(table["script"]),
    )


def _range(ends: list[str]) -> tuple[Version, Version]:
    first, last = ends
    return _version(first), _version(last)


def _both(one: tuple[Version, Version], other: tuple[Version, Version]) -> tuple[Version, Version]:
    return max(one[0], other[0]), min(one[1], other[1])


def _version(text: str) -> Version:
    major, minor = text.split(".")
    return int(major), int(minor)
