"""Does the card have room for the training, and the computer? Warnings only: a forecast is no fact, and memory comes free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.forecast import FITS, TOO_LARGE, forecast
from launcher.forecast.stepdown import step_down

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.forecast import Card, Forecast
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

MOST_NAMED = 3
DESKTOP_MIB = 300  # nobody has to be told of
WORDS = {
    "latents": "caching the images",
    "text": "caching the captions",
    "training": "training",
    "sampling": "a sample image",
}


def check_forecast(paths: Paths, plan: Plan, machine: Machine) -> Iterator[Problem]:
    """What the run will take, held against what is free; with the nearest settings that would fit."""
    found = forecast(paths, plan, machine)
    if found.card is not None and found.card.verdict != FITS:
        yield _card(plan, found.card)
    yield from _ram(found)


def smaller_words(plan: Plan, card: Card) -> tuple[str, ...]:
    """Words for `--set` with which the run would fit; empty: it fits, or none are known."""
    if card.verdict == FITS:
        return ()
    values = {name: setting.value for name, setting in plan.options.items()}
    system = "windows" if str(plan.machine["system"].value).lower().startswith("windows") else "linux"
    offers = step_down(
        values, phase=card.phase, missing_mib=card.need_mib - card.free_mib, system=system, is_running=False
    )
    enough = [offer for offer in offers if offer.is_enough] or list(offers)[:1]
    return enough[0].words if enough else ()


def _card(plan: Plan, card: Card) -> Problem:
    need, phase = round(card.need_mib), WORDS[card.phase]
    words = smaller_words(plan, card)
    settings = " ".join(f"--set {word}" for word in words)
    fix = f"close them, or train with {settings}" if card.holders and settings else f"train with {settings}" if settings else "close other programs, or take a smaller preset"  # fmt: skip
    what = (
        f"the card is too full: about {need} MiB will be needed ({phase}), {card.free_mib} of {card.total_mib} MiB are free"
        if card.verdict == TOO_LARGE
        else f"the card will be full to the brim: about {need} MiB will be needed ({phase}), {card.free_mib} of {card.total_mib} MiB are free"
    )
    return Problem(severity=Severity.WARNING, what=what, why=_holders(card), fix=fix)


def _holders(card: Card) -> str:
    """Who holds the rest, as far as the driver tells."""
    named = [
        one.name if one.mib is None else f"{one.name} ({one.mib} MiB)" for one in card.holders[:MOST_NAMED]
    ]
    held = card.total_mib - card.free_mib
    if named:
        return f"{', '.join(named)} and the desktop hold {held} MiB of it"
    return f"{held} MiB are held by the desktop and other programs" if held > DESKTOP_MIB else ""


def _ram(found: Forecast) -> Iterator[Problem]:
    if found.ram_mib is None or not 0 < found.free_ram_mib < found.ram_mib:
        return
    yield Problem(
        severity=Severity.WARNING,
        what=f"the run will need about {found.ram_mib:.0f} MiB of memory at its peak, {found.free_ram_mib} MiB are free",
        why="the rest goes to the disk, which is slow; without room there the system ends the training",
        fix="close other programs, a browser above all, or turn launcher.lean_load and launcher.free_text_encoders on again",
    )
