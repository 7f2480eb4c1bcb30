"""Asking web servers: in the user's proxy and certificates, with secrets only for those whom they belong to.

Redirects are followed here and not by urllib: it would hand a password on to the next host, follow from https to
http, and read a redirect's page to its end, however long that is.
"""

from __future__ import annotations

import http.client
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit, urlunsplit
from urllib.request import Request

from launcher import __version__
from launcher.errors import InstallError
from launcher.install.opener import authorization, make_opener
from launcher.install.places import as_url, local_path
from launcher.install.secret import redact
from launcher.install.trouble import WebError, from_exception, from_status, host_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.install.index import PipSettings

STALL_S = 30.0  # without a byte for so long a connection counts as dead
SIZE_TIMEOUT_S = 10.0
PAGE_BYTES = 20 * 1024 * 1024
PAGE_TRIES = 3
BLOCK_BYTES = 1 << 18
MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAFE_IN_URL = "%/:=&?~#+!$,;'@()*[]"
PRIVATE = frozenset({"authorization", "cookie"})  # headers for the first host only


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What an index page says, and where it stood in the end: its links are relative to that."""

    url: str  # with the user's name and password, where they were given for this host: links need them too
    body: bytes
    content_type: str


class Answer:
    """A server's answer: status, headers, and the body in blocks."""

    def __init__(self, response: http.client.HTTPResponse, url: str) -> None:
        self.url = url
        self.code = response.status
        self.headers: Mapping[str, str] = response.headers  # type: ignore[assignment]  # Message reads like one
        self._response = response

    def __enter__(self) -> Answer:  # noqa: PYI034  (Self came with 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def read(self, most: int = BLOCK_BYTES) -> bytes:
        """What has come, at most so many bytes; empty at the end. It does not wait for a block to be full."""
        return self._response.read1(most)

    @property
    def length(self) -> int | None:
        """Bytes of the body, if the server says."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() else None


def open_url(
    url: str,
    *,
    what: str,
    settings: PipSettings,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    stall_s: float | None = None,
) -> Answer:
    """Ask for an address; whatever status comes after the redirects is the caller's to judge.

    Args:
        url: may hold `NAME:PASSWORD@`; it goes to that host only.
        what: the first sentence of the error, should there be one.
        settings: the user's proxy, certificates and trusted hosts.
        headers: sent along; `Authorization` and `Cookie` to the first host only.
        method: GET or HEAD.
        stall_s: how long may nothing come; None takes the user's setting of pip.

    Raises:
        WebError: no connection, a redirect that leads nowhere, or one from https to http.
    """
    opener = make_opener(settings)
    sent = {
        "User-Agent": f"sdxl-lora-launcher/{__version__}",
        "Accept-Encoding": "identity",
        **(headers or {}),
    }
    for turn in range(MOST_REDIRECTS):
        try:
            if turn == 0 and (secret := authorization(url, settings)):
                sent.setdefault("Authorization", secret)
            bare = _without_user(url)
            if urlsplit(bare).scheme not in {"http", "https"}:
                raise ValueError(f"{redact(url)} is not a web address")  # noqa: TRY301  (worded below, like the others)
            request = Request(bare, headers=sent, method=method)  # noqa: S310  (http or https: seen above)
            response = opener.open(request, timeout=stall_s or settings.timeout_s or STALL_S)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise from_exception(what, error, url) from error
        assert isinstance(response, http.client.HTTPResponse)  # noqa: S101  (no other handler is in the opener)
        place = response.headers.get("Location")
        if response.status not in REDIRECTS or not place:
            return Answer(response, url)
        response.close()
        url, sent = _redirected(url, place, sent, what)
    raise WebError(what, why=f"{host_of(url)} sends us from one address to the next.", where=redact(url))


def _redirected(url: str, place: str, sent: dict[str, str], what: str) -> tuple[str, dict[str, str]]:
    """The next address and its headers: another host gets no secrets."""
    target = urljoin(url, place)
    try:
        old, new = urlsplit(url), urlsplit(target)
        is_same = (old.hostname, old.port or _port(old.scheme)) == (
            new.hostname,
            new.port or _port(new.scheme),
        )
        # http://host to https://host is the same host made safer
        is_upgrade = old.hostname == new.hostname and old.scheme == "http" and new.scheme == "https"
    except ValueError as error:
        raise from_exception(what, error, url) from error
    if old.scheme == "https" and new.scheme != "https":
        raise WebError(
            what,
            why=f"{old.hostname} sends us to an unencrypted address ({redact(target)}): anybody on the way could change the file.",
            fix="Name another server (a mirror) that is encrypted to the end.",
            where=redact(url),
        )
    if is_same or is_upgrade:
        user = old.netloc.rpartition("@")[0]
        if user and "@" not in new.netloc:
            target = urlunsplit(new._replace(netloc=f"{user}@{new.netloc}"))
        return target, sent
    return target, {name: value for name, value in sent.items() if name.lower() not in PRIVATE}


def on_this_computer(url: str, what: str) -> Path | None:
    """The file that an address means, if it is not one of the web.

    Raises:
        WebError: it is no address at all.
    """
    try:
        place = local_path(url)
    except ValueError as error:
        raise from_exception(what, error, url) from error
    return place.expanduser() if place is not None else None


def read_page(
    url: str,
    *,
    settings: PipSettings,
    limit: int = PAGE_BYTES,
    headers: Mapping[str, str] | None = None,
    stall_s: float | None = None,
) -> Page:
    """A page of an index, whole.

    Raises:
        WebError: it cannot be had (`code` tells a missing one), or is larger than `limit` bytes.
    """
    what = "A page of the package index cannot be read."
    place = on_this_computer(url, what)
    if place is not None:
        return _local_page(place, what)
    sent = {"Accept-Encoding": "gzip", **(headers or {})}
    for attempt in range(1, PAGE_TRIES + 1):
        try:
            with open_url(url, what=what, settings=settings, headers=sent, stall_s=stall_s) as answer:
                if answer.code != 200:
                    raise from_status(what, answer.code, answer.headers, answer.url)
                return _read(answer, limit, what)
        except WebError as error:
            if not error.passes or attempt == PAGE_TRIES:
                raise
    raise AssertionError  # the last attempt returns or raises


def _read(answer: Answer, limit: int, what: str) -> Page:
    """The body, unpacked; what it unpacks to counts for the limit."""
    unpack = (
        zlib.decompressobj(31) if answer.headers.get("Content-Encoding", "") in {"gzip", "x-gzip"} else None
    )
    body = bytearray()
    received = 0
    try:
        while block := answer.read():
            received += len(block)
            body += unpack.decompress(block, limit + 1) if unpack else block
            if len(body) > limit or (unpack and unpack.unconsumed_tail):
                raise WebError(
                    what, why=f"It is larger than {limit} bytes: no index page is.", where=redact(answer.url)
                )
    except (OSError, http.client.HTTPException, zlib.error) as error:
        raise from_exception(what, error, answer.url) from error
    is_short = answer.length is not None and received < answer.length
    if is_short or (unpack and not unpack.eof):
        raise from_exception(what, ConnectionError("it was cut in the middle"), answer.url)
    return Page(url=answer.url, body=bytes(body), content_type=answer.headers.get("Content-Type", ""))


def _local_page(place: Path, what: str) -> Page:
    place = place / "index.html" if place.is_dir() else place
    try:
        return Page(url=as_url(str(place)), body=place.read_bytes(), content_type="text/html")
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise WebError(
            what, why=error.strerror or str(error), where=str(place), code=404 if is_missing else None
        ) from error


def size_of(url: str, *, settings: PipSettings) -> int | None:
    """Bytes of a file, from its headers; None when the server does not tell or cannot be asked: it is a courtesy."""
    try:
        place = on_this_computer(url, "")
        if place is not None:
            return place.stat().st_size
        # Some servers refuse HEAD; of a GET only the headers are read.
        for method in ("HEAD", "GET"):
            with open_url(url, what="", settings=settings, method=method, stall_s=SIZE_TIMEOUT_S) as answer:
                if answer.code == 200:
                    return answer.length
                if answer.code not in {403, 405, 501}:
                    return None
    except (OSError, InstallError):
        return None
    return None


def _without_user(url: str) -> str:
    """The address as it may go over the wire: no name, no fragment, nothing that needs quoting."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return quote(urlunsplit(bare), safe=SAFE_IN_URL)


def _port(scheme: str) -> int | None:
    return {"http": 80, "https": 443}.get(scheme)
