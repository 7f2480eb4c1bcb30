"""What a boost is: a small, independent replacement of something that the trainer computes, never of what it learns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Scene


class Kind(Enum):
    """How close to the stock operation a boost stays."""

    EXACT = "exact"  # the same bits
    ROUNDING = "rounding"  # the same mathematics, rounded elsewhere
    APPROXIMATE = "approximate"  # other numbers: only where asked for


ORDER = (Kind.EXACT, Kind.ROUNDING, Kind.APPROXIMATE)


class Boost(Protocol):
    """A module of this package with these names."""

    NAME: str  # as in the switch `boost_NAME`
    KIND: Kind
    ABOUT: str  # what it replaces, for a person

    @staticmethod
    def reason_against(scene: Scene) -> str | None:
        """Why it cannot be used here (card, platform, versions, options), or None. Touches nothing."""

    @staticmethod
    def check(scene: Scene) -> str | None:
        """Compares with the stock operation on random numbers of a generator of its own; what differs, or None."""

    @staticmethod
    def install(scene: Scene) -> Callable[[], None]:
        """Put it in place. Returns what takes it out again, at any moment between two operations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one boost. `is_used` with a `reason`: used in a part of the places only. `seconds`: its start took."""

    name: str
    kind: Kind
    is_used: bool
    reason: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name, "kind": self.kind.value, "used": self.is_used, "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }  # fmt: skip


def is_wanted(kind: Kind, switch: str, highest: str) -> str | None:
    """Why the switches leave a boost out, or None.

    Args:
        kind: of the boost.
        switch: its own: `auto`, `on` or `off`.
        highest: the switch `boosts`: `off`, or the loosest kind that `auto` allows.
    """
    if switch == "off":
        return "switched off"
    if switch == "on":
        return None
    if highest == "off":
        return "all boosts are switched off"
    if ORDER.index(kind) > ORDER.index(Kind(highest)):
        return f"{kind.value}: only where asked for"
    return None
