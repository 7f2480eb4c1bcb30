"""Batch files of Windows: every word in double quotes, percent signs doubled, delayed expansion off.

Inside of double quotes cmd reads only the percent sign; `!` only where delayed expansion is on. A double quote in a word
cannot be told to both cmd and the program without doubt, so it is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.exporter.languages.parts import head
from launcher.exporter.script import SCRIPT

if TYPE_CHECKING:
    from launcher.exporter.script import Script

SUFFIX = ".bat"
CODEC = "utf-8"  # cmd would take a mark for a part of the first command
NEWLINE = "\r\n"
IS_WINDOWS = True
BARE = re.compile(r"[\w.-]+(=[\w./:-]+)?", re.ASCII)
LONGEST = 8000  # cmd stops at 8191 characters a command


def quote(text: str) -> str:
    """One word, safe from cmd."""
    return text if BARE.fullmatch(text) else '"' + _doubled(text) + '"'


def _doubled(text: str) -> str:
    return text.replace("%", "%%")


def why_not(text: str) -> str:
    if '"' in text:
        return "a double quote cannot be handed on by cmd without doubt"
    if text.endswith("\\"):
        return "a backslash at the end would take the quote behind it away"
    return f"it is longer than {LONGEST} characters" if len(text) > LONGEST else ""


def render(script: Script) -> str:
    words = [quote(word) for said in script.words for word in said.words]
    lines = [
        "@echo off",
        "chcp 65001 >nul",
        "setlocal DisableDelayedExpansion",
        'cd /d "%~dp0"',
        *head(script, "rem"), "",
        'set "SD_SCRIPTS=%~dp0sd-scripts"',
        f'set "MODEL={_doubled(script.model)}"',
        'set "PATH=%SD_SCRIPTS%\\venv\\Scripts;%PATH%"',
        *(f'set "{name}={_doubled(value)}"' for name, value in script.env.items()),
        "",
        f'accelerate launch {" ".join(map(quote, script.accelerate))} "%SD_SCRIPTS%\\{SCRIPT}" ^',
        " ^\n".join(f"  {word}" for word in ('"--pretrained_model_name_or_path=%MODEL%"', *words)),
        "if errorlevel 1 pause",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
