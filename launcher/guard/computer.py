"""Rules about the computer around the card: disk, memory, battery."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from launcher.guard import limits as at
from launcher.guard.look import Concern
from launcher.guard.words import clock_in, gib, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.guard.look import Look

ROOM_AGAIN_MIB = 512  # above what is needed: else the next pause comes at once


def needed_mib(look: Look) -> float:
    """Free space without which the next state and LoRA may not be whole; sizes are those of the last ones."""
    return (look.progress.state_mib or 0.0) + (look.progress.lora_mib or 0.0) + at.RESERVE_MIB


def _free_mib(look: Look) -> float | None:
    """Free space; a state that is just being written counts as not yet written: the oldest goes when it is whole."""
    free = look.now.disk_free_mib
    return None if free is None else free + (look.now.making_mib or 0.0)


def disk_full(look: Look) -> Iterator[Concern]:
    """Too little room for the next save: pause with a state while there still is some."""
    free, needed = _free_mib(look), needed_mib(look)
    if free is None or free >= needed + (at.RESERVE_MIB if "disk-full" in look.standing else 0):
        return
    can_pause = look.limits.on_low_disk == "pause" and look.progress.steps_here > 0
    then = "Training pauses with a state while there is room for one" if can_pause else "What cannot be saved is lost"  # fmt: skip
    yield Concern(
        kind="disk-full", act="pause" if can_pause else "", needs_mib=round(needed + ROOM_AGAIN_MIB),
        message=f"The disk is nearly full: {gib(free)} are free, the next state and LoRA need {gib(needed)}. {then}.",
        fix="Make room, then resume.",
    )  # fmt: skip


def disk_filling(look: Look) -> Iterator[Concern]:
    """The disk is getting low, or something beside the run fills it: a word while there is time."""
    free = _free_mib(look)
    if free is None or next(disk_full(look), None) is not None:
        return
    spare = free - needed_mib(look)
    seconds = _seconds_until_full(look, spare)
    if seconds is not None:
        yield Concern(
            kind="disk-filling",
            message=f"The disk is filling up: {gib(free)} are free, at this pace there is too little room in {span(seconds)}, at about {clock_in(seconds)}.",
            fix="Look what is being written there, and make room.",
        )
    elif spare < at.LOW_DISK_MIB + (at.RESERVE_MIB if "disk-filling" in look.standing else 0):
        then = "training pauses by itself" if look.limits.on_low_disk == "pause" else "nothing can be saved any more"  # fmt: skip
        yield Concern(
            kind="disk-filling",
            message=f"The disk is getting full: {gib(free)} are free. Below {gib(needed_mib(look))} {then}.",
            fix="Make room.",
        )


def _seconds_until_full(look: Look, spare: float) -> float | None:
    """When others will have filled the disk, if that is soon and before the training is over.

    What the run itself writes is no reason: preflight has counted it, and old states go when new ones come.
    """
    known = [moment for moment in look.moments if moment.own_mib is not None and moment.disk_free_mib is not None]  # fmt: skip
    if len(known) < 2 or known[-1].at - known[0].at < at.DISK_RATE_S:
        return None
    first, last = ((moment.disk_free_mib or 0.0) + (moment.own_mib or 0.0) for moment in (known[0], known[-1]))  # fmt: skip
    rate = (first - last) / (known[-1].at - known[0].at)
    if rate * 60 < at.DISK_LEAST_RATE:
        return None
    seconds = spare / rate
    return seconds if seconds < min(at.DISK_SOON_S, _seconds_left(look)) else None


def _seconds_left(look: Look) -> float:
    progress = look.progress
    if not progress.recent_s or not progress.total_steps:
        return float("inf")
    return (progress.total_steps - progress.step) * statistics.median(progress.recent_s)


def cache_disk(look: Look) -> Iterator[Concern]:
    """Caches are written to another disk than the run, and that one gets full."""
    free = look.now.cache_free_mib
    if free is not None and free < at.RESERVE_MIB and look.progress.phase.startswith("cache"):
        yield Concern(
            kind="cache-disk", message=f"The disk with the caches is nearly full: {gib(free)} are free.",
            fix="Make room there: the caches of all images are needed before the first step.",
        )  # fmt: skip


def memory_full(look: Look) -> Iterator[Concern]:
    """Nearly no memory left, or the system moves it to the disk: everything crawls, or the training is killed."""
    now = look.now
    if now.ram_used_mib is None or not now.ram_total_mib:
        return
    part = now.ram_used_mib / now.ram_total_mib
    is_full = part >= (at.FULL_RAM_OFF if "memory-full" in look.standing else at.FULL_RAM)
    before = min((moment.swap_used_mib for moment in look.moments if moment.swap_used_mib is not None), default=None)  # fmt: skip
    swapped = 0.0 if before is None or now.swap_used_mib is None else now.swap_used_mib - before
    is_swapping = part >= at.SCARCE_RAM and swapped >= at.SWAPPED_MIB
    if not is_full and not is_swapping:
        return
    own = "" if now.ram_mib is None else f", {gib(now.ram_mib)} of it the training"
    moved = f"; {gib(swapped)} were moved to the disk" if is_swapping else ""
    yield Concern(
        kind="memory-full",
        message=f"The computer's memory is nearly full: {gib(now.ram_used_mib)} of {gib(now.ram_total_mib)} are used{own}{moved}.",
        fix="Close browsers and other big programs. Less for the training: a resume with --set max_data_loader_n_workers=0.",
    )


def battery(look: Look) -> Iterator[Concern]:
    """A laptop without mains power: it trains slowly, and not for long."""
    power, wanted = look.now.battery, look.limits.on_battery
    if power is None or power.is_plugged:
        return
    left = "" if power.percent is None else f" ({power.percent:.0f} % left)"
    is_low = power.percent is not None and power.percent <= at.LOW_BATTERY_PCT
    if wanted == "pause" or (wanted == "hold" and is_low):
        yield Concern(
            kind="on-battery", act="pause", message=f"The computer runs on its battery{left}. Training pauses with a state.",
            fix="Plug it in, then resume.",
        )  # fmt: skip
    elif wanted == "hold":
        yield Concern(
            kind="on-battery", act="hold", message=f"The computer runs on its battery{left}. Training waits for mains power; at {at.LOW_BATTERY_PCT} % it pauses with a state.",
            fix="Plug it in: training goes on by itself.",
        )  # fmt: skip
    else:
        yield Concern(
            kind="on-battery", message=f"The computer runs on its battery{left}: training is slower, and ends when it is empty.",
            fix="Plug it in. To wait or to pause instead: --set launcher.on_battery=hold (or pause)",
        )  # fmt: skip
