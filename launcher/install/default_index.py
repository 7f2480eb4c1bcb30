"""Where pip looks when nobody told it: asked of pip or uv, as this project writes no registry's address down."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.install.commands import Commands
    from launcher.install.index import PipSettings

TIMEOUT_S = 60.0
HELP = re.compile(r"Package\s+Index\s+\(default\s+(\S+?)\)")
UV_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")


def with_index(settings: PipSettings, commands: Commands, *, python: Path, uv: Path | None) -> PipSettings:
    """The same settings with an index in any case, if pip or uv can tell their own one."""
    if settings.index or settings.no_index:
        return settings
    named = next((os.environ[name] for name in UV_VARIABLES if os.environ.get(name)), None)
    return replace(settings, index=named or _from_pip(commands, python) or _from_uv(commands, uv))


def _from_pip(commands: Commands, python: Path) -> str | None:
    argv = [str(python), "-X", "utf8", "-m", "pip", "install", "--help"]
    try:
        # COLUMNS: the address must not be cut at the end of a line
        finished = commands.call(argv, {"COLUMNS": "500"}, timeout_s=TIMEOUT_S)
    except LauncherError:
        return None
    found = HELP.search(finished.output)
    return found[1] if found and finished.code == 0 else None


def _from_uv(commands: Commands, uv: Path | None) -> str | None:
    """Compiling an empty list of requirements needs no network."""
    if uv is None:
        return None
    commands.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=commands.cache, prefix="look-") as folder:
        empty, out = Path(folder, "empty.in"), Path(folder, "empty.txt")
        empty.touch()
        words = ["pip", "compile", "--quiet", "--emit-index-url", "--no-header", str(empty), "--output-file", str(out)]  # fmt: skip
        try:
            finished = commands.uv(uv, words)
        except LauncherError:
            return None
        text = out.read_text(encoding="utf-8") if out.exists() else finished.output
    found = re.search(r"^--(?:default-)?index(?:-url)?\s+(\S+)", text, re.MULTILINE)
    return found[1] if found else None
