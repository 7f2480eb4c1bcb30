"""What `doctor` and the menu's check-up look at. Findings are (title, value, Problem or None).

First everything is looked at (`survey`), then it is judged (`findings`) or written down (`facts`): the same record.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import __version__
from launcher.commands import common
from launcher.errors import Problem, Severity
from launcher.paths import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.install.reach import Reach
    from launcher.machine import Machine
    from launcher.machine.pythons import Python
    from launcher.paths import Paths

    Finding = tuple[str, str, Problem | None]

LOW_DISK_MIB = 10_000  # a training environment with CUDA torch takes 6 to 8 GB (install facts, section 5)
NEEDED_MIB = 16_000  # of memory and swap together: caching SDXL's text encoders was seen to take 15.6 GiB
OLDEST = (3, 10)  # what the trainers take
SURVEY_S = 9.0  # nobody is waited for longer, whatever hangs


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """How a trainer's environment stands."""

    name: str
    reason: str | None  # why it cannot be used
    is_begun: bool  # is anything of it here?
    folder: Path
    generations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Everything that was looked at."""

    machine: Machine
    disk_mib: int | None
    folder: Path
    folder_problems: tuple[Problem, ...]
    home: Path
    home_error: str
    environments: tuple[Environment, ...]
    default_trainer: str
    accelerate_note: str | None
    pythons: tuple[Python, ...] | None  # None: not done in time
    reached: tuple[Reach, ...] | None  # None: not done in time
    proxies: tuple[str, ...]


def survey(paths: Paths) -> Survey:
    """Look at everything at once, in less than ten seconds; nothing is changed."""
    from launcher.install.accelerate import global_config_note
    from launcher.install.index import PipSettings
    from launcher.install.reach import Later, look_around, proxies
    from launcher.machine import free_disk_mib
    from launcher.machine.drives import write_error
    from launcher.machine.folder import examine_folder
    from launcher.machine.pythons import find_pythons
    from launcher.trainers import DEFAULT_TRAINER, TRAINERS

    until = time.monotonic() + SURVEY_S
    asking, reaching = Later(find_pythons), Later(lambda: look_around(paths))
    machine = common.machine_of(paths)
    problems, home_error = examine_folder(paths.root), write_error(paths.home)
    pythons = asking.result(until=until)
    settings, reached = reaching.result(until=until) or (PipSettings(), None)
    return Survey(
        machine=machine,
        disk_mib=free_disk_mib(paths.root),
        folder=paths.root,
        folder_problems=tuple(problems),
        home=paths.home,
        home_error=home_error,
        environments=tuple(_environment(paths, name) for name in TRAINERS),
        default_trainer=DEFAULT_TRAINER,
        accelerate_note=global_config_note(os.environ, Path.home()),
        pythons=None if pythons is None else tuple(pythons),
        reached=None if reached is None else tuple(reached),
        proxies=tuple(proxies(os.environ, settings)),
    )


def examine(paths: Paths) -> list[Finding]:
    """Look and judge."""
    return findings(survey(paths))


def findings(seen: Survey) -> list[Finding]:
    """What is good to know and what is wrong, in the order of a screen."""
    return [
        *_program(seen),
        *_computer(seen),
        *_pythons(seen),
        *_environments(seen),
        *_network(seen),
        *_rest(seen),
    ]


def _environment(paths: Paths, name: str) -> Environment:
    from launcher.install import trainer_ready

    generations = paths.generations(name)
    return Environment(
        name=name,
        reason=trainer_ready(paths, name),
        is_begun=bool(generations) or paths.trainer_venv(name).exists(),
        folder=paths.generation(name),
        generations=generations,
    )


def _program(seen: Survey) -> Iterator[Finding]:
    yield "launcher", __version__, None
    yield "Python", f"{platform.python_version()} ({sys.executable})", None
    yield "folder", str(seen.folder), seen.folder_problems[0] if seen.folder_problems else None
    for problem in seen.folder_problems[1:]:
        yield "folder", "and:", problem


def _computer(seen: Survey) -> Iterator[Finding]:
    machine = seen.machine
    odd = _warning(machine.arch_note) if machine.arch_note else None
    yield "system", f"{platform.platform()}, {machine.arch}", odd
    yield "processor", f"{machine.cores} cores", None
    yield (
        "memory",
        f"{machine.ram_mib} MiB, {machine.free_ram_mib} free; {_swap_name(machine)} {machine.swap_mib} MiB",
        _memory(machine),
    )
    for gpu in machine.gpus:
        capability = ".".join(map(str, gpu.capability))
        yield (
            "graphics card",
            f"{gpu.name}, {gpu.total_mib} MiB, {gpu.free_mib} free, compute capability {capability}",
            None,
        )
    if machine.gpus and machine.gpu_note:
        yield "graphics card", "another one", _warning(machine.gpu_note)
    if not machine.gpus:
        yield "graphics card", "no NVIDIA card found: the rehearsal runs on the processor", _no_card(machine)
    for name in machine.other_gpus:
        yield "graphics card", f"{name} (not NVIDIA: the trainers cannot use it)", None
    if machine.driver or machine.cuda_driver:
        cuda = f", serves CUDA up to {machine.cuda_driver}" if machine.cuda_driver else ""
        yield "NVIDIA driver", f"{machine.driver or 'version not known'}{cuda}", None
    if machine.visible_devices is not None:
        yield (
            "hidden cards",
            f"CUDA_VISIBLE_DEVICES={machine.visible_devices}",
            _note("programs see only the cards that it names; all of them are listed here"),
        )
    yield "bf16", f"{'yes' if machine.has_bf16.value else 'no'} ({machine.has_bf16.reason})", None
    yield (
        "disk",
        "not known" if seen.disk_mib is None else f"{seen.disk_mib} MiB free",
        _low_disk(seen.disk_mib),
    )


def _no_card(machine: Machine) -> Problem:
    """Why; a warning only where there seems to be a card that does not answer."""
    note = machine.gpu_note
    if "version mismatch" in note:  # what the library says until the kernel has the new driver too
        return Problem(severity=Severity.WARNING, what="the NVIDIA driver was updated and waits for a restart", why=note, fix="restart the computer")  # fmt: skip
    if "is in this computer" in note:
        return Problem(severity=Severity.WARNING, what=note, fix="install NVIDIA's driver (nvidia.com/drivers, or the system's own package), then restart")  # fmt: skip
    return _note(note or "nothing is known of any")


def _swap_name(machine: Machine) -> str:
    return "page file" if machine.os_name == "windows" else "swap"


def _memory(machine: Machine) -> Problem | None:
    if not machine.ram_mib or machine.ram_mib + machine.swap_mib >= NEEDED_MIB:
        return None
    where = (
        "Windows: Settings > System > About > Advanced system settings > Performance > Advanced > Virtual memory: let Windows manage it"
        if machine.os_name == "windows"
        else "add swap: as much as is missing"
    )
    return Problem(
        severity=Severity.WARNING, what=f"memory and {_swap_name(machine)} together are below {NEEDED_MIB // 1000} GB",
        why="Loading an SDXL model and caching its text encoders takes up to 15.6 GB for a short time. The rehearsal needs far less.",
        fix=where,
    )  # fmt: skip


def _low_disk(free_mib: int | None) -> Problem | None:
    if free_mib is None or free_mib >= LOW_DISK_MIB:
        return None
    return Problem(
        severity=Severity.WARNING, what="less than 10 GB are free", why="an environment may not fit"
    )


def _pythons(seen: Survey) -> Iterator[Finding]:
    if seen.pythons is None:
        yield "Pythons", "they were still being asked when the time was up", None
        return
    usable = [python for python in seen.pythons if not python.problem and (python.version or (0,)) >= OLDEST]
    titles = ", ".join(python.title for python in usable)
    yield "Pythons", titles or "none that an environment can be made from: uv brings one", None
    for python in seen.pythons:
        words = python.problem or (python.warning if python in usable else "")
        if words:
            yield "", f"{python.path}: {words}", None


def _environments(seen: Survey) -> Iterator[Finding]:
    is_any_ready = any(environment.reason is None for environment in seen.environments)
    for environment in seen.environments:
        title = f"trainer {environment.name}"
        if environment.reason is None:
            yield title, "ready", None
        elif not environment.is_begun and (is_any_ready or environment.name != seen.default_trainer):
            yield title, f"not installed ({COMMAND} install {environment.name})", None
        else:
            fix = f"{COMMAND} install {environment.name}"
            yield title, "not ready", Problem(severity=Severity.ERROR, what=environment.reason, fix=fix)


def _network(seen: Survey) -> Iterator[Finding]:
    from launcher.install.reach import HUB_FIX, HUB_NAME

    if seen.proxies:
        yield "proxy", f"set by {', '.join(seen.proxies)}", None  # the value may hold a password
    if seen.reached is None:
        yield (
            "network",
            "no answer in time",
            _warning("the network was still being asked when the time was up"),
        )
    for place in seen.reached or ():
        problem = None
        if not place.is_reached:
            fix = " ".join(filter(None, (place.fix, HUB_FIX if place.name == HUB_NAME else "")))
            problem = Problem(
                severity=Severity.WARNING, what=place.words, why="Needed for installing only.", fix=fix
            )
        yield place.name, place.url + (f" {place.words}" if place.is_reached else ""), problem


def _rest(seen: Survey) -> Iterator[Finding]:
    error = Problem(severity=Severity.ERROR, what="this folder cannot be written", why=seen.home_error)
    yield "your data", str(seen.home), error if seen.home_error else None
    if seen.accelerate_note:
        yield "accelerate", "settings of your own", _note(seen.accelerate_note)


def _warning(what: str) -> Problem:
    return Problem(severity=Severity.WARNING, what=what)


def _note(what: str) -> Problem:
    return Problem(severity=Severity.NOTE, what=what)
