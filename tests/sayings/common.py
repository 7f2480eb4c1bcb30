"""What recordings of several tools need."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from record import EXTRAS, PYTHONS, UV, Bench

if TYPE_CHECKING:
    from pathlib import Path

FETCHED = EXTRAS / "pip"  # wheels of today's pip, setuptools, wheel and packaging
DEAD = "http://127.0.0.1:9/simple/"
NOWHERE = "http://nowhere.invalid/simple/"
STRACE = ["strace", "-f", "-qq", "-o", "/dev/null"]
BIG = {f"six/{n}.py": "#" * 300_000 for n in range(20)}


def as_nobody(bench: Bench, *folders: Path) -> list[object]:
    """Prefix of a command run by a user to whom only `folders` belong."""
    bench.folder.chmod(0o755)
    for folder in (bench.folder / "home", *folders):
        folder.mkdir(exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


SETUP_C = "from setuptools import setup, Extension\nsetup(name='spam', version='1.0', ext_modules=[Extension('spam', ['spam.c'])])\n"


def with_setuptools(b: Bench) -> list[str]:
    """Builds here take setuptools from the environment: there is no index to fetch it from."""
    b.quietly([PYTHONS / "3.11.7" / "bin" / "python", "-m", "venv", b.venv])
    wheels = [path for path in FETCHED.glob("*.whl") if not path.name.startswith("pip-")]
    b.quietly([UV, "pip", "install", "-p", b.venv, "--no-index", "--find-links", FETCHED, "-U", *wheels])
    return ["--no-build-isolation"]
