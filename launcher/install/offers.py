"""The places that may have a wheel, and what each of them says about one: the best file, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.install.links import ACCEPT, folder_links, read_links
from launcher.install.metadata import read_requirements
from launcher.install.places import as_url, local_path
from launcher.install.secret import redact
from launcher.install.web import read_page

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag
    from packaging.version import Version

    from launcher.install.index import PipSettings
    from launcher.install.links import Link
    from launcher.install.target import Target

PATIENCE_S = 15.0  # for an index that says nothing: the next source is waiting
FEW = 4  # versions or builds that an error names
SYSTEMS = {"linux": "Linux", "manylinux": "Linux", "musllinux": "Linux", "win": "Windows", "macosx": "macOS"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A place that may have what is wanted."""

    title: str  # for people, without secrets
    place: str  # a folder, or an address
    is_index: bool  # a page for each project; otherwise one page or folder of links


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A wheel that fits."""

    name: str
    version: Version
    link: Link
    source: Source


@dataclass(kw_only=True)
class Offers:
    """Asks sources, each page once; a source that cannot be reached is not asked again."""

    target: Target
    settings: PipSettings
    _pages: dict[tuple[str, str], list[Link]] = field(default_factory=dict)
    _dead: dict[str, str] = field(default_factory=dict)
    _requirements: dict[str, tuple[str, ...] | None] = field(default_factory=dict)

    def best(self, source: Source, name: str, wanted: SpecifierSet) -> Offer | str:
        """The best wheel that a source has, or in words what it has instead."""
        try:
            links = [link for link in self._links(source, name) if link.name == name]
        except InstallError as error:
            return error.why or error.what
        builds = [build for build in map(_build, links) if build]
        fitting = [build for build in builds if self._fits(build, wanted)]
        if not fitting:
            return _instead(name, wanted, links, builds)
        best = max(fitting, key=self._worth)
        return Offer(name=name, version=best.version, link=best.link, source=source)

    def requirements(self, offer: Offer) -> tuple[str, ...] | None:
        """What a wheel requires; None when only the whole wheel can tell."""
        url = offer.link.url
        if self._requirements.get(url) is None:
            self._requirements[url] = read_requirements(offer.link, self.settings)
        return self._requirements[url]

    def _links(self, source: Source, name: str) -> list[Link]:
        key = (source.place, name if source.is_index else "")
        if source.place in self._dead:
            raise InstallError(self._dead[source.place])
        if key not in self._pages:
            self._pages[key] = self._read(source, name)
        return self._pages[key]

    def _read(self, source: Source, name: str) -> list[Link]:
        place = local_path(source.place)
        try:
            if place is not None and not source.is_index and place.expanduser().is_dir():
                return folder_links(place)
            url = as_url(source.place)
            url = f"{url.rstrip('/')}/{name}/" if source.is_index else url
            page = read_page(url, settings=self.settings, headers={"Accept": ACCEPT}, stall_s=PATIENCE_S)
            return read_links(page)
        except InstallError as error:
            if getattr(error, "code", None) == 404:
                return []
            if getattr(error, "code", None) is None:  # no answer at all: nor will there be one to the next
                self._dead[source.place] = error.why or error.what
            raise
        except OSError as error:
            raise InstallError(f"it cannot be read: {error.strerror or error}") from error

    def _fits(self, build: _Build, wanted: SpecifierSet) -> bool:
        is_right = _is_wanted(build.version, wanted)
        is_ours = self.target.rank(build.tags) is not None and self.target.allows(build.link.requires_python)
        # A withdrawn file is taken by those who ask for exactly it (PEP 592), as pip does.
        is_meant = not build.link.is_yanked or any(each.operator == "==" for each in wanted)
        return is_right and is_ours and is_meant

    def _worth(self, build: _Build) -> tuple[bool, Version, int, tuple[int, str]]:
        """The newest, then the one made most exactly for this Python and system."""
        return not build.link.is_yanked, build.version, -(self.target.rank(build.tags) or 0), build.number


@dataclass(frozen=True, kw_only=True, slots=True)
class _Build:
    """A wheel's file name, taken apart."""

    link: Link
    version: Version
    tags: frozenset[Tag]
    number: tuple[int, str]


def _build(link: Link) -> _Build | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        _, version, number, tags = parse_wheel_filename(link.file)
    except (InvalidWheelFilename, ValueError):  # not a wheel, or not named like one
        return None
    return _Build(link=link, version=version, tags=tags, number=number or (0, ""))


def _is_wanted(version: Version, wanted: SpecifierSet) -> bool:
    """A build with a tag (`2.5.1+cu121`) only where it is named: `==2.5.1` would take it, and mix channels with it."""
    is_named = version.local is None or any("+" in each.version for each in wanted)
    return is_named and wanted.contains(version, prereleases=bool(wanted.prereleases))


def _instead(name: str, wanted: SpecifierSet, links: list[Link], builds: list[_Build]) -> str:
    """What a source has in place of what was wanted."""
    if not links:
        return f"has no {name}"
    right = [build for build in builds if _is_wanted(build.version, wanted)]
    if right:
        newest = max(build.version for build in right)
        whom = sorted({_for_whom(build.tags) for build in right if build.version == newest})
        return f"{name} {newest} is there, but only for {_some(whom)}"
    versions = [str(version) for version in sorted({build.version for build in builds}, reverse=True)]
    if not versions:
        return f"has {name} only as source code"
    return f"has {name} {_some(versions)}, but not {name}{wanted}"


def _for_whom(tags: frozenset[Tag]) -> str:
    """`Python 3.12 on Windows`."""
    tag = min(tags, key=str)
    python = tag.interpreter
    version = f"{python[2]}.{python[3:]}" if python.startswith("cp") and len(python) > 3 else python[2:3]
    system = next((words for start, words in SYSTEMS.items() if tag.platform.startswith(start)), tag.platform)
    arch = " arm64" if tag.platform.endswith(("arm64", "aarch64")) else ""
    newer = " and newer" if tag.abi == "abi3" else ""
    return f"Python {version}{newer}" + ("" if tag.platform == "any" else f" on {system}{arch}")


def _some(words: list[str]) -> str:
    return ", ".join(words[:FEW]) + (", ..." if len(words) > FEW else "")


def own_sources(settings: PipSettings, kept: str) -> list[Source]:
    """What lies on this computer or what the user pointed at: the files downloaded before, then his find-links."""
    return [
        Source(title="what was downloaded before", place=kept, is_index=False),
        *(Source(title=_title(place), place=place, is_index=False) for place in settings.find_links),
    ]


def configured_sources(settings: PipSettings) -> list[Source]:
    """The user's indexes; pip's own default must already stand in the settings (see default_index.py)."""
    if settings.no_index:
        return []
    places = [place for place in (settings.index, *settings.extra_indexes) if place]
    return [Source(title=_title(place), place=place, is_index=True) for place in places]


def set_source(index: str | None, settings: PipSettings) -> list[Source]:
    """The index of a torch build, unless the user forbids indexes."""
    if not index or settings.no_index:
        return []
    return [Source(title=f"the PyTorch index ({_title(index)})", place=index, is_index=True)]


def _title(place: str) -> str:
    return redact(place).rstrip("/")
