"""How a web request goes out: through the user's proxy, under the user's certificates, with the secrets of its host.

pip's settings count for us too: what pip can reach on this computer, our own downloads must reach.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
    getproxies,
)

from launcher.errors import InstallError

if TYPE_CHECKING:
    from launcher.install.index import PipSettings


def make_opener(settings: PipSettings) -> OpenerDirector:
    """Web only: no file, ftp or data addresses, and redirects and statuses as they are."""
    proxies = dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else getproxies()
    for scheme in ("http", "https"):
        if "all" in proxies:
            proxies.setdefault(scheme, proxies["all"])
    known = {scheme: place for scheme, place in proxies.items() if scheme in {"http", "https"} and place}
    opener = OpenerDirector()
    for handler in (ProxyHandler(known), HTTPHandler(), _SecureHandler(settings), UnknownHandler()):
        opener.add_handler(handler)
    return opener


def authorization(url: str, settings: PipSettings) -> str | None:
    """The name and password for a host: from the address, from an index of the same host (as pip does), from .netrc."""
    for place in (url, settings.index, *settings.extra_indexes, *settings.find_links):
        parts = urlsplit(place or "")
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        if user and _origin(parts.netloc, parts.scheme) == _origin(
            urlsplit(url).netloc, urlsplit(url).scheme
        ):
            return _basic(unquote(user), unquote(password))
    return _from_netrc(urlsplit(url).hostname or "")


def _origin(netloc: str, scheme: str) -> tuple[str, str]:
    return scheme, netloc.rpartition("@")[2].lower()


def _from_netrc(host: str) -> str | None:
    import netrc

    own = os.environ.get("NETRC")
    for path in [Path(own)] if own else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            found = netrc.netrc(path).authenticators(host)
        except (OSError, ValueError, netrc.NetrcParseError):
            continue
        if found:
            return _basic(found[0], found[2] or "")
    return None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _SecureHandler(HTTPSHandler):
    """Checks certificates, but not those of the hosts that the user told pip to trust."""

    def __init__(self, settings: PipSettings) -> None:
        super().__init__()
        self._settings = settings

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        host = str(getattr(req, "_tunnel_host", None) or req.host)  # behind a proxy `host` is the proxy
        is_trusted = {host, urlsplit(f"//{host}").hostname} & set(self._settings.trusted_hosts)
        context = _context(self._settings, is_checked=not is_trusted)
        return self.do_open(http.client.HTTPSConnection, req, context=context)


def _context(settings: PipSettings, *, is_checked: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not is_checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    bundle = settings.cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    paths = ssl.get_default_verify_paths()
    if not bundle and sys.platform != "win32" and not paths.cafile and not paths.capath:
        bundle = _pip_bundle()  # Pythons of python.org on macOS, and built elsewhere than they run
    try:
        if bundle:
            context.load_verify_locations(**{"capath" if Path(bundle).is_dir() else "cafile": bundle})
        if settings.client_cert:
            context.load_cert_chain(settings.client_cert)
    except OSError as error:  # ssl.SSLError is one
        raise InstallError(
            "The certificates that pip is told to use cannot be read.",
            why=f"{bundle or settings.client_cert}: {error.strerror or error}",
            fix="`pip config list` shows where they are named (`cert`, `client-cert`, or REQUESTS_CA_BUNDLE).",
        ) from error
    return context


def _pip_bundle() -> str | None:
    """The certificates that pip brings along."""
    from importlib import import_module

    for name in ("certifi", "pip._vendor.certifi"):
        try:
            return str(import_module(name).where())
        except (ImportError, AttributeError):
            continue
    return None
