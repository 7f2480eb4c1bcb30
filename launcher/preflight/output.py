"""Can a run folder be written?"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

PROBE = b"0" * 4096  # a full disk still makes empty files


def check_output(paths: Paths, _plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Write a small file where the runs lie, and remove it: permissions alone do not tell on every system."""
    folder = nearest(paths.runs)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as stream:
            stream.write(PROBE)
            stream.flush()
    except OSError as error:
        yield Problem(
            severity=Severity.ERROR, what=f"nothing can be written in {folder}: {error.strerror or error}",
            fix="check the folder's permissions and the disk, or set LAUNCHER_HOME to a folder of yours", where=str(paths.runs),
        )  # fmt: skip


def nearest(folder: Path) -> Path:
    """The folder itself, or the one nearest above it that is already there."""
    return next((place for place in (folder, *folder.parents) if is_there(place)), folder)
