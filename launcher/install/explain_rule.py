r"""One entry of the registry of known failures: the signs by which it is recognised and the words for it.

How signs are written (they are regular expressions, matched on the output in lower case):
a space stands for any run of white space, because tools wrap their messages; every repetition has a bound
(`[^\n]{0,300}`) or ends with the line, which explain cuts, so that no output, however long or hostile, takes more than
a moment; named groups fill the placeholders of the words (`{package}`, `{host}`, `{file}`, `{version}`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

AGAIN = "Start this again: it goes on where it stopped."
WORD = r"[\w.+-]{1,80}"
PACKAGE = rf"(?<![\w.+-])(?P<package>{WORD}(?:\[[\w,-]{{1,80}}\])?(?:[=<>~!]{{1,3}}[\w.+*,<>=!-]{{1,60}})?)"
HOST = r"(?:[^/\s'\"]*@)?(?P<host>[^/\s'\"`)>@,]{1,200})"
URL = rf"https?://{HOST}"
QUOTED = r"[`'\"]{1,2}(?P<file>[^`'\"\n]{1,300})[`'\"]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What one failure looks like and what to say about it.

    `windows`, `macos` and `linux` replace `fix` on that system. `only` limits the rule to "windows" or "unix": the same
    error number means different things there. `codes` are exit codes that tell it when nothing in the output does.
    """

    name: str
    signs: tuple[str, ...]
    what: str
    why: str
    fix: str
    windows: str = ""
    macos: str = ""
    linux: str = ""
    only: str = ""
    codes: frozenset[int] = frozenset()

    def fits(self, system: str) -> bool:
        """Whether the rule can be true on "windows", "macos" or "linux"."""
        return not self.only or (self.only == "windows") == (system == "windows")

    def search(self, lowered: str) -> re.Match[str] | None:
        """The first of the signs that is found."""
        return first_match(self.signs, lowered)

    def remedy(self, system: str) -> str:
        return {"windows": self.windows, "macos": self.macos, "linux": self.linux}[system] or self.fix


@cache  # compiling them all takes a moment: nobody pays for it before something has failed
def compile_sign(sign: str) -> re.Pattern[str]:
    """A sign as a pattern: its spaces are runs of white space (or of the bars that uv and pip draw)."""
    return re.compile(sign.replace(" ", r"[\s│]+"), re.MULTILINE)


def first_match(signs: tuple[str, ...], lowered: str) -> re.Match[str] | None:
    """The first of the signs that is found in a text in lower case."""
    matches = (compile_sign(sign).search(lowered) for sign in signs)
    return next((match for match in matches if match), None)
