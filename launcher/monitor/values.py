"""Values that came from a file, believed only as far as they have the right shape."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from launcher.events import Status

LAST_MOMENT = 32_503_680_000.0  # the year 3000, where localtime of Windows ends
LARGEST = 1e15  # of any number here (bytes of a disk, milliseconds): more is garbage, and breaks arithmetic
TEXT_LIMIT = 4000
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def number(value: object) -> float | None:
    """A finite number, else None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST:
        return float(value)
    return None


def number_or_nan(value: object) -> float | None:
    """A loss: it may be not-a-number (or infinite, said as NaN), and then that is the news."""
    if isinstance(value, float) and not math.isfinite(value):
        return math.nan
    return number(value)


def whole(value: object) -> int | None:
    """A count, from 0."""
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


def text(value: object) -> str:
    """A string without control characters (a terminal would obey them), cut to a sensible length."""
    return value[:TEXT_LIMIT].translate(_CONTROLS) if isinstance(value, str) else ""


def timestamp(value: object) -> float | None:
    """Seconds since the epoch, also from ISO 8601."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    found = number(value)
    return found if found is not None and 0 <= found <= LAST_MOMENT else None


def json_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def status_of(value: object) -> Status | None:
    try:
        return Status(value)
    except ValueError:
        return None


def first_lr(value: object) -> float | None:
    """Of the learning rates of a step the first."""
    return number(next(iter(value.values()), None)) if isinstance(value, dict) else None


def learning_rates(value: object) -> dict[str, float]:
    """The learning rates of a step by name."""
    if not isinstance(value, dict):
        return {}
    found = ((text(name), number(lr)) for name, lr in list(value.items())[:16])
    return {name: lr for name, lr in found if lr is not None}
