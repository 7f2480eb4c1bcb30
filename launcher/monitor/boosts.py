"""What became of the boosts of a training: the shim tells once, and again in a warning where one fails later."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.monitor.values import text
from launcher.monitor.view import Boost

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 64
FAILED = re.compile(
    r"boost (\w+): (failed and was turned off.*?)(?:; training goes on without it)?$", re.DOTALL
)


def boosts_in(event: dict[str, Any]) -> tuple[Boost, ...]:
    """The boosts that an event of type `boosts` tells of; what has another shape is left out."""
    told = event.get("boosts")
    found = told[:MOST] if isinstance(told, list) else []
    return tuple(
        Boost(
            name=text(one["name"]),
            kind=text(one.get("kind")),
            is_used=one.get("used") is True,
            reason=text(one.get("reason")),
        )
        for one in found
        if isinstance(one, dict) and text(one.get("name"))
    )


def without_failed(boosts: Iterable[Boost], message: str) -> tuple[Boost, ...]:
    """The boosts after a warning of the shim: one that it speaks of is not used any more."""
    found = FAILED.match(message)
    return tuple(
        replace(one, is_used=False, reason=found[2]) if found is not None and one.name == found[1] else one
        for one in boosts
    )
