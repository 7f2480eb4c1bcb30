"""What can be reached from here: package indexes, the model hub, GitHub. Asked at once, and nobody is waited for long."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit

from launcher.errors import LauncherError
from launcher.install.secret import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from launcher.install.index import PipSettings
    from launcher.paths import Paths

ANSWER_S = 4.0  # without a byte for so long a place counts as out of reach
DEADLINE_S = 6.0  # for all: looking up a name can hang longer than any connection
HUB = "https://huggingface.co"
HUB_NAME = "model hub"
HUB_FIX = "Where it is blocked, a mirror can be named in the variable HF_ENDPOINT."
HUB_VARIABLE = "HF_ENDPOINT"
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
REFUSED = frozenset({401, 403, 407})
PACKAGE = "torch"  # an index has a page for it, and the whole list may be 40 MB

Target = tuple[str, str]  # what it is, its address
T = TypeVar("T")


class Later(Generic[T]):
    """Something that is done meanwhile.

    A daemon thread, no pool: a pool would wait at the end of the program for a name server that never answers.
    """

    def __init__(self, job: Callable[[], T]) -> None:
        self._done: list[T] = []
        self._error: list[BaseException] = []
        self._thread = threading.Thread(target=self._work, args=(job,), daemon=True)
        self._thread.start()

    def _work(self, job: Callable[[], T]) -> None:
        try:
            self._done.append(job())
        except BaseException as error:  # noqa: BLE001  (raised again where somebody waits for it)
            self._error.append(error)

    def result(self, *, until: float) -> T | None:
        """What came of it; None when it is not done at that time of `time.monotonic()`."""
        self._thread.join(max(0.0, until - time.monotonic()))
        for error in self._error:
            raise error
        return next(iter(self._done), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What came of asking one place."""

    name: str
    url: str  # without secrets
    is_reached: bool
    words: str  # `answers in 0.3 s`, or what went wrong
    fix: str = ""


def look_around(paths: Paths) -> tuple[PipSettings, list[Reach]]:
    """The user's settings for the network, and whether every place that an install needs answers. Never raises."""
    from launcher.install.index import base_python, read_pip_settings
    from launcher.paths import venv_python

    python = base_python()
    settings = read_pip_settings((venv_python(paths.launcher_venv), python), cwd=paths.root)
    settings = _with_index(settings, python)
    return settings, probe(
        [*index_targets(settings), *trainer_targets(paths), hub_target(os.environ)], settings
    )


def _with_index(settings: PipSettings, python: Path) -> PipSettings:
    """With pip's own index where the user has named none; it leaves nothing behind."""
    from launcher.install.commands import Commands, Log
    from launcher.install.default_index import with_index
    from launcher.install.engine import find_uv

    if settings.index or settings.no_index:
        return settings
    with tempfile.TemporaryDirectory(prefix="launcher-") as folder:
        commands = Commands(settings=settings, cache=Path(folder, "cache"), log=Log(Path(folder, "log")))
        return with_index(settings, commands, python=python, uv=find_uv(commands))


def index_targets(settings: PipSettings) -> list[Target]:
    """The indexes of the user's pip configuration."""
    if settings.no_index:
        return []
    places = [settings.index] if settings.index else []
    places += settings.extra_indexes
    names = ["package index", *(f"package index {number}" for number in range(2, len(places) + 1))]
    return [(name, page_of(place)) for name, place in zip(names, places, strict=False)]


def page_of(index: str) -> str:
    """A small page of an index."""
    return f"{index.rstrip('/')}/{PACKAGE}/"


def trainer_targets(paths: Paths) -> list[Target]:
    """Where the trainers' torch builds and their code come from, each address once."""
    from launcher.install.pins import load_pins
    from launcher.trainers import TRAINERS

    found: dict[str, str] = {}
    for name in TRAINERS:
        try:
            pins = load_pins(paths, name)
        except LauncherError:  # `doctor` tells of damaged pins where it looks at the environments
            continue
        torch_set = pins.sets.get(pins.default_set)
        if torch_set and torch_set.index:
            found.setdefault(page_of(torch_set.index), f"torch {torch_set.title}")
        if pins.source:
            found.setdefault(pins.source.git, f"code of {name}")
    return [(name, url) for url, name in found.items()]


def hub_target(environ: Mapping[str, str]) -> Target:
    """The model hub that tokenizers and base models come from."""
    return HUB_NAME, environ.get(HUB_VARIABLE) or HUB


def proxies(environ: Mapping[str, str], settings: PipSettings) -> list[str]:
    """Where a proxy is set. The value may hold a password: it is not told."""
    wanted = set(PROXY_VARIABLES)
    found = sorted(name for name, value in environ.items() if value and name.upper() in wanted)
    if settings.proxy:
        found.append("PIP_PROXY" if environ.get("PIP_PROXY") else "pip's configuration")
    if sys.platform == "win32":
        registry = getattr(urllib.request, "getproxies_registry", dict)  # type checkers do not know it
        found += ["Windows' settings"] if registry() else []
    return found


def probe(
    targets: Iterable[Target],
    settings: PipSettings,
    *,
    answer_s: float = ANSWER_S,
    deadline_s: float = DEADLINE_S,
) -> list[Reach]:
    """Ask every place at once."""
    until = time.monotonic() + deadline_s
    asked = [(target, Later(partial(_ask, target, settings, answer_s))) for target in targets]
    late = f"no answer within {deadline_s:.0f} s"
    return [
        answer.result(until=until)
        or Reach(name=name, url=redact(url, settings.secrets), is_reached=False, words=late)
        for (name, url), answer in asked
    ]


def _ask(target: Target, settings: PipSettings, answer_s: float) -> Reach:
    from launcher.install.places import local_path
    from launcher.install.trouble import AGAIN
    from launcher.install.web import open_url

    name, url = target
    shown = redact(url, settings.secrets)
    place = local_path(url)
    if place is not None:
        is_there = place.parent.expanduser().exists()
        return Reach(name=name, url=shown, is_reached=is_there, words="is there" if is_there else "there is no such folder")  # fmt: skip
    began = time.monotonic()
    try:
        with open_url(url, what="", settings=settings, stall_s=answer_s) as answer:
            code = answer.code
    except LauncherError as error:
        return Reach(
            name=name,
            url=shown,
            is_reached=False,
            words=redact(error.why, settings.secrets),
            fix=error.fix.replace(AGAIN, "").strip(),
        )
    except (OSError, ValueError) as error:  # a certificate bundle that is not there, an address that is none
        return Reach(name=name, url=shown, is_reached=False, words=redact(str(error), settings.secrets))
    if code in REFUSED or code >= 500:
        return Reach(name=name, url=shown, is_reached=False, words=f"{urlsplit(url).hostname} answers {code}")
    return Reach(name=name, url=shown, is_reached=True, words=f"answers in {time.monotonic() - began:.1f} s")
