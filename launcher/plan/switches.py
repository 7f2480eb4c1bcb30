"""The launcher's own switches in a plan: all that the trainer can obey, each with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.preset import Setting
from launcher.trainers.switches import ABOUT, PREFIX, SWITCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.trainers import Trainer

ALLOCATOR_VARIABLE = "PYTORCH_CUDA_ALLOC_CONF"
DEFAULT = "launcher: default"  # the source of a switch that nobody has set


def complete_switches(trainer: Trainer, chosen: Mapping[str, Setting]) -> dict[str, Setting]:
    """Switches as a plan keeps them, `launcher.NAME`: those that were set, and the defaults of the others."""
    found = {
        name: Setting(value=option.default, source=DEFAULT, why=ABOUT[name])
        for name, option in SWITCHES.items()
        if name in trainer.switches
    }
    return {f"{PREFIX}{name}": setting for name, setting in {**found, **chosen}.items()}


def switch_values(options: Mapping[str, Setting]) -> dict[str, object]:
    """The switches among a plan's options, by their own names."""
    return {
        name.removeprefix(PREFIX): setting.value
        for name, setting in options.items()
        if name.startswith(PREFIX)
    }


def is_telling(name: str, value: object) -> bool:
    """Whether a person wants to read this option: of eleven boosts that follow the switch `boosts` nobody does."""
    switch = name.removeprefix(PREFIX)
    if switch == name or switch not in SWITCHES:
        return True
    return not (switch.startswith("boost_") or switch == "keep_mib") or value != SWITCHES[switch].default


def allocator_of(switches: Mapping[str, object], *, has_card: bool, system: str) -> str | None:
    """What torch's allocator is told through its variable; None: nothing.

    Segments that grow need the system's virtual memory functions, which torch uses on Linux only.
    """
    is_wanted = switches.get("allocator") == "expandable"
    return "expandable_segments:True" if is_wanted and has_card and system.startswith("Linux") else None


def switch_notes(
    options: Mapping[str, Setting], *, on_cpu: bool, system: str, environ: Mapping[str, str]
) -> list[str]:
    """What a switch cannot do here."""
    return [*_limit_notes(switch_values(options), on_cpu=on_cpu), *_allocator_notes(options, on_cpu=on_cpu, system=system, environ=environ)]  # fmt: skip


def _limit_notes(values: Mapping[str, object], *, on_cpu: bool) -> list[str]:
    above, below = values.get("hold_above_c"), values.get("continue_below_c")
    if not isinstance(above, int) or not above:
        return [f"{PREFIX}continue_below_c does nothing without {PREFIX}hold_above_c."] if below else []
    if on_cpu:
        return [
            f"{PREFIX}hold_above_c = {above} does nothing here: there is no card whose temperature could be read."
        ]
    if isinstance(below, int) and below >= above:
        return [f"{PREFIX}continue_below_c = {below} is not below {PREFIX}hold_above_c = {above}: training goes on at {above - 1} °C."]  # fmt: skip
    return []


def _allocator_notes(
    options: Mapping[str, Setting], *, on_cpu: bool, system: str, environ: Mapping[str, str]
) -> list[str]:
    if on_cpu or switch_values(options).get("allocator") != "expandable":
        return []
    if not system.startswith("Linux"):
        return [
            f"{PREFIX}allocator = expandable changes nothing here: torch has memory that grows on Linux only."
        ]
    if environ.get(ALLOCATOR_VARIABLE):
        own = environ[ALLOCATOR_VARIABLE]
        return [
            f"{ALLOCATOR_VARIABLE}={own} of this computer is replaced; with {PREFIX}allocator = stock it stays."
        ]
    return []
