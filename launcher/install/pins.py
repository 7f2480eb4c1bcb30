"""What a training environment is made of, read from `vendor/<trainer>.toml`. Its words: vendor/README.md."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InstallError, UsageError
from launcher.install.proof import pins_file, pins_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import Paths

Version = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchSet:
    """One build of torch and what belongs to it."""

    name: str
    title: str
    packages: tuple[str, ...]  # exact requirements, `torch==2.13.0+cpu`
    index: str | None
    fallback: tuple[str, ...]  # exact requirements for the configured index; empty: no other source will do
    pythons: tuple[Version, Version]
    disk_mib: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pins:
    """The plan of one trainer's environment."""

    name: str
    title: str
    text: str  # of the file that it was read from: the marker remembers it
    default_set: str
    sets: Mapping[str, TorchSet]
    packages: Mapping[str, str]
    packages_on: Mapping[str, Mapping[str, str]]
    proof_imports: tuple[str, ...]
    proof_operations: tuple[str, ...]

    def torch_set(self, name: str) -> TorchSet:
        """The set of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self.sets:
            raise UsageError(
                f"There is no torch build `{name}` for {self.title}.",
                fix=f"Known builds: {', '.join(sorted(self.sets))}.",
            )
        return self.sets[name]

    def versions(self, python: Version) -> dict[str, str]:
        """Package names (normalized) and exact versions for one Python version."""
        chosen = {**self.packages, **self.packages_on.get(f"{python[0]}.{python[1]}", {})}
        return {normalize(name): version for name, version in chosen.items()}


def normalize(name: str) -> str:
    """The one spelling of a package's name (the packaging specifications' rule)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def exact(requirement: str) -> tuple[str, str]:
    """`torch==2.13.0+cpu` as normalized name and version."""
    name, _, version = requirement.partition("==")
    return normalize(name), version


def load_pins(paths: Paths, name: str) -> Pins:
    """The pins of a trainer.

    Raises:
        InstallError: there are none, or the file is damaged.
    """
    path = pins_file(paths, name)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InstallError(
            f"There is no environment to install for `{name}`.",
            why=f"{path.name} cannot be read: {error.strerror or error}",
            where=str(path),
        ) from error
    try:
        return _parse(name, loads(raw.decode("utf-8-sig")), pins_text(raw))
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


def _parse(name: str, table: dict[str, Any], text: str) -> Pins:
    return Pins(
        name=name,
        title=str(table["title"]),
        text=text,
        default_set=str(table["default_set"]),
        sets={key: _set(key, value) for key, value in table["sets"].items()},
        packages=dict(table["packages"]),
        packages_on={key: dict(value) for key, value in table.get("packages_on", {}).items()},
        proof_imports=tuple(table["proof"]["imports"]),
        proof_operations=tuple(table["proof"].get("operations", ())),
    )


def _set(name: str, table: dict[str, Any]) -> TorchSet:
    first, last = table["python"]
    return TorchSet(
        name=name,
        title=str(table["title"]),
        packages=tuple(table["packages"]),
        index=table.get("index"),
        fallback=tuple(table.get("fallback", ())),
        pythons=(_version(first), _version(last)),
        disk_mib=int(table["disk_mib"]),
    )


def _version(text: str) -> Version:
    major, minor = text.split(".")
    return int(major), int(minor)
