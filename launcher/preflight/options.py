"""What is doubtful about the options, and about this computer for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan.cards import cards_of, only_cards
from launcher.plan.proposal import NOMINAL_SHARE, propose
from launcher.preset import Preset, check_combinations, list_presets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

SMALL_TRAINERS = frozenset({"rehearsal"})
REHEARSAL_RAM_MIB = 3072  # what the rehearsal promises to stay below


def check_options(paths: Paths, plan: Plan, machine: Machine) -> Iterator[Problem]:
    """Doubtful combinations, too little video memory, too little RAM."""
    yield from check_combinations(plan.options, trainer=plan.trainer)
    yield from _precision(plan, machine)
    if plan.trainer in SMALL_TRAINERS:
        yield from _ram(machine)
    else:
        yield from _card(paths, plan, machine)


def _precision(plan: Plan, machine: Machine) -> Iterator[Problem]:
    """Only what somebody asked for by hand gets here: the plan has changed everything else to what works."""
    setting, device = plan.options.get("mixed_precision"), plan.machine.get("device")
    if setting is None or device is None:
        return
    where = f"{setting.source} (mixed_precision)"
    if device.value == "cpu" and setting.value == "fp16":
        yield Problem(
            severity=Severity.ERROR, what="fp16 needs a graphics card", why=f"the training computes on the CPU: {device.reason}",
            fix='leave it out, or write mixed_precision = "bf16"', where=where,
        )  # fmt: skip
    elif device.value != "cpu" and setting.value == "bf16" and not machine.has_bf16.value:
        yield Problem(
            severity=Severity.WARNING, what="this card has no bf16: the training may stop or be very slow", why=machine.has_bf16.reason,
            fix='leave it out, or write mixed_precision = "fp16"', where=where,
        )  # fmt: skip


def _ram(machine: Machine) -> Iterator[Problem]:
    if 0 < machine.free_ram_mib < REHEARSAL_RAM_MIB:
        yield Problem(
            severity=Severity.WARNING, what=f"only {machine.free_ram_mib} MiB of memory are free",
            why=f"a rehearsal may need up to {REHEARSAL_RAM_MIB} MiB", fix="close other programs, a browser above all",
        )  # fmt: skip


def _card(paths: Paths, plan: Plan, machine: Machine) -> Iterator[Problem]:
    cards = cards_of(plan.machine["gpus"].value) if "gpus" in plan.machine else ()
    if all(number < len(machine.gpus) for number in cards):
        machine = only_cards(machine, cards)
    if machine.gpu is None:
        yield Problem(
            severity=Severity.ERROR, what="there is no NVIDIA card to train on", why=machine.gpu_note,
            fix="train with --trainer rehearsal, or install NVIDIA's driver",
        )  # fmt: skip
    elif plan.min_vram_gib and machine.gpu.total_mib < plan.min_vram_gib * 1024 * NOMINAL_SHARE:
        yield Problem(
            severity=Severity.WARNING, what=f"{machine.gpu.name} has {machine.gpu.total_mib} MiB; the preset is made for {plan.min_vram_gib:g} GiB",
            why="the training may run out of memory, or become very slow on Windows", fix=_smaller(paths, machine),
        )  # fmt: skip


def _smaller(paths: Paths, machine: Machine) -> str:
    usable = [entry for entry in list_presets(paths) if isinstance(entry, Preset)]
    proposal = propose(usable, machine)
    if proposal is None:
        return "no preset is made for so small a card: lower the resolution and network_dim"
    return f"train with the preset {proposal.preset}, which fits this card"
