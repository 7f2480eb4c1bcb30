"""Boost `keep`: spare memory of the card keeps what gradient checkpointing would compute again.

Needs `blocks`: that knows what a backward really reads. Kept for a block are the two attentions and the residuals
(9 values for each token and channel), or the hidden layer of its feed-forward as well (17). The first steps of a shape
run without; what they leave of the card, less a reserve, is the budget (or the switch `keep_mib`), and less of it where
a larger shape leaves less. Kept or computed again: the same operations on the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.blocks import TOLERANCE, attempt, plans_of
from launcher.shim.boosts.blocks.compute import ALL, ATTENTION, NOTHING
from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.scene import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Scene

NAME = "keep"
KIND = Kind.EXACT
ABOUT = "spare memory keeps what gradient checkpointing would compute again"
MIB = 1 << 20
RESERVE_MIB = 512  # for what the desktop takes later, and for gaps between pieces
LEARNING = 2  # steps of a shape before anything is kept: the second one has the optimizer's memory too
FULL = 4  # steps in a row in which torch had to give memory back: the card is full (sampling does so once)
LOOK_EVERY = 16  # steps; Windows' driver puts what does not fit into slow RAM without a word
LEAST_MIB = 128  # less than this free for a while: another program wants the card
VALUES = {ATTENTION: 9, ALL: 17}  # kept for each token and channel of a block


def reason_against(scene: Scene) -> str | None:
    if not scene.is_on("blocks"):
        return "blocks is not used"
    if scene.machine.device.type != "cuda" and not scene.switches["keep_mib"]:
        return "there is no card whose memory could be spare"
    return None


def check(scene: Scene) -> str | None:
    """Kept and computed again must give the same bits, where the card's own operations give the same ones twice."""
    plan = plans_of(scene)[0]
    right, again = (attempt(scene, plan, level=NOTHING) for _ in range(2))
    is_repeatable = all(map(torch.equal, right, again))
    for level in (ATTENTION, ALL):
        found = attempt(scene, plan, level=level)
        if is_repeatable and not all(map(torch.equal, found, right)):
            return "what was kept gives other gradients than what is computed again"
        if not all(
            relative_error(one, other) < TOLERANCE[scene.dtype]
            for one, other in zip(found, right, strict=True)
        ):
            return "what was kept gives wrong gradients"
    return None


def install(scene: Scene) -> Callable[[], None]:
    scene.shared["keeper"] = Keeper(
        Card(scene.machine.device), fixed_mib=int(scene.switches["keep_mib"]),
        accumulation=int(getattr(scene.accelerator, "gradient_accumulation_steps", 1) or 1),
    )  # fmt: skip
    return lambda: scene.shared.pop("keeper", None)


@dataclass(frozen=True, slots=True)
class Card:
    """The card's memory, as far as this process can know."""

    device: Any

    def spare(self) -> int:
        """Bytes that torch does not hold and could get now."""
        if self.device.type != "cuda":
            return 0
        free, _ = torch.cuda.mem_get_info(self.device)
        total = torch.cuda.get_device_properties(self.device).total_memory
        fraction = getattr(torch.cuda, "get_per_process_memory_fraction", lambda _device: 1.0)(self.device)
        return int(min(free, total * fraction - torch.cuda.memory_reserved(self.device)))

    def retries(self) -> int:
        """How often torch had to give memory back to get some."""
        if self.device.type != "cuda":
            return 0
        return int(torch.cuda.memory_stats_as_nested_dict(self.device).get("num_alloc_retries", 0))

    def give_back(self) -> None:
        """What torch holds without need."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


@dataclass(kw_only=True, slots=True)
class Shape:
    """Steps on batches of one size. `costs`: bytes that one value for each token and channel takes, block by block."""

    steps: int = 0
    costs: dict[int, int] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)


class Keeper:
    """Says for every block of every forward how much of it is kept."""

    def __init__(self, card: Any, *, fixed_mib: int = 0, accumulation: int = 1) -> None:
        """`accumulation`: passes over the blocks before the optimizer makes a step, at the first of which its memory comes."""
        self._card = card
        self._budget: int | None = fixed_mib * MIB or None
        self._is_fixed = fixed_mib > 0
        self._learning = LEARNING * accumulation
        self._largest = 0  # values in the largest first input so far
        self._is_growing = False  # that was the last one's, and the first of its size
        self._shapes: dict[tuple[int, ...], Shape] = {}
        self._shape: Shape | None = None
        self._steps = 0
        self._retries = self._full = 0

    def level(self, plan: Any, x: Any) -> int:
        """Asked by each block in the order of the model; the first one begins a step."""
        if plan.place == 0 or self._shape is None:
            self._begin(tuple(x.shape))
        shape = self._shape
        if shape is None:
            return NOTHING
        shape.costs.setdefault(plan.place, x.numel() * x.element_size())
        return shape.levels.get(plan.place, NOTHING)

    def lower(self) -> bool:
        """After running out of memory: half as much from now on. False where there was nothing left to lower."""
        had = self._kept
        self._budget = (self._budget or 0) // 2
        self._forget()
        self._card.give_back()
        return had

    @property
    def _kept(self) -> bool:
        return any(shape.levels for shape in self._shapes.values())

    @property
    def kept_mib(self) -> float:
        """Of the shape under way."""
        shape = self._shape
        if shape is None:
            return 0.0
        return sum(shape.costs[place] * VALUES[level] for place, level in shape.levels.items()) / MIB

    def _begin(self, size: tuple[int, ...]) -> None:
        shape = self._shape = self._shapes.setdefault(size, Shape())
        self._steps += 1
        shape.steps += 1
        if self._budget is None and self._steps > self._learning:
            self._budget = self._room()
        self._grow(math.prod(size))
        self._watch()
        if self._budget is not None and not shape.levels and shape.steps > 1:
            shape.levels = choose(shape.costs, self._budget)

    def _room(self) -> int:
        spare: int = self._card.spare()
        return max(0, spare - RESERVE_MIB * MIB)

    def _grow(self, values: int) -> None:
        """A larger shape needs more for itself. Its first pass, with nothing kept by anybody, shows what it leaves."""
        if self._is_growing and self._budget is not None and (room := self._room()) < self._budget:
            self._budget = room
            self._forget()
        self._is_growing = values > self._largest and self._budget is not None and not self._is_fixed
        self._largest = max(self._largest, values)
        if self._is_growing:
            self._card.give_back()

    def _watch(self) -> None:
        before, self._retries = self._retries, self._card.retries()
        self._full = self._full + 1 if self._retries > before else 0
        is_short = self._kept and self._steps % LOOK_EVERY == 0 and self._card.spare() < LEAST_MIB * MIB
        if self._full >= FULL or is_short:
            self._full = 0
            self.lower()

    def _forget(self) -> None:
        for shape in self._shapes.values():
            shape.levels = {}


def choose(costs: dict[int, int], budget: int) -> dict[int, int]:
    """Attention for as many blocks as fit, then the hidden layers: the first saves more time for each byte."""
    levels: dict[int, int] = {}
    for level in (ATTENTION, ALL):
        for place, cost in costs.items():
            more = cost * (VALUES[level] - VALUES.get(levels.get(place, NOTHING), 0))
            if more <= budget:
                levels[place], budget = level, budget - more
    return levels
