"""Numbers as people read them."""

from __future__ import annotations

import datetime as dt
import math

KIB = 1024


def number(value: float) -> str:
    """At most four significant digits, thousands with commas: 1,024 · 0.1043 · 12.5."""
    if not math.isfinite(value):
        return "not a number"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def learning_rate(value: float) -> str:
    """As it is written in presets: 1e-4, 2.5e-5, 0."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "not a number"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def duration(seconds: float) -> str:
    """The two largest units: 26 min 40 s · 3 h 05 min · 2 d 4 h."""
    whole = round(max(0.0, seconds))
    if whole < 10:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def size(count: float) -> str:
    """Bytes in binary units, as file managers show them: 6.8 GiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < KIB:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= KIB
    return f"{count:.1f} GiB"


def moment(time: float | None) -> str:
    """Local date and time, or nothing when the time cannot be one."""
    if time is None:
        return ""
    try:
        return dt.datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return ""


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
