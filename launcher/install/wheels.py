"""The torch family is found and fetched by ourselves: nothing else resumes a download of 2.5 GB or keeps channels apart.

Each package of a torch set is looked for in the right places in the right order, then everything of the family that
these wheels pin in turn (nvidia-*, triton), until the set is closed. What contradicts the plan is an error here, before
anything is downloaded or installed. All other requirements belong to the lock.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.install.closure import Closure, NotFoundError
from launcher.install.fetch import Remote, fetch
from launcher.install.offers import Offers, configured_sources, own_sources, set_source
from launcher.install.pins import exact
from launcher.install.places import local_path
from launcher.install.sizes import Download
from launcher.install.target import target_of
from launcher.install.web import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.install.commands import Log
    from launcher.install.index import PipSettings
    from launcher.install.offers import Offer, Source
    from launcher.install.pins import Platform, TorchSet, Version
    from launcher.install.steps import Tell

ASKED_AT_ONCE = 8
UNPACKED, SPARE_BYTES = (
    3,
    500 << 20,
)  # measured: CUDA 2.9 GB to 4.9 GB and the file kept; CPU 183 MB to 660 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """One wheel of a set: here already, or to be fetched."""

    name: str  # normalized
    version: str
    file: Path | None  # on this computer, used where it lies
    remote: Remote | None
    source: str  # in words
    size: int | None = None  # bytes
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        return self.file.name if self.file else self.remote.name if self.remote else ""


def find_wheels(
    torch_set: TorchSet,
    python: Version,
    settings: PipSettings,
    *,
    folder: Path,
    tell: Tell,
    log: Log | None = None,
    platform: Platform | None = None,
    may_fetch: bool = True,
) -> list[Wheel]:
    """All wheels of a torch set, its own first, with their sizes; the fallback (said aloud) where the set cannot be had.

    Args:
        torch_set: the exact packages, and the index that has them.
        python: of the environment to be.
        settings: the user's pip configuration, with an index (see default_index.py).
        folder: where wheels were and will be downloaded to.
        tell: progress in words.
        log: the decisions, one line each.
        platform: other than this one, to look only.
        may_fetch: may a wheel be downloaded here, when it alone can tell what it requires? Otherwise it is taken
            to require nothing (for a dry run).

    Raises:
        InstallError: a wheel is to be had nowhere, or the wheels contradict each other.
    """
    own, configured = own_sources(settings, str(folder)), configured_sources(settings)
    index = set_source(torch_set.index, settings)

    def download(offer: Offer) -> Path | None:
        return (
            fetch_wheels([_wheel(offer)], folder, settings=settings, tell=tell, log=log)[0]
            if may_fetch
            else None
        )

    closure = Closure(
        offers=Offers(target=target_of(python, platform), settings=settings), tell=tell, download=download,
        tagged=[*own, *configured, *index], untagged=[*own, *index, *configured],
    )  # fmt: skip
    try:
        found = closure.of(dict(map(exact, torch_set.packages)))
    except NotFoundError as error:
        if not torch_set.fallback:
            raise
        tell(f"{error.what} Instead: {', '.join(torch_set.fallback)} from your pip configuration", keep=True)
        if log:
            log.write(f"{error.what}\n{error.why}")
        elsewhere = replace(closure, untagged=[*own, *configured])
        found = elsewhere.of(dict(map(exact, torch_set.fallback)))
    for words in _strangers(found, index, configured):
        tell(words, keep=True)
    wheels = _with_sizes([_wheel(offer) for offer in found], settings)
    if log:
        log.write("\n".join(f"{wheel.name} {wheel.version}: {wheel.file_name} from {wheel.source}" for wheel in wheels))  # fmt: skip
    return wheels


def _strangers(found: Sequence[Offer], index: Sequence[Source], configured: Sequence[Source]) -> list[str]:
    """Packages without a tag from elsewhere than the set's index: they may be built for another CUDA."""
    if not any(offer.source in index for offer in found):
        return []
    odd = [offer for offer in found if offer.name == "xformers" and offer.source in configured]
    return [
        f"{offer.name} {offer.version} is not on {index[0].title}; it comes from {offer.source.title}"
        for offer in odd
    ]


def _wheel(offer: Offer) -> Wheel:
    link = offer.link
    file = local_path(link.url)
    remote = None if file else Remote(url=link.url, name=link.file, sha256=link.sha256, size=link.size)
    return Wheel(
        name=offer.name, version=str(offer.version), file=file, remote=remote, source=offer.source.title,
        size=link.size, sha256=link.sha256,
    )  # fmt: skip


def _with_sizes(wheels: list[Wheel], settings: PipSettings) -> list[Wheel]:
    """Ask the servers for the sizes that the pages did not tell."""

    def sized(wheel: Wheel) -> Wheel:
        if wheel.size is not None:
            return wheel
        if wheel.file:
            return replace(wheel, size=wheel.file.stat().st_size)
        return replace(wheel, size=size_of(wheel.remote.url, settings=settings) if wheel.remote else None)

    with ThreadPoolExecutor(ASKED_AT_ONCE) as crowd:
        return list(crowd.map(sized, wheels))


def download_of(wheels: Sequence[Wheel]) -> Download:
    """How much that is, for `Download.in_words`."""
    return Download(
        packages=len(wheels),
        known_bytes=sum(wheel.size or 0 for wheel in wheels),
        unknown=sum(wheel.size is None for wheel in wheels),
        local_bytes=sum(wheel.size or 0 for wheel in wheels if wheel.file),
    )


def require_room(wheels: Sequence[Wheel], folder: Path) -> None:
    """Refuse before the download what would not fit: a fallback may be ten times as large as the planned build.

    Raises:
        InstallError: the drive is too full.
    """
    needed = UNPACKED * sum(wheel.size or 0 for wheel in wheels) + SPARE_BYTES
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise InstallError(
            f"The drive is too full: about {needed >> 20} MiB are needed, {free >> 20} MiB are free.",
            why=f"{download_of(wheels).in_words()} will be unpacked, and the downloads are kept in {folder}.",
            fix="Make room on this drive, or move the whole folder to another one, then start this again.",
        )


def fetch_wheels(
    wheels: Sequence[Wheel],
    folder: Path,
    *,
    settings: PipSettings,
    tell: Tell,
    log: Log | None = None,
) -> list[Path]:
    """Download what is not here, all as one progress; returns every wheel's file, in the same order.

    Raises:
        InstallError: a download failed (what has come is kept: the next call goes on there).
    """
    coming = [wheel for wheel in wheels if wheel.remote]
    whole = sum(wheel.size or 0 for wheel in coming) if all(wheel.size for wheel in coming) else None
    done = 0
    files: list[Path] = []
    for wheel in wheels:
        if wheel.remote is None:
            assert wheel.file is not None  # noqa: S101  (one of the two is always there)
            files.append(wheel.file)
            continue
        files.append(
            fetch(wheel.remote, folder, settings=settings, tell=tell, log=log, before=done, whole=whole)
        )
        done += files[-1].stat().st_size
    return files
