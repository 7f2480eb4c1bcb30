"""Numbers, times and foreign text as people read them. Pure functions, no imports that cost."""

from __future__ import annotations

import math
import time
import unicodedata

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
MIB_PER_GIB = 1024
UNKNOWN = "-"
# Zero-width and direction-changing characters: a hostile file name must not reorder or hide a line.
_INVISIBLE = frozenset(
    "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u2028\u2029"
)


def clean(text: object) -> str:
    """Text of foreign origin as one harmless line: control characters become `?`, line ends and tabs become spaces."""
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return raw
    return "".join(_clean_one(char) for char in raw)


def _clean_one(char: str) -> str:
    if char in "\t\n\r":
        return " "
    return "?" if char in _INVISIBLE or unicodedata.category(char) in {"Cc", "Cs"} else char


def cells(text: str) -> int:
    """Columns that a terminal needs: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """Cut to at most `width` columns, marked by an ellipsis."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    room, kept = width - len(ellipsis), []
    for char in text:
        room -= _cell(char)
        if room < 0:
            break
        kept.append(char)
    return ("".join(kept) + ellipsis)[: max(width, 0)]


def fit_middle(text: str, width: int, ellipsis: str = "…") -> str:
    """Cut in the middle: of a path, both the beginning and the file name matter."""
    if cells(text) <= width:
        return text
    head = fit(text, max(width // 3, 1), ellipsis)
    room, tail = width - cells(head), ""
    for char in reversed(text):
        if cells(tail) + _cell(char) > room:
            break
        tail = char + tail
    return fit(head + tail, width, ellipsis)


def wrap(text: str, width: int, most: int = 99, ellipsis: str = "…") -> list[str]:
    """The text at words in lines of at most `width` columns; the last of `most` lines is cut."""
    lines = [""]
    width = max(width, 2)  # one wide character must fit
    for word in text.split():
        while cells(word) > width:  # longer than a line, or written without blanks as Japanese is
            if lines[-1] and width - cells(lines[-1]) < 3:
                lines.append("")
            room = width - cells(lines[-1]) - (1 if lines[-1] else 0)
            piece = fit(word, room, "")
            lines[-1] += f" {piece}" if lines[-1] else piece
            word = word[len(piece) :]  # noqa: PLW2901  (what is left of it)
            lines.append("")
        if lines[-1] and cells(lines[-1]) + 1 + cells(word) > width:
            lines.append(word)
        elif word:
            lines[-1] += f" {word}" if lines[-1] else word
    lines = [line for line in lines if line]
    if len(lines) > most:
        lines = [*lines[: most - 1], fit(" ".join(lines[most - 1 :]), width, ellipsis)]
    return lines


def pad(text: str, width: int) -> str:
    """Cut or fill to exactly `width` columns."""
    cut = fit(text, width)
    return cut + " " * (width - cells(cut))


def duration(seconds: float | None) -> str:
    """`42 s`, `9 min`, `1 h 05 min`, `2 d 3 h`; `-` when unknown."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return UNKNOWN
    whole = int(seconds + 0.5)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < 10 * MINUTE_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S:02d} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def short_duration(seconds: float | None) -> str:
    """`42s`, `9m`, `1h05m`, `2d03h`: for table columns."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return UNKNOWN
    whole = int(seconds + 0.5)
    if whole < MINUTE_S:
        return f"{whole}s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S}m{whole % MINUTE_S:02d}s"
    if whole < DAY_S:
        return f"{whole // HOUR_S}h{whole % HOUR_S // MINUTE_S:02d}m"
    return f"{whole // DAY_S}d{whole % DAY_S // HOUR_S:02d}h"


def gib(mib: float | None) -> str:
    """MiB as GiB with one digit, without the unit."""
    return UNKNOWN if mib is None or not math.isfinite(mib) else f"{mib / MIB_PER_GIB:.1f}"


def amount(mib: float | None) -> str:
    """`812 MiB`, `41.2 GiB`, `1.8 TiB`."""
    if mib is None or not math.isfinite(mib):
        return UNKNOWN
    if mib < MIB_PER_GIB:
        return f"{mib:.0f} MiB"
    if mib < MIB_PER_GIB * MIB_PER_GIB:
        return f"{mib / MIB_PER_GIB:.1f} GiB"
    return f"{mib / MIB_PER_GIB / MIB_PER_GIB:.1f} TiB"


def loss(value: float | None) -> str:
    """Four digits after the point, the habit of the field; nan and inf as such."""
    if value is None:
        return UNKNOWN
    return f"{value:.4f}" if math.isfinite(value) and abs(value) < 1000 else f"{value:.3g}"


def rate(value: float | None) -> str:
    """A learning rate: `1.00e-4`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def step_time(seconds: float | None) -> str:
    """`1.42 s/step`, or `3.1 steps/s` for steps far below a second."""
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return f"{UNKNOWN} s/step"
    if seconds < 0.1:
        return f"{1 / seconds:.1f} steps/s"
    return f"{seconds:.2f} s/step" if seconds < 100 else f"{seconds:.0f} s/step"


def when(moment: float | None, now: float | None = None) -> str:
    """A moment seen from now: `just now`, `5 min ago`, `today 14:02`, `yesterday 23:41`, `21 Nov 23:41`, `2025-11-21`."""
    if moment is None or not math.isfinite(moment):
        return UNKNOWN
    now = time.time() if now is None else now
    age = now - moment
    if 0 <= age < HOUR_S:
        return "just now" if age < MINUTE_S else f"{int(age // MINUTE_S)} min ago"
    then, today = time.localtime(moment), time.localtime(now)
    clock = f"{then.tm_hour:02d}:{then.tm_min:02d}"
    if then[:3] == today[:3]:
        return f"today {clock}"
    if then[:3] == time.localtime(now - DAY_S)[:3]:
        return f"yesterday {clock}"
    return (
        f"{then.tm_mday} {_MONTHS[then.tm_mon - 1]} {clock}"
        if then.tm_year == today.tm_year
        else time.strftime("%Y-%m-%d", then)
    )


# Not %b: it follows the system's language, and the rest of the line is English.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def until(seconds: float | None, now: float | None = None) -> str:
    """The clock time `seconds` from now: `00:41`, with the day's name when it is not today or tonight."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    now = time.time() if now is None else now
    then = time.localtime(now + seconds)
    clock = f"{then.tm_hour:02d}:{then.tm_min:02d}"
    return clock if seconds < DAY_S / 2 else f"{_DAYS[then.tm_wday]} {clock}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def count(number: int, noun: str) -> str:
    """`1 step`, `3 steps`."""
    return f"{number:,} {noun}".replace(",", " ") + ("" if number == 1 else "s")
