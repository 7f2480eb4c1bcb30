"""Rules about the graphics card: heat, who else is on it, memory that spills, a driver that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.failures.spill import find_spill, spill_words
from launcher.guard import limits as at
from launcher.guard.look import Concern
from launcher.guard.words import gib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.guard.look import Gpu, Look, Moment

NEARLY_FULL = (
    0.85  # as launcher.run.sampler: only then it matters who else is there, and only then names are asked for
)


def too_hot(look: Look) -> Iterator[Concern]:
    """Hotter than the person wants (opt-in): training waits until it is cool enough, or will not get any cooler."""
    above, hottest = look.limits.hold_above_c, look.now.hottest_c
    if not above or hottest is None:
        return
    goal = look.limits.continue_at_c
    if look.rest_c is not None:
        goal = max(goal, round(look.rest_c) + at.REST_MARGIN_C)
    if goal >= above:
        yield Concern(
            kind="cannot-cool",
            message=f"The card does not get cooler than {look.rest_c:.0f} °C although training waits, and shall stay below {above} °C. Training goes on without waiting.",
            fix="Look after fans and dust, or set launcher.hold_above_c higher.",
        )
    elif hottest > (goal if "too-hot" in look.standing else above):
        yield Concern(
            kind="too-hot", act="hold",
            message=f"The card is at {hottest:.0f} °C, above {above} °C. Training waits between two steps until it is down to {goal} °C.",
            fix="It goes on by itself. More air, less dust or a lower power limit make such waits rare.",
        )  # fmt: skip


def rest_of(look: Look) -> float | None:
    """The temperature of a card that has waited and does not get any cooler; None: it does, or is not waiting."""
    if (look.progress.held_s or 0.0) < at.REST_S or "too-hot" not in look.standing:
        return None
    seen = [moment.hottest_c for moment in look.last(at.REST_S) if moment.hottest_c is not None]
    return seen[-1] if seen and max(seen) - min(seen) <= at.REST_SPREAD_C else None


def slowed(look: Look) -> Iterator[Concern]:
    """The card has been slowing itself down for a minute, as the driver says, or is above the point where it does."""
    moments = look.last(at.SLOWED_S)
    bad = [found for moment in moments if (found := _reasons(moment))]
    share = at.SLOWED_SHARE_OFF if "slowed" in look.standing else at.SLOWED_SHARE
    if not moments or len(bad) < share * len(moments):
        return
    reasons = ", ".join(sorted(set().union(*bad)))
    where = "" if look.now.hottest_c is None else f" at {look.now.hottest_c:.0f} °C"
    yield Concern(
        kind="slowed", message=f"The card slows itself down{where}: {reasons}.",
        fix="More air, less dust, a lower power limit, a stronger power supply for a power brake. To wait for it to cool down: --set launcher.hold_above_c=83",
    )  # fmt: skip


def _reasons(moment: Moment) -> frozenset[str]:
    said = frozenset().union(*(gpu.throttle & at.SLOWED_BY for gpu in moment.gpus))
    return said | {"too hot" for gpu in moment.gpus if _is_above_slowdown(gpu)}


def _is_above_slowdown(gpu: Gpu) -> bool:
    known = gpu.temperature_c is not None and gpu.slowdown_c is not None and gpu.slowdown_c > 0
    return known and (gpu.temperature_c or 0) >= (gpu.slowdown_c or 0)


def others_grow(look: Look) -> Iterator[Concern]:
    """A full card, and what is not the training's on it has grown since the run began."""
    now, least = look.progress.beside_mib, look.progress.beside_least_mib
    first = look.now.gpus[0] if look.now.gpus else None
    if now is None or least is None or first is None or not _is_nearly_full(first):
        return
    grown = now - least
    if grown < (at.BESIDE_MIB_OFF if "other-program" in look.standing else at.BESIDE_MIB):
        return
    names = ", ".join(first.others)
    yield Concern(
        kind="other-program",
        message=f"Another program has taken {gib(grown)} of the card since training began{': ' + names if names else ''}.",
        fix="Close it: on a full card training crawls or ends for want of memory.",
    )


def _is_nearly_full(gpu: Gpu) -> bool:
    return (gpu.used_mib or 0.0) >= NEARLY_FULL * (gpu.total_mib or float("inf"))


def spilled(look: Look) -> Iterator[Concern]:
    """Windows' driver has moved a part of the training into slow memory (see `launcher.failures.spill`)."""
    if look.system != "win32" or not look.now.gpus:
        return
    gpu, progress = look.now.gpus[0], look.progress
    found = find_spill((*progress.early_s, *progress.recent_s), gpu.used_mib, gpu.total_mib)
    if found is not None:
        yield Concern(kind="spill", message=spill_words(found))


def lost(look: Look) -> Iterator[Concern]:
    """The driver told of a card and does not any more."""
    recent = look.moments[-at.LOST_SAMPLES :]
    if any(_answers(moment) for moment in recent) or not ("card-lost" in look.standing or any(map(_answers, look.moments))):  # fmt: skip
        return
    yield Concern(
        kind="card-lost",
        message="The driver does not answer for the graphics card any more: the card is lost, or the driver is being updated.",
        fix="If no steps come either: restart the computer, then resume; every saved state is whole. If it happens again: power supply, riser cable, overclocking.",
    )


def _answers(moment: Moment) -> bool:
    return any(gpu.used_mib is not None for gpu in moment.gpus)
