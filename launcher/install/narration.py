"""What uv and pip say while they install, as words and bytes of our progress."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.install.pins import normalize

if TYPE_CHECKING:
    from launcher.install.steps import Tell

# uv 0.13.9: `Downloading numpy (17.4MiB)`, later ` Downloaded numpy`; files below a MiB are not mentioned.
# pip 26: `  Downloading einops-0.7.0-py3-none-any.whl (44 kB)`, one after the other.
BEGINS = re.compile(r"^Downloading (?P<file>\S+) \((?P<number>[\d.]+) ?(?P<unit>[kMG]?i?B|bytes)\)")
ENDS = re.compile(r"^Downloaded (?P<file>\S+)")
OTHERS = (
    (re.compile(r"^Resolved (\d+) packages?"), "looking through {} packages"),
    (re.compile(r"^Prepared (\d+) packages?"), "putting {} packages into the environment"),
    (re.compile(r"^Installed (\d+) packages?"), "{} packages are in the environment"),
    (re.compile(r"^Building (?!wheel)(\S+)"), "building {} (it is offered as source code only)"),
    (re.compile(r"^Building wheel for (\S+) .*started"), "building {} (it is offered as source code only)"),
    (re.compile(r"^Collecting (\S+)"), "looking for {}"),
    (re.compile(r"^Using cached (\S+) "), "{} was downloaded before"),
    (re.compile(r"^Installing collected packages: .*"), "putting the packages into the environment"),
)
FEW = 3  # downloads that are named
UNITS = {"B": 1, "bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(kw_only=True)
class Narrator:
    """Takes the lines of one command; `total` are the bytes of all its downloads, if they are known."""

    tell: Tell
    total: int | None = None
    _open: dict[str, int] = field(default_factory=dict)
    _done: int = 0

    def __call__(self, line: str) -> None:
        line = line.strip()
        if begins := BEGINS.match(line):
            name = _name(begins["file"])
            if begins["file"].endswith(
                (".whl", ".gz", ".zip")
            ):  # pip: one at a time, so the last one is here
                self._close(*self._open)
            self._open[name] = round(float(begins["number"]) * UNITS.get(begins["unit"], 1))
            self._say(f"downloading {self._names()} ({begins['number']} {begins['unit']})")
        elif ends := ENDS.match(line):
            self._close(_name(ends["file"]))
            self._say(f"downloading {self._names()}" if self._open else "unpacking")
        else:
            self._other(line)

    def _other(self, line: str) -> None:
        for sign, words in OTHERS:
            if found := sign.match(line):
                if line.startswith(("Prepared", "Installing collected")):
                    self._close(*self._open)
                    self._done = self.total or self._done  # the small files were not mentioned
                self._say(words.format(*found.groups()))

    def _names(self) -> str:
        """What is under way: uv fetches up to fifty files at once, the newest is named last."""
        names = list(self._open)
        more = f"{len(names) - FEW} others, " if len(names) > FEW else ""
        return more + ", ".join(names[-FEW:])

    def _close(self, *names: str) -> None:
        self._done += sum(self._open.pop(name, 0) for name in names)

    def _say(self, words: str) -> None:
        if self.total and self._done <= self.total:
            self.tell(words, done=self._done, total=self.total)
        else:
            self.tell(words)


def _name(file: str) -> str:
    return normalize(file.partition("-")[0]) if file.endswith((".whl", ".gz", ".zip")) else normalize(file)
