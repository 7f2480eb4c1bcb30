"""Boosts in a few words: how many are used and of which kinds, and why the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.ui.formats import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.monitor import Boost

KINDS = ("exact", "rounding", "approximate")
UNASKED = (
    "switched off", "all boosts are switched off", "approximate: only where asked for", "rounding: only where asked for",
    "on the processor only where it is switched on",
)  # fmt: skip


def counted(boosts: Sequence[Boost]) -> str:
    """`9 of 11`."""
    return f"{sum(boost.is_used for boost in boosts)} of {len(boosts)}"


def kinds_used(boosts: Sequence[Boost]) -> str:
    """`exact, rounding`."""
    used = {boost.kind for boost in boosts if boost.is_used}
    return ", ".join([kind for kind in KINDS if kind in used] + sorted(map(clean, used - set(KINDS))))


def surprising(boosts: Sequence[Boost]) -> list[Boost]:
    """Those that nobody has switched off and that are not used all the same."""
    return [boost for boost in boosts if not boost.is_used and boost.reason not in UNASKED]
