"""The user's pip configuration, as pip reports it, translated for uv.

pip's options mean: an index, further indexes of equal right (the best version of all wins), folders or pages with
links, a proxy, certificates, hosts whose certificate is not checked, a time-out, or no index at all. uv reads none
of pip's files, so that what pip finds on this computer uv would miss.

Everything travels in the environment: a command line is seen by every user of the computer.
"""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import LauncherError
from launcher.install.places import as_url, local_path
from launcher.install.secret import secrets_in
from launcher.install.window import console_python
from launcher.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTING_TIMEOUT_S = 60.0
SECTIONS = (
    "global",
    "install",
    ":env:",
)  # later ones win (pip `ConfigOptionParser._get_ordered_configuration_items`)


@dataclass(frozen=True, kw_only=True, slots=True)
class PipSettings:
    """What the user told pip about where packages come from."""

    index: str | None = None
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    proxy: str | None = None
    cert: str | None = None
    client_cert: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float | None = None
    retries: int | None = None
    no_index: bool = False

    @property
    def secrets(self) -> frozenset[str]:
        urls = [self.index, self.proxy, *self.extra_indexes, *self.find_links]
        return secrets_in(url for url in urls if url)


def base_python() -> Path:
    """The Python that the launcher's own environment was made from: its pip configuration counts here too."""
    return console_python(Path(getattr(sys, "_base_executable", None) or sys.executable))


def read_pip_settings(pythons: tuple[Path, ...], *, cwd: Path) -> PipSettings:
    """The settings as pip itself reports them; the first of `pythons` that has pip is asked.

    Without any pip there is nobody to read its files: the PIP_ variables are all that is left.
    """
    for python in pythons:
        try:
            listing = run(
                [python, "-m", "pip", "--disable-pip-version-check", "config", "list"],
                cwd=cwd, env=pip_environment(python), timeout_s=LISTING_TIMEOUT_S,
            )  # fmt: skip
        except LauncherError:
            continue
        if listing.code == 0:
            return parse_settings(listing.output)
    return parse_settings("\n".join(_variables(os.environ)))


def pip_environment(python: Path) -> dict[str, str | None]:
    """Environment changes for pip: the settings of the Python that an environment was made from count there too."""
    base = Path(sys.base_prefix) / ("pip.ini" if os.name == "nt" else "pip.conf")
    changes: dict[str, str | None] = {
        "PIP_NO_INPUT": "1",
        "PIP_USER": "0",  # other places than our environment, from the user's settings, would break it
        **dict.fromkeys(("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH")),
    }
    if base.is_file() and "PIP_CONFIG_FILE" not in os.environ and python.parent != base.parent:
        changes["PIP_CONFIG_FILE"] = str(base)
    return changes


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [
        f":env:.{name.removeprefix('PIP_').lower().replace('_', '-')}={value!r}"
        for name, value in environment.items()
        if name.startswith("PIP_") and value
    ]


def parse_settings(listing: str) -> PipSettings:
    """Read the output of `pip config list`: lines of `section.option='value'`, values as Python strings."""
    values: dict[str, str] = {}
    for section in SECTIONS:
        for line in listing.splitlines():
            key, _, literal = line.partition("=")
            where, _, option = key.rpartition(".")
            if where == section:
                values[option.replace("_", "-")] = _unquote(literal)
    return PipSettings(
        index=values.get("index-url") or None,
        extra_indexes=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        proxy=values.get("proxy") or None,
        cert=values.get("cert") or None,
        client_cert=values.get("client-cert") or None,
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        timeout_s=_number(values.get("default-timeout") or values.get("timeout")),
        retries=None if (retries := _number(values.get("retries"))) is None else int(retries),
        no_index=values.get("no-index", "").lower() in {"1", "true", "yes", "on"},
    )


def _unquote(literal: str) -> str:
    try:
        value = ast.literal_eval(literal.strip())
    except (ValueError, SyntaxError):
        return literal.strip()
    return value if isinstance(value, str) else str(value)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def uv_flags(settings: PipSettings) -> list[str]:
    """The one setting that uv knows only as a flag."""
    return ["--no-index"] if settings.no_index else []


def uv_environment(settings: PipSettings, existing: Mapping[str, str]) -> dict[str, str | None]:
    """Environment changes that make uv look where pip would. UV_ variables that the user set himself win."""
    changes: dict[str, str | None] = {
        "UV_INDEX_STRATEGY": "unsafe-best-match"
    }  # pip: the best of all indexes
    if not settings.no_index:
        if settings.index:
            changes["UV_DEFAULT_INDEX"] = as_url(settings.index)
        if settings.extra_indexes:
            changes["UV_INDEX"] = " ".join(map(as_url, settings.extra_indexes))
    links = [as_url(link) for link in settings.find_links if _may_exist(link)]
    if links:  # uv separates them by commas
        changes["UV_FIND_LINKS"] = ",".join(link.replace(",", "%2C") for link in links)
    if settings.trusted_hosts:
        changes["UV_INSECURE_HOST"] = " ".join(settings.trusted_hosts)
    if settings.timeout_s:
        changes["UV_HTTP_TIMEOUT"] = str(max(1, round(settings.timeout_s)))
    if settings.retries is not None:
        changes["UV_HTTP_RETRIES"] = str(settings.retries)
    own = {name for name in changes if name in existing}
    if {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & existing.keys():
        own.add("UV_DEFAULT_INDEX")
    if {"UV_EXTRA_INDEX_URL", "UV_INDEX"} & existing.keys():
        own.add("UV_INDEX")
    kept = {name: value for name, value in changes.items() if name not in own}
    return {**kept, **_certificates(settings, existing), **_proxies(settings)}


def _certificates(settings: PipSettings, existing: Mapping[str, str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    bundle = settings.cert
    if not bundle and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & existing.keys():
        bundle = existing.get("REQUESTS_CA_BUNDLE") or existing.get(
            "CURL_CA_BUNDLE"
        )  # pip's requests read these
        if not bundle and "UV_SYSTEM_CERTS" not in existing:
            changes["UV_SYSTEM_CERTS"] = (
                "1"  # pip trusts the system's store (since 24.2), and companies rely on it
            )
    if bundle:
        changes["SSL_CERT_DIR" if Path(bundle).is_dir() else "SSL_CERT_FILE"] = bundle
    if settings.client_cert:
        changes["SSL_CLIENT_CERT"] = settings.client_cert
    return changes


def _proxies(settings: PipSettings) -> dict[str, str | None]:
    if not settings.proxy:
        return {}
    names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    if os.name != "nt":  # Windows knows one spelling only; elsewhere either may win
        names += [name.lower() for name in names]
    return dict.fromkeys(names, settings.proxy)


def _may_exist(place: str) -> bool:
    """For pip a missing folder of links is a warning, for uv an error."""
    folder = local_path(place)
    return folder is None or folder.expanduser().exists()
