"""Spill into shared memory: Windows' driver moves what does not fit on the card into RAM, and the training crawls.

Since driver 536 this happens instead of an error (kohya_ss#961, #1288, #1504, #1730, #3296). Nothing says so: it is seen
by a card that is full to the brim and steps that take many times what the same run's steps took before.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = 0.97  # of the dedicated memory: WDDM keeps the last percents for itself
SLOWER = 2.5  # times; a hot laptop that throttles loses less
RECENT = 5  # steps that must all be slow: one alone is a save or a sample
LEAST_BEFORE = 8  # steps to compare with
NO_FALLBACK = (
    'NVIDIA Control Panel, Manage 3D settings, "CUDA - Sysmem Fallback Policy": "Prefer No Sysmem Fallback"'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spill:
    """How full the card is (MiB) and how much slower the steps have become (seconds)."""

    used_mib: float
    total_mib: float
    now_s: float
    before_s: float


def find_spill(
    step_times: Sequence[float],
    used_mib: float | None,
    total_mib: float | None,
    *,
    usual_s: float | None = None,
) -> Spill | None:
    """Whether the run looks as if it had spilled, newest step last.

    `usual_s` is what a step of this preset takes on this card (a run before, or a measured figure): with it a run that
    crawls from its first step on is recognised, too; without it only one that has become slow.
    """
    if used_mib is None or not total_mib or used_mib < FULL * total_mib or len(step_times) < RECENT:
        return None
    recent = sorted(step_times[-RECENT:])
    before = usual_s
    if before is None:
        earlier = step_times[:-RECENT]
        if len(earlier) < LEAST_BEFORE:
            return None
        before = statistics.median(sorted(earlier)[: max(LEAST_BEFORE, len(earlier) // 2)])
    if before <= 0 or recent[0] < SLOWER * before:
        return None
    return Spill(used_mib=used_mib, total_mib=total_mib, now_s=statistics.median(recent), before_s=before)


def spill_words(spill: Spill) -> str:
    """What happened and what to do, for the dashboard."""
    return (
        f"A step takes {spill.now_s:.1f} s instead of {spill.before_s:.1f} s and the card is full ({spill.used_mib:.0f} of "
        f"{spill.total_mib:.0f} MiB): Windows has moved a part of the training into slow shared memory. Close what uses the card, or pause "
        f"and go on with --set launcher.offload_mib=600. An error instead of this: {NO_FALLBACK}."
    )
