"""What a wheel requires, read from the wheel: from its own small file beside it, or from a piece of it over the network.

A wheel of 2.5 GB keeps its METADATA in some kilobytes that its table of contents leads to; a server that can send
parts of files (nearly all can) gives these alone.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING, cast

from launcher.errors import InstallError
from launcher.install.places import local_path
from launcher.install.web import open_url, read_page

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.install.index import PipSettings
    from launcher.install.links import Link

PIECE_BYTES = 1 << 16
MOST_BYTES = 1 << 22  # of METADATA; torch's has 28 KB
WHAT = "A wheel's list of requirements cannot be read."


def read_requirements(link: Link, settings: PipSettings) -> tuple[str, ...] | None:
    """The `Requires-Dist` lines of a wheel; None when they cannot be had without the whole of it."""
    place = local_path(link.url)
    if place is not None:
        return requirements_in(place)
    if link.has_metadata:
        try:
            body = read_page(f"{link.url}.metadata", settings=settings).body
            if link.metadata_sha256 in {None, hashlib.sha256(body).hexdigest()}:
                return _requirements(body)
        except InstallError:  # mirrors copy the promise without the files
            pass
    try:
        with zipfile.ZipFile(cast("io.BytesIO", RemoteFile(link.url, settings))) as archive:
            return _requirements(_metadata(archive))
    except (InstallError, OSError, zipfile.BadZipFile, KeyError):
        return None


def requirements_in(wheel: Path) -> tuple[str, ...] | None:
    """The same of a wheel on this computer; None: it is damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return _requirements(_metadata(archive))
    except (OSError, zipfile.BadZipFile, KeyError):
        return None


def _metadata(archive: zipfile.ZipFile) -> bytes:
    for name in archive.namelist():
        folder, _, file = name.partition("/")
        if file == "METADATA" and folder.endswith(".dist-info"):
            with archive.open(name) as stream:
                return stream.read(MOST_BYTES)
    raise KeyError("METADATA")


def _requirements(text: bytes) -> tuple[str, ...]:
    headers = HeaderParser().parsestr(text.decode("utf-8", "replace"), headersonly=True)
    return tuple(str(line) for line in headers.get_all("Requires-Dist", []))


class RemoteFile(io.RawIOBase):
    """A file on a server as zipfile wants it: seekable, read in pieces by Range.

    Raises:
        WebError: the server cannot be reached.
        OSError: it does not send parts of files.
    """

    def __init__(self, url: str, settings: PipSettings) -> None:
        super().__init__()
        self._url, self._settings = url, settings
        self._place = 0
        self._piece, self._start = b"", 0  # what was read last, and where it begins
        self._ask(f"bytes=-{PIECE_BYTES}")  # the end first: there lies the table of contents
        self._size = self._start + len(self._piece)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._place + size, self._size)
        if end <= self._place:
            return b""
        if not self._start <= self._place <= end <= self._start + len(self._piece):
            last = min(max(end, self._place + PIECE_BYTES), self._size) - 1
            self._ask(f"bytes={self._place}-{last}")
        found = self._piece[self._place - self._start : end - self._start]
        self._place += len(found)
        return found

    def _ask(self, piece: str) -> None:
        with open_url(self._url, what=WHAT, settings=self._settings, headers={"Range": piece}) as answer:
            if answer.code != 206:
                raise OSError("the server sends whole files only")
            start = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            if not start.isdecimal():
                raise OSError("the server does not say which part it sends")
            found = bytearray()
            while block := answer.read():
                found += block
        self._piece, self._start = bytes(found), int(start)
