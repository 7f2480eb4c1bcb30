"""How much an install will download, as far as the indexes say: told before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from launcher.install.pins import normalize
from launcher.install.places import local_path
from launcher.install.web import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.install.index import PipSettings

MOST_QUESTIONS = 8  # servers asked for a size: an index without sizes should not cost a minute
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """What is to be fetched."""

    packages: int
    known_bytes: int
    unknown: int  # packages whose size nobody tells
    local_bytes: int  # part of known_bytes that lies on this computer already

    def in_words(self) -> str:
        """`26 packages, 210 MiB (of which 183 MiB lie on this computer); the size of 2 is unknown`."""
        if not self.packages:
            return "nothing"
        count = "1 package" if self.packages == 1 else f"{self.packages} packages"
        if self.unknown == self.packages:
            return f"{count}, size unknown"
        words = f"{count}, {_mib(self.known_bytes)}"
        if self.local_bytes:
            words += (
                " (on this computer already)"
                if self.local_bytes == self.known_bytes and not self.unknown
                else f" (of which {_mib(self.local_bytes)} on this computer already)"
            )
        return words + (f"; the size of {self.unknown} is unknown" if self.unknown else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Whether requirements can be had from some place, and how much that is to download."""

    problem: str | None = None
    download: Download | None = None  # None: the engine cannot tell before it downloads

    @property
    def size_in_words(self) -> str:
        return self.download.in_words() if self.download else "size unknown"


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB" if size < 10 * MIB else f"{size / MIB:.0f} MiB"


def measure(lock: Mapping[str, Any], present: Mapping[str, str], settings: PipSettings) -> Download:
    """The download of a resolution (pylock.toml as uv writes it), without what is installed already."""
    known = unknown = local = packages = 0
    questions = MOST_QUESTIONS
    for package in lock.get("packages", []):
        if present.get(normalize(package.get("name", ""))) == package.get("version"):
            continue
        packages += 1
        size, is_local, url = _size(package)
        if size is None and not is_local and questions:
            questions -= 1
            size = remote_size(url, settings)
        known += size or 0
        local += (size or 0) if is_local else 0
        unknown += size is None
    return Download(packages=packages, known_bytes=known, unknown=unknown, local_bytes=local)


def _size(package: Mapping[str, Any]) -> tuple[int | None, bool, str]:
    """Size of a package's file if the resolution tells it, whether it lies here, and its address."""
    sources = package.get("wheels") or [package.get("sdist") or package.get("archive") or {}]
    source = sources[0]  # uv lists the wheels for this platform only
    url = str(source.get("url") or source.get("path") or "")
    place = local_path(url)
    if place is not None:
        return place.stat().st_size if place.is_file() else None, True, url
    size = source.get("size")
    return size if isinstance(size, int) else None, False, url


def remote_size(url: str, settings: PipSettings) -> int | None:
    """Size of a file on a server, from its headers; None when the server does not tell."""
    try:
        is_web = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        return None
    return size_of(url, settings=settings) if is_web else None
