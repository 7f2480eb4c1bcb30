"""PowerShell: every word in single quotes, in an array that a program gets as it is.

Source: about_Quoting_Rules (a single-quoted string is taken as it stands; a quote in it is doubled, the typographic ones
too), about_Parsing (Windows PowerShell hands a double quote inside of an argument on without escaping it, so it is lost).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.exporter.languages.parts import head
from launcher.exporter.script import SCRIPT

if TYPE_CHECKING:
    from launcher.exporter.script import Script

SUFFIX = ".ps1"
CODEC = "utf-8-sig"  # without the mark Windows PowerShell takes the file for the old code page
NEWLINE = "\r\n"
IS_WINDOWS = True
QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")


def quote(text: str) -> str:
    """A text that PowerShell takes as it stands."""
    return "'" + QUOTES.sub(lambda found: found[0] * 2, text) + "'"


def why_not(text: str) -> str:
    if '"' in text:
        return "Windows PowerShell loses double quotes on the way to a program"
    if text.endswith("\\"):
        return "a backslash at the end would take the quote behind it away"
    return ""


def render(script: Script) -> str:
    lines = [
        *head(script, "#"), "",
        "$ErrorActionPreference = 'Stop'",
        "Set-Location -LiteralPath $PSScriptRoot",
        '$sd_scripts = "$PSScriptRoot\\sd-scripts"',
        f"$model = {quote(script.model)}",
        "",
        '$env:PATH = "$sd_scripts\\venv\\Scripts;$env:PATH"',
        *(f"$env:{name} = {quote(value)}" for name, value in script.env.items()),
        "",
        "$words = @(",
        '    "--pretrained_model_name_or_path=$model"',
        *(f"    {quote(word)}" for said in script.words for word in said.words),
        ")",
        f'accelerate launch {" ".join(map(_bare, script.accelerate))} "$sd_scripts\\{SCRIPT}" @words',
        "exit $LASTEXITCODE",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _bare(word: str) -> str:
    return word if re.fullmatch(r"[\w-]+", word, re.ASCII) else quote(word)
