"""All rules with their patience: how long a finding must last to be a warning, and how long it must be gone to be over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.guard import card, computer, training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.guard.look import Concern, Look


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A check, the kinds that it may yield, and the seconds (of samples, one every two) for which it must find or miss something to count."""

    kinds: tuple[str, ...]
    check: Callable[[Look], Iterator[Concern]]
    begins_after_s: float = 0.0
    ends_after_s: float = 30.0


RULES = (
    Rule(
        kinds=("too-hot", "cannot-cool"), check=card.too_hot, begins_after_s=4.0, ends_after_s=0.0
    ),  # one reading may be wrong; cool is cool
    Rule(kinds=("slowed",), check=card.slowed),  # looks at a minute itself
    Rule(kinds=("spill",), check=card.spilled, begins_after_s=4.0),
    Rule(
        kinds=("other-program",), check=card.others_grow, begins_after_s=20.0
    ),  # a game's menu, a video that starts
    Rule(kinds=("card-lost",), check=card.lost),
    Rule(
        kinds=("disk-full",), check=computer.disk_full, begins_after_s=4.0
    ),  # a state in the making and an old one going cross
    Rule(kinds=("disk-filling",), check=computer.disk_filling, begins_after_s=30.0, ends_after_s=120.0),
    Rule(kinds=("cache-disk",), check=computer.cache_disk, begins_after_s=4.0),
    Rule(kinds=("memory-full",), check=computer.memory_full, begins_after_s=20.0),
    Rule(
        kinds=("on-battery",), check=computer.battery, begins_after_s=10.0, ends_after_s=4.0
    ),  # a plug that is moved to another socket
    Rule(kinds=("loss-nan",), check=training.loss_not_a_number),
    Rule(kinds=("loss-stuck",), check=training.loss_stuck, ends_after_s=0.0),
    Rule(kinds=("slow-steps",), check=training.slow_steps, begins_after_s=30.0),
    Rule(kinds=("silent",), check=training.silent, ends_after_s=0.0),
)
