"""bash: every word through `shlex.quote`, in an array."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from launcher.exporter.languages.parts import head
from launcher.exporter.script import SCRIPT

if TYPE_CHECKING:
    from launcher.exporter.script import Script

SUFFIX = ".sh"
CODEC = "utf-8"
NEWLINE = "\n"
IS_WINDOWS = False


def why_not(text: str) -> str:  # noqa: ARG001  (the same names in each module)
    return ""


def render(script: Script) -> str:
    lines = [
        "#!/usr/bin/env bash",
        *head(script, "#"), "",
        "set -e",
        'cd -- "$(dirname -- "$0")"',
        "sd_scripts=./sd-scripts",
        f"model={shlex.quote(script.model)}",
        "",
        'export PATH="$PWD/$sd_scripts/venv/bin:$PATH"',
        *(f"export {name}={shlex.quote(value)}" for name, value in script.env.items()),
        "",
        "words=(",
        '    "--pretrained_model_name_or_path=$model"',
        *(f"    {shlex.quote(word)}" for said in script.words for word in said.words),
        ")",
        f'accelerate launch {shlex.join(script.accelerate)} "$sd_scripts/{SCRIPT}" "${{words[@]}}"',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
