"""Passwords and tokens of package indexes: out of every line that is shown or logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"
USERINFO = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^/\s'\"]*@"
)  # greedy: a password may hold an @
QUERY = re.compile(
    r"(?P<before>[?&](?:[^=&\s]*(?:token|key|auth|pass|secret)[^=&\s]*)=)[^&\s'\"#]+", re.IGNORECASE
)


def secrets_in(urls: Iterable[str]) -> frozenset[str]:
    """Every user name and password in `urls`, as written and decoded (a tool may print either)."""
    found: set[str] = set()
    for url in urls:
        try:
            parts = urlsplit(url)
        except ValueError:  # not a URL that anybody could use
            continue
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        # A name beside a password is no secret; a name alone is a token.
        found |= {password, unquote(password)} if password else {user, unquote(user)}
    return frozenset(found - {""})


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without what stands before the @ of a URL, without tokens in queries, and without `secrets`."""
    text = USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = QUERY.sub(rf"\g<before>{HIDDEN}", text)
    for secret in sorted(secrets, key=len, reverse=True):  # a longer one may contain a shorter one
        text = text.replace(secret, HIDDEN)
    return text
