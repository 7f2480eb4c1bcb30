"""Gets a torch build from the first place that has it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.install.commands import advice
from launcher.install.pins import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.install.engine import Engine, Offer
    from launcher.install.pins import TorchSet
    from launcher.install.steps import Tell

PROBLEM_LINES = 3
MIB = 1024 * 1024
UNPACKED = 4  # a torch download of 183 MiB took 660 MiB unpacked, and the download itself is kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A place that may have the build."""

    title: str
    packages: tuple[str, ...]
    index: str | None  # None: where the user's configuration says
    is_fallback: bool = False


def sources(torch_set: TorchSet) -> list[Source]:
    """Places in the order in which they are asked: the user's own copy first, another build last."""
    found = [Source(title="your pip configuration", packages=torch_set.packages, index=None)]
    if torch_set.index:
        found.append(Source(title="the PyTorch index", packages=torch_set.packages, index=torch_set.index))
    if torch_set.fallback:
        found.append(
            Source(title="your pip configuration", packages=torch_set.fallback, index=None, is_fallback=True)
        )
    return found


def missing(torch_set: TorchSet, present: Mapping[str, str]) -> str | None:
    """Why the build must be installed, or None. The fallback's build tag does not count: it is what was to be had."""
    if all(present.get(name) == version for name, version in map(exact, torch_set.packages)):
        return None
    wanted = [exact(package) for package in torch_set.fallback]
    if wanted and all(present.get(name, "").partition("+")[0] == version for name, version in wanted):
        return None
    name, version = exact(torch_set.packages[0])
    found = present.get(name)
    return f"{name} is {found} and should be {version}" if found else f"{name} {version} is not installed"


def install_set(
    engine: Engine, venv: Path, torch_set: TorchSet, tell: Tell, *, before: Callable[[], None]
) -> None:
    """Install the build from the first source that has it, telling the size before the download.

    `before` is called when a source has it, before the environment changes.

    Raises:
        InstallError: no source has it, or the download or the installation failed.
    """
    problems: list[str] = []
    for source in sources(torch_set):
        tell(f"asking {source.title} for {', '.join(source.packages)}")
        offer = engine.look(venv, source.packages, index=source.index, alone=not source.is_fallback)
        if offer.problem is None:
            tell(announcement(source, offer), keep=True)
            _require_room(venv, offer)
            before()
            try:
                engine.install(venv, source.packages, tell, index=source.index, alone=True)
            except InstallError as error:
                if offer.download is not None:  # it was there: what failed is not the source
                    raise
                offer = type(offer)(problem=error.why)
            else:
                return
        problems.append(f"{source.title}: {_last_lines(offer.problem or '')}")
    why = "\n".join(problems)
    raise InstallError(f"The torch build {torch_set.title} could not be had.", why=why, fix=advice(why))


def _require_room(venv: Path, offer: Offer) -> None:
    """The pins' own number is for the planned build; what an index offers instead may be ten times as large."""
    needed = UNPACKED * offer.download.known_bytes if offer.download else 0
    free = shutil.disk_usage(venv).free
    if free < needed:
        raise InstallError(
            f"The drive is too full: about {needed // MIB} MiB are needed, {free // MIB} MiB are free.",
            why=f"The environment lies in {venv}.",
            fix="Make room on this drive, or move the whole folder to another one, then start this again.",
        )


def announcement(source: Source, offer: Offer) -> str:
    """What is about to be downloaded, from where, and how much."""
    words = f"{', '.join(source.packages)} from {source.title}: {offer.size_in_words}"
    return f"the PyTorch index cannot be used, so {words}" if source.is_fallback else words


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-PROBLEM_LINES:])
