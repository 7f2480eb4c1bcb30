"""Amounts and times as the warnings say them."""

from __future__ import annotations

import time

MIB_PER_GIB = 1024


def gib(mib: float) -> str:
    """`412 MiB`, `1.3 GiB`."""
    return f"{mib:.0f} MiB" if mib < MIB_PER_GIB else f"{mib / MIB_PER_GIB:.1f} GiB"


def span(seconds: float) -> str:
    """`40 s`, `12 min`, `1 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def clock_in(seconds: float) -> str:
    """The time of day in so many seconds: `03:40`."""
    return time.strftime("%H:%M", time.localtime(time.time() + seconds))
