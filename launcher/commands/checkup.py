"""What `doctor` and the menu's check-up look at. Findings are (title, value, Problem or None)."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING

from launcher import __version__
from launcher.commands import common
from launcher.errors import Problem, Severity
from launcher.paths import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.paths import Paths

    Finding = tuple[str, str, Problem | None]

MIB = 1 << 20
LOW_DISK_MIB = 10_000  # a training environment with CUDA torch takes 6 to 8 GB (install facts, section 5)
MAX_PATH_HEADROOM = (
    88  # longest path below site-packages leaves this much on Windows (install facts, section 5)
)


def examine(paths: Paths) -> list[Finding]:
    """Everything at once; nothing is changed."""
    return [*_program(paths), *_computer(paths), *_environments(paths), *_surroundings(paths)]


def _program(paths: Paths) -> Iterator[Finding]:
    yield "launcher", __version__, None
    yield "Python", f"{platform.python_version()} ({sys.executable})", None
    problem = None
    if sys.platform == "win32" and len(str(paths.root)) > MAX_PATH_HEADROOM:
        problem = Problem(
            severity=Severity.WARNING,
            what="this path is long for Windows",
            fix="move the folder to something like C:\\lora",
        )
    yield "folder", str(paths.root), problem


def _computer(paths: Paths) -> Iterator[Finding]:

    machine = common.machine_of(paths)
    yield "system", platform.platform(), None
    yield "processor", f"{machine.cores} cores", None
    yield "memory", f"{machine.ram_mib} MiB, {machine.free_ram_mib} free", None
    for gpu in machine.gpus:
        yield (
            "graphics card",
            f"{gpu.name}, {gpu.total_mib} MiB, {gpu.free_mib} free, driver {gpu.driver}",
            None,
        )
    if not machine.gpus:
        yield "graphics card", "no NVIDIA card found: the rehearsal runs on the processor", None
    yield "bf16", f"{'yes' if machine.has_bf16.value else 'no'} ({machine.has_bf16.reason})", None
    free = shutil.disk_usage(paths.root).free // MIB
    yield (
        "disk",
        f"{free} MiB free",
        _low_disk(free),
    )


def _environments(paths: Paths) -> Iterator[Finding]:
    from launcher.install import trainer_ready
    from launcher.trainers import TRAINERS

    for name in TRAINERS:
        reason = trainer_ready(paths, name)
        problem = (
            Problem(severity=Severity.ERROR, what=reason, fix=f"{COMMAND} install {name}") if reason else None
        )
        yield f"trainer {name}", "ready" if reason is None else "not ready", problem


def _low_disk(free_mib: int) -> Problem | None:
    if free_mib >= LOW_DISK_MIB:
        return None
    return Problem(
        severity=Severity.WARNING, what="less than 10 GB are free", why="an environment may not fit"
    )


def _surroundings(paths: Paths) -> Iterator[Finding]:
    for name in ("HTTPS_PROXY", "https_proxy"):
        if os.environ.get(name):
            yield "proxy", f"set by {name}", None  # the value may hold a password
            break
    writable = os.access(paths.home if paths.home.exists() else paths.home.parent, os.W_OK)
    yield (
        "your data",
        str(paths.home),
        None if writable else Problem(severity=Severity.ERROR, what="this folder cannot be written"),
    )
