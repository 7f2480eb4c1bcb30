"""One line that PowerShell, cmd and bash all take alike, for pasting: bare words, else double quotes without anything that one of them reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.exporter.languages.parts import head
from launcher.exporter.script import SCRIPT

if TYPE_CHECKING:
    from launcher.exporter.script import Script

SUFFIX = ".txt"
CODEC = "utf-8"
NEWLINE = "\n"
IS_WINDOWS = False
BARE = re.compile(r"[\w-]+(=[\w./:-]+)?", re.ASCII)
READ_SOMEWHERE = re.compile('["$`%!\u201c-\u201f]')  # inside of double quotes, by one of the three


def quote(text: str) -> str:
    """One word for all three."""
    return text if BARE.fullmatch(text) else f'"{text}"'


def why_not(text: str) -> str:
    found = READ_SOMEWHERE.search(text)
    if found:
        return f"{found[0]} means something else to each shell"
    if "\\\\" in text or text.endswith("\\"):
        return "bash and cmd disagree about such backslashes"
    return ""


def render(script: Script) -> str:
    """Variables are not set: each shell does that in its own way; they stand in the comment."""
    wanted = " ".join(f"{name}={value}" for name, value in script.env.items())
    words = ["accelerate", "launch", *script.accelerate, f"sd-scripts/{SCRIPT}", *script.trainer_words]
    lines = [
        *head(script, "#"), "#",
        f"# Set these variables before: {wanted}",
        "# Then in this folder, with the environment of sd-scripts active, one line:",
        "",
        " ".join(quote(word) for word in words),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
