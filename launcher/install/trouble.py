"""What servers, proxies and networks answer when they do not give a file: in words, and whether waiting helps."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit

from launcher.errors import InstallError
from launcher.install.secret import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

AGAIN = "Start this again: it goes on where it stopped."
NETWORK = f"Check the network connection (and the proxy, if there is one). {AGAIN}"
PROXY = "Give pip the proxy with its name and password: pip config set global.proxy http://NAME:PASSWORD@HOST:PORT"
CERTIFICATE = (
    "If your company or a virus scanner looks into encrypted connections, give pip its certificate bundle: "
    "pip config set global.cert FILE. Otherwise check the date of this computer."
)
REFUSALS: dict[int, tuple[str, str]] = {
    401: ("asks for a name and password, or refuses those that were given", "Check the name and password in the address (https://NAME:PASSWORD@HOST/...) or in pip's configuration: `pip config list`."),
    403: ("refuses to give it", "A company filter or the server itself blocks this address: open it in a browser to see what is said, or name another server (a mirror)."),
    404: ("does not have it", "The file was moved or the address is wrong: check the address, or name another server (a mirror)."),
    407: ("wants a name and password for the proxy", PROXY),
    410: ("does not have it any more", "Name another server (a mirror)."),
    451: ("may not give it here, for legal reasons", "Name another server (a mirror)."),
}  # fmt: skip
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})  # time may heal them
LONGEST_WISH_S = 60.0  # of a server that says when to come again; more is not waited for


class WebError(InstallError):
    """A server, proxy or the network did not give what was asked for.

    Args:
        what, why, fix, where: as in every error.
        code: HTTP status, if there was one.
        passes: may the same request succeed a little later?
        wait_s: how long the server asks us to wait before.
    """

    def __init__(
        self, what: str, *, why: str = "", fix: str = "", where: str = "",
        code: int | None = None, passes: bool = False, wait_s: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(what, why=why, fix=fix, where=where)
        self.code = code
        self.passes = passes
        self.wait_s = wait_s


def host_of(url: str) -> str:
    """The server's name, for a sentence; the address itself where it has none."""
    try:
        return urlsplit(url).hostname or redact(url)
    except ValueError:
        return redact(url)


def from_status(what: str, code: int, headers: Mapping[str, str], url: str) -> WebError:
    """The error for an answer that is not the file."""
    host = host_of(url)
    says, fix = REFUSALS.get(code, ("", ""))
    if not says:
        is_theirs = code >= 500 or code in PASSING
        says = f"answers {code}" + (" (its own trouble, or too many ask it)" if is_theirs else "")
        fix = f"Wait some minutes. {AGAIN}" if is_theirs else "Check the address, or name another server."
    wish = headers.get("Retry-After", "")
    return WebError(
        what, why=f"{host} {says}" + ("." if str(code) in says else f" ({code})."), fix=fix, where=redact(url),
        code=code, passes=code in PASSING, wait_s=min(float(wish), LONGEST_WISH_S) if wish.isdecimal() else 0.0,
    )  # fmt: skip


def from_exception(what: str, error: BaseException, url: str) -> WebError:
    """The error for a connection that could not be made, or broke."""
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    host = host_of(url)
    why, fix, passes = _in_words(error, host)
    return WebError(what, why=redact(why), fix=fix, where=redact(url), passes=passes)


def _in_words(error: BaseException, host: str) -> tuple[str, str, bool]:  # noqa: PLR0911  (a table of kinds)
    """Why, what to do, and whether trying again may help."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {host} is not trusted: {error.verify_message}.", CERTIFICATE, False
    if isinstance(error, ssl.SSLError):
        return f"The encrypted connection to {host} failed: {error.reason or text}.", NETWORK, True
    if "Tunnel connection failed" in text:
        is_password = "407" in text
        why = f"The proxy does not let us through to {host}: {text.partition('failed: ')[2]}."
        return why, PROXY if is_password else NETWORK, not is_password
    if isinstance(error, socket.gaierror):
        return f"The name {host} cannot be found: no network, or the address is wrong.", NETWORK, True
    if isinstance(error, TimeoutError):
        return f"{host} has sent nothing for a while.", NETWORK, True
    if isinstance(error, ConnectionRefusedError):
        return f"{host} does not take connections (or the proxy does not).", NETWORK, True
    if isinstance(error, OSError):
        if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
            return f"There is no way to {host}: the network is down.", NETWORK, True
        return f"The connection to {host} broke: {error.strerror or text}.", NETWORK, True
    if isinstance(error, ValueError):  # http.client.InvalidURL is one too
        return f"The address cannot be used: {text}.", "Check the address.", False
    return f"{host} does not speak HTTP as it should: {text or type(error).__name__}.", NETWORK, True
