"""What the person chose, and every threshold of the rules in one place, each with its reason.

`_OFF` is where a warning that stands ends: lower than where it begins, so that nothing flickers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW_S = 600.0  # of samples that a rule sees; one every two seconds

# --- the card
COOLING_C = (
    10  # between hold and continue, where the person named only one: less, and it would hold every minute
)
REST_S = 300.0  # a held card whose temperature has not moved for so long will not get any cooler
REST_SPREAD_C = 1
REST_MARGIN_C = 2
# NVML's reasons (nvml.h) that mean trouble; "power cap" is how every card runs at full load.
SLOWED_BY = frozenset({"thermal (software)", "thermal (hardware)", "hardware slowdown", "power brake"})
SLOWED_S = 60.0
SLOWED_SHARE, SLOWED_SHARE_OFF = 0.8, 0.3  # of the samples; single ones are how a boost clock works
BESIDE_MIB, BESIDE_MIB_OFF = (
    512,
    256,
)  # a browser tab with video; cuDNN's own work space stays below (128 at most)
LEAST_STEPS_BESIDE = 5  # before that the training itself still grows (context, kernels)
LOST_SAMPLES = 3  # in a row: one may fall into a driver's own restart

# --- the computer
RESERVE_MIB = (
    128  # log, events, samples, report; below preflight's 200: what that lets start is not paused at once
)
LOW_DISK_MIB = 2048  # above what the next save needs: the dashboard turns the figure red there, too
DISK_RATE_S = 300.0  # shorter than this a rate is noise
DISK_SOON_S = 2 * 3600.0  # enough to do something about it, and too near to wait
DISK_LEAST_RATE = 1.0  # MiB a minute; below it is browsers and logs
FULL_RAM, FULL_RAM_OFF = 0.95, 0.90  # Windows begins to page hard, Linux looks for somebody to kill
SWAPPED_MIB = 1024  # more than this moved to the disk within the window, while memory is scarce
SCARCE_RAM = 0.85
LOW_BATTERY_PCT = 15  # Windows hibernates at 5 to 10 %; a state must be written before

# --- the training
BAD_LOSSES = 3  # of the last ones: fp16's scaler skips one now and then
STUCK_STEPS = 50  # equal to the last bit: noise is drawn anew for each step, so that cannot be chance
WARM_UP_STEPS = 3  # compile, allocate, open files
EARLY_STEPS = 40  # after them: what a step takes when all is well
LEAST_EARLY_STEPS = 10
RECENT_STEPS = 20
SLOWER, SLOWER_OFF = 1.6, 1.3  # times; buckets of other sizes average out over twenty steps
QUIET_STEPS = 20  # times a step's usual time, as the dashboard's "no news"
QUIET_S = 180.0  # and never sooner: a slow disk, a scanner
QUIET_FIRST_S = 900.0  # the first step and every phase that nobody has timed: a 7 GB model from a USB disk
QUIET_TIMES = 5  # times what this phase took in earlier runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the person chose among `launcher.trainers.switches.FOR_THE_GUARD`."""

    hold_above_c: int = 0
    continue_below_c: int = 0
    on_battery: str = "warn"
    on_low_disk: str = "pause"

    @classmethod
    def of(cls, switches: Mapping[str, object]) -> Limits:
        """From a plan's switches; what is missing or no sensible value stays at its default."""
        above, below = switches.get("hold_above_c"), switches.get("continue_below_c")
        return cls(
            hold_above_c=above if isinstance(above, int) else 0,
            continue_below_c=below if isinstance(below, int) else 0,
            on_battery=str(switches.get("on_battery", "warn")),
            on_low_disk=str(switches.get("on_low_disk", "pause")),
        )

    @property
    def continue_at_c(self) -> int:
        """Where a hold ends; below `hold_above_c` whatever was asked for."""
        wanted = self.continue_below_c or self.hold_above_c - COOLING_C
        return min(wanted, self.hold_above_c - 1)
