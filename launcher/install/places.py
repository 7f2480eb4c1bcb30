"""Addresses that may mean a file on this computer."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname


def local_path(url: str) -> Path | None:
    """The file that a file:// URL or a plain path means; None for anything on a network."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path) if sys.platform == "win32" else unquote(parts.path))
    return Path(url) if url and "://" not in url else None


def as_url(place: str) -> str:
    """A local folder as file:// URL (no spaces or commas are left in it); anything else as it is."""
    if "://" in place:
        return place
    return Path(place).expanduser().absolute().as_uri()
