"""What a package index, a page of links or a folder offers: PEP 503 pages, PEP 691 pages, plain HTML, plain files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from launcher.install.pins import normalize

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.install.web import Page

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.3, text/html;q=0.2"
ENDS = (".whl", ".tar.gz", ".zip")  # sdists are read only to say that there is nothing else


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One file that is offered."""

    file: str  # its name, decoded: `torch-2.5.1+cu121-...whl`
    url: str  # without a fragment; an own file is a file:// URL
    sha256: str | None = None
    size: int | None = None  # bytes
    requires_python: str = ""
    is_yanked: bool = False
    has_metadata: bool = False  # beside it lies `url + ".metadata"` (PEP 658)
    metadata_sha256: str | None = None

    @property
    def name(self) -> str:
        """The project's normalized name, as far as a file's name tells it (a wheel's does)."""
        return normalize(self.file.split("-")[0])

    @property
    def is_wheel(self) -> bool:
        return self.file.endswith(".whl")


def read_links(page: Page) -> list[Link]:
    """All files that a page offers; a page that is none offers nothing."""
    if "json" in page.content_type:
        return _from_json(page)
    reader = _Reader(page.url)
    reader.feed(page.body.decode("utf-8", "replace"))
    reader.close()
    return reader.found


def folder_links(folder: Path) -> list[Link]:
    """The files of a folder, as pip's find-links takes them: not of its subfolders."""
    files = sorted(path for path in folder.expanduser().absolute().iterdir() if path.name.endswith(ENDS))
    return [
        Link(file=path.name, url=path.as_uri(), size=path.stat().st_size) for path in files if path.is_file()
    ]


def _from_json(page: Page) -> list[Link]:
    try:
        files = json.loads(page.body)["files"]
        return [_json_link(page.url, item) for item in files if str(item["filename"]).endswith(ENDS)]
    except (ValueError, KeyError, TypeError, AttributeError):  # an error page that calls itself JSON
        return []


def _json_link(base: str, item: dict[str, Any]) -> Link:
    metadata = item.get("core-metadata", item.get("data-dist-info-metadata", item.get("dist-info-metadata")))
    size = item.get("size")
    return Link(
        file=item["filename"],
        url=urldefrag(urljoin(base, item["url"])).url,
        sha256=item.get("hashes", {}).get("sha256"),
        size=size if isinstance(size, int) else None,
        requires_python=item.get("requires-python") or "",
        is_yanked=bool(item.get("yanked")),
        has_metadata=bool(metadata),
        metadata_sha256=metadata.get("sha256") if isinstance(metadata, dict) else None,
    )


class _Reader(HTMLParser):
    """Collects the anchors of a page; the parser has already turned `&gt;` in an attribute into `>`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.base = url
        self.found: list[Link] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words = dict(attrs)
        href = words.get("href")
        if not href:
            return
        if tag == "base":
            self.base = urljoin(self.base, href)
        elif tag == "a":
            self._anchor(href.strip(), words)

    def _anchor(self, href: str, words: dict[str, str | None]) -> None:
        try:
            url, fragment = urldefrag(urljoin(self.base, href))
            file = unquote(urlsplit(url).path).rpartition("/")[2]
        except ValueError:  # not an address that anybody could use
            return
        if not file.endswith(ENDS):
            return
        metadata = words.get("data-core-metadata", words.get("data-dist-info-metadata"))
        self.found.append(
            Link(
                file=file,
                url=url,
                sha256=_sha256(fragment),
                requires_python=words.get("data-requires-python") or "",
                is_yanked="data-yanked" in words,
                has_metadata=bool(metadata),
                metadata_sha256=_sha256(metadata or ""),
            )
        )


def _sha256(text: str) -> str | None:
    for part in text.split("&"):
        algorithm, _, digest = part.partition("=")
        if algorithm == "sha256" and len(digest) == 64:
            return digest.lower()
    return None
