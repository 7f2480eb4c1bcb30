"""Which wheels fit an interpreter that is not the one we run on: tags, best first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from launcher.install.lock import environment
from launcher.install.pins import this_platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.tags import Tag

    from launcher.install.pins import Platform, Version

OLDEST_GLIBC, ASSUMED_GLIBC = (
    17,
    35,
)  # glibc 2.x of manylinux2014, and of Ubuntu 22.04, for a Linux that is not here
ASSUMED_MACOS = (14, 0)


@dataclass(frozen=True, kw_only=True)
class Target:
    """CPython of one version on one platform."""

    python: Version
    platform: Platform

    @cached_property
    def ranks(self) -> Mapping[Tag, int]:
        """Every tag that fits, with its rank: 0 is the best."""
        from packaging.tags import compatible_tags, cpython_tags

        interpreter = f"cp{self.python[0]}{self.python[1]}"
        platforms = _platforms(self.platform)
        # The ABI is given: without it `packaging` asks the Python that we run on whether it is a debug build.
        tags = [
            *cpython_tags(self.python, [interpreter], platforms),
            *compatible_tags(self.python, interpreter, platforms),
        ]
        return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}

    @cached_property
    def markers(self) -> dict[str, str]:
        """What markers of requirements ask for."""
        return environment(self.python, self.platform.os, self.platform.arch)

    def rank(self, tags: Iterable[Tag]) -> int | None:
        """How well a wheel with these tags fits, 0 is best; None: not at all."""
        return min((self.ranks[tag] for tag in tags if tag in self.ranks), default=None)

    def allows(self, requires_python: str) -> bool:
        """Does `Requires-Python` take this Python? Its third number is not known: any that fits will do."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            wanted = SpecifierSet(requires_python)
        except InvalidSpecifier:  # pip ignores what it cannot read, too
            return True
        first, second = self.python
        return any(wanted.contains(f"{first}.{second}.{last}") for last in (0, 99))

    def __str__(self) -> str:
        return f"Python {self.python[0]}.{self.python[1]} on {self.platform}"


def target_of(python: Version, platform: Platform | None = None) -> Target:
    """CPython of that version, on this platform unless another is named."""
    return Target(python=python, platform=platform or this_platform())


def _platforms(platform: Platform) -> list[str]:
    from packaging.tags import mac_platforms, platform_tags

    if platform.os == "windows":  # by name: a 32-bit launcher may install for a 64-bit Python
        return ["win_amd64" if platform.arch == "x86_64" else "win_arm64"]
    if platform == this_platform():
        return list(platform_tags())  # asks the C library for its version
    if platform.os == "macos":
        return list(mac_platforms(ASSUMED_MACOS, platform.arch))
    arch = "aarch64" if platform.arch == "arm64" else platform.arch
    manylinux = [f"manylinux_2_{minor}_{arch}" for minor in range(ASSUMED_GLIBC, OLDEST_GLIBC - 1, -1)]
    return [*manylinux, f"manylinux2014_{arch}", f"linux_{arch}"]
