"""What was found on this computer, on half a screen; what is wrong stands below it, with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from launcher.ui import formats, transfer
from launcher.ui.formats import clean, fit_middle
from launcher.ui.tables import grid, inset, lines_of, problem_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from launcher.errors import Problem
    from launcher.machine import Machine
    from launcher.machine.pythons import Python
    from launcher.ui.palette import Glyphs

LABEL = 14
MOST_PYTHONS = 4
SYSTEMS = {"windows": "Windows", "linux": "Linux", "macos": "macOS"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What belongs to the picture and is not the machine itself."""

    folder: str
    disk_free_mib: float | None = None
    pythons: tuple[Python, ...] = ()
    proxy: str = ""  # where it is set, never its address: that may hold a password
    indexes: tuple[tuple[str, str], ...] = ()  # (name, how it answers)
    problems: tuple[Problem, ...] = ()


def render_machine(
    machine: Machine, around: Surroundings, width: int, glyphs: Glyphs
) -> list[RenderableType]:
    """Cards, driver, computer, memory, disk, Pythons, network; below them what is wrong."""
    table = grid({"width": LABEL, "style": "muted"}, {"overflow": "fold", "ratio": 1}, gap=1)
    for label, words in _rows(machine, around, max(width - LABEL - 5, 20), glyphs):
        table.add_row(label, words)
    parts: list[RenderableType] = [inset(table)]
    if around.problems:
        parts += ["", problem_list(around.problems, glyphs)]
    return parts


def machine_lines(machine: Machine, glyphs: Glyphs) -> tuple[str, ...]:
    """The computer in two lines, for the head of the plan."""
    between = f" {glyphs.between} "
    gpu = machine.gpu
    card = f"{clean(gpu.name)}{between}{formats.gib(gpu.total_mib)} GiB VRAM" if gpu else "no NVIDIA card"
    driver = f"{between}driver {machine.driver}" if machine.driver and machine.gpus else ""
    memory = f"{between}{formats.amount(machine.ram_mib)} memory" if machine.ram_mib else ""
    return f"{card}{driver}", f"{_system(machine)}{memory}"


def _rows(machine: Machine, around: Surroundings, room: int, glyphs: Glyphs) -> list[tuple[str, Text]]:
    rows = _cards(machine, glyphs)
    rows.append(
        ("computer", _facts([_system(machine), _arch(machine), formats.count(machine.cores, "core")], glyphs))
    )
    rows.append(("memory", Text(_memory(machine))))
    free = f"{transfer.size_mib(around.disk_free_mib)} free"
    disk = Text(free if around.disk_free_mib is not None else "free space unknown")
    rows.append(("disk", disk.append("  in ", "muted").append(clean(around.folder), "muted")))
    rows += _pythons(around.pythons, room, glyphs)
    if around.proxy:
        rows.append(("proxy", Text(f"set by {clean(around.proxy)}")))
    rows += [(clean(name), Text(clean(answer))) for name, answer in around.indexes]
    return rows


def _cards(machine: Machine, glyphs: Glyphs) -> list[tuple[str, Text]]:
    rows = []
    for number, gpu in enumerate(machine.gpus):
        rows.append(("graphics card" if number == 0 else "", Text(clean(gpu.name))))
        capability = (
            f"compute capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability > (0, 0) else ""
        )
        memory = f"{formats.gib(gpu.total_mib)} GiB VRAM, {formats.gib(gpu.free_mib)} free"
        rows.append(("", _facts([memory, capability], glyphs)))
    if not machine.gpus:
        why = f": {clean(machine.gpu_note)}" if machine.gpu_note else ""
        rows.append(("graphics card", Text("no NVIDIA card", style="warn").append(why, "muted")))
    rows += [("", Text(f"{clean(name)} (not used)", style="muted")) for name in machine.other_gpus]
    if machine.driver:
        cuda = f"up to CUDA {machine.cuda_driver}" if machine.cuda_driver else ""
        rows.append(("driver", _facts([clean(machine.driver), cuda], glyphs)))
    if machine.visible_devices is not None:
        rows.append(("", Text(f"CUDA_VISIBLE_DEVICES={clean(machine.visible_devices)} hides cards from programs", style="warn")))  # fmt: skip
    return rows


def _between(glyphs: Glyphs) -> str:
    return f" {glyphs.between} "


def _facts(facts: Sequence[str], glyphs: Glyphs) -> Text:
    return Text(_between(glyphs).join(fact for fact in facts if fact))


def _system(machine: Machine) -> str:
    return clean(machine.os or SYSTEMS.get(machine.os_name, machine.os_name))


def _arch(machine: Machine) -> str:
    return clean(f"{machine.arch} ({machine.arch_note})" if machine.arch_note else machine.arch)


def _memory(machine: Machine) -> str:
    if not machine.ram_mib:
        return "unknown"
    swap = "page file" if machine.os_name == "windows" else "swap"
    words = f"{formats.amount(machine.ram_mib)}, {formats.amount(machine.free_ram_mib)} free"
    return (
        f"{words}, {swap} {formats.amount(machine.swap_mib)}" if machine.swap_mib else f"{words}, no {swap}"
    )


def _pythons(pythons: Sequence[Python], room: int, glyphs: Glyphs) -> list[tuple[str, Text]]:
    """The usable ones first; how many more there are is worth a word, their paths are not."""
    ordered = sorted(pythons, key=lambda one: one.problem is not None)
    rows = []
    for number, one in enumerate(ordered[:MOST_PYTHONS]):
        version = ".".join(map(str, one.version)) if one.version else "?"
        words = Text(f"{version:<8}", style="" if one.problem is None else "muted")
        place = fit_middle(clean(one.path), max(room - 8, 8), glyphs.ellipsis)
        words.append(place, "muted")
        if one.problem or one.warning:
            words.append("\n").append_text(lines_of(one.problem or one.warning, "warn"))
        rows.append(("Python" if number == 0 else "", words))
    if len(ordered) > MOST_PYTHONS:
        rows.append(("", Text(f"and {len(ordered) - MOST_PYTHONS} more", style="muted")))
    return rows
