"""Runs pip and uv for an install: in the user's settings, into the log, without a secret in sight."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.install.index import PipSettings, pip_environment, uv_environment, uv_flags
from launcher.install.secret import redact
from launcher.process import Finished, run, show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 12
MOST_WANTS = 6  # lines about who wants which version
CHATTER = (
    "+ ",
    "- ",
    "~ ",
    "Using ",
    "Creating ",
    "Activate ",
    "WARNING: ",
    "Requirement already",
    "[notice]",
)  # for the log only
AGAIN = "Start this again: it goes on where it stopped."  # for what nobody has seen before


class Log:
    """The log file of one install; made with its first line, every line without secrets."""

    def __init__(self, path: Path, secrets: frozenset[str] = frozenset()) -> None:
        self.path = path
        self.secrets = secrets

    @classmethod
    def fresh(cls, folder: Path, name: str) -> Log:
        return cls(folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log")

    def clean(self, text: str) -> str:
        return redact(text, self.secrets)

    def write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(self.clean(text).rstrip("\n") + "\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """Runs commands of one install."""

    settings: PipSettings
    cache: Path  # download caches, beside the environments so that hard links work
    log: Log
    lock: int | None = None  # handle of the install lock; the commands inherit it, see process.run

    def pip(self, python: Path, words: Sequence[str], tell: Callable[[str], None] | None = None) -> Finished:
        """`python -m pip words`, which reads the user's configuration by itself."""
        changes = pip_environment(python)
        if not {"PIP_CACHE_DIR", "PIP_NO_CACHE_DIR"} & os.environ.keys():
            changes["PIP_CACHE_DIR"] = str(self.cache / "pip")
        argv = [str(python), "-X", "utf8", "-m", "pip", "--disable-pip-version-check", *words]
        return self.call(argv, changes, tell)

    def uv(
        self,
        uv: Path,
        words: Sequence[str],
        tell: Callable[[str], None] | None = None,
        changes: Mapping[str, str | None] | None = None,
    ) -> Finished:
        """`uv words`, with the user's pip configuration in its environment."""
        ours: dict[str, str | None] = {
            "UV_CACHE_DIR": str(self.cache / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",  # nothing is fetched that nobody asked for
            "UV_NO_PROGRESS": "1",
            "VIRTUAL_ENV": None,
            "CONDA_PREFIX": None,
            **uv_environment(self.settings, os.environ),
            **(changes or {}),
        }
        return self.call(
            [str(uv), *words, *(uv_flags(self.settings) if words[0] == "pip" else [])], ours, tell
        )

    def call(
        self,
        argv: Sequence[str],
        env: Mapping[str, str | None] | None = None,
        tell: Callable[[str], None] | None = None,
        timeout_s: float | None = None,
    ) -> Finished:
        """Run any command of the install; what it says goes into the log, and comes back without secrets."""

        def on_line(line: str) -> None:
            self.log.write(line)
            if tell and line.strip() and not line.strip().startswith(CHATTER):
                tell(self.log.clean(line.strip()))

        self.cache.mkdir(parents=True, exist_ok=True)
        self.log.write(f"$ {show(argv)}")
        finished = run(
            argv, cwd=self.cache, env=env, on_line=on_line, timeout_s=timeout_s,  # the cache folder holds no modules that `-m` could take for pip
            keep_open=() if self.lock is None else (self.lock,),
        )  # fmt: skip
        self.log.write(f"(code {finished.code})")
        return Finished(argv=finished.argv, code=finished.code, output=self.log.clean(finished.output))

    def need(self, finished: Finished, what: str) -> Finished:
        """The same, or why it failed: in words if the failure is known, else the end of what was said.

        Raises:
            InstallError: the command's code is not 0.
        """
        from launcher.install.explain import explain, without_noise

        if finished.code == 0:
            return finished
        known = explain(finished.output, code=finished.code)
        if known:
            said = f"\nIt said: {known.said}" if known.said else ""
            if known.name == "conflict":  # pip names the quarrelling packages in lines of their own
                said = "\n".join([said, *_quarrel(finished.output)])
            why, fix = f"{known.what} {known.why}{said}", known.fix
        else:
            why, fix = "\n".join(without_noise(finished.output).splitlines()[-TAIL_LINES:]), AGAIN
        why = why or f"{finished.argv[0]} ended with code {finished.code} and said nothing."
        raise InstallError(what, why=why, fix=fix, where=str(self.log.path))


def _quarrel(output: str) -> list[str]:
    """Who wants what, as pip lists it."""
    lines = [
        line.strip() for line in output.splitlines() if " depends on " in line or "user requested" in line
    ]
    return lines[:MOST_WANTS]


def advice(output: str) -> str:
    """What to do about a failure, from what was printed: for callers that give their own reason."""
    from launcher.install.explain import explain

    known = explain(output)
    return known.fix if known else AGAIN
