"""A download as people read it: how much of how much, how fast, how long still. Pure: bytes and moments in, words out.

Decimal units (1 GB is 10^9 bytes), as download pages and browsers use them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from launcher.ui import formats

WINDOW_S = 8.0  # the speed is a mean over so long: shorter jumps about, longer lies about a broken line
FIRST_WORD_S = 1.5  # before that, a speed is a guess
QUIET_S = 10.0  # without a byte for so long, the display says so instead of inventing a remaining time
FASTEST_PER_S = 1.25e9  # 10 Gbit/s: what grows faster was found on the disk, not downloaded
LEAST_LEAP = 32_000_000
KB, MB, GB, TB = 1e3, 1e6, 1e9, 1e12
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A download at one moment. Bytes, seconds; None where nobody knows."""

    done: int
    total: int | None = None
    speed: float | None = None
    left_s: float | None = None
    quiet_s: float = 0.0

    @property
    def fraction(self) -> float | None:
        return None if self.total is None else self.done / self.total

    @property
    def is_quiet(self) -> bool:
        return self.quiet_s >= QUIET_S


class Transfer:
    """Follows one step's bytes. What lay on the disk already (a resumed download) counts as done, not as speed."""

    def __init__(self) -> None:
        self.is_active = False
        self.received = 0  # bytes that really came over the line
        self._done = 0
        self._total: int | None = None
        self._grew_at = 0.0
        self._points: deque[tuple[float, int]] = deque()  # (moment, received)

    def take(self, now: float, done: int | None, total: int | None) -> None:
        """A report: `done` of `total` bytes. None for `done`: something else is going on (checking, unpacking)."""
        if done is None:
            self.is_active = False
            return
        done = max(done, 0)
        grown = done - self._done
        if not self.is_active:  # the first report of a stretch says where it begins
            self._points.clear()
            self._grew_at = now
            grown = 0
        elif self._is_leap(now, grown):
            grown = 0
        self.is_active = True
        if done != self._done:
            self._grew_at = now
        self.received += grown
        self._done = done
        self._total = total if total and total >= done else None  # an estimate that was too low tells nothing
        self._points.append((now, self.received))
        while len(self._points) > 2 and self._points[1][0] <= now - WINDOW_S:
            self._points.popleft()

    def _is_leap(self, now: float, grown: int) -> bool:
        """Whether the counter jumped: a file began anew, the rest of one was found, or a resume told where it stands."""
        if grown < 0 or len(self._points) < 2:  # the second report tells what the resumed file has already
            return grown != 0
        return grown > LEAST_LEAP and grown > FASTEST_PER_S * max(now - self._points[-1][0], 0.001)

    def standing(self, now: float) -> Standing:
        """How it stands now; the speed sinks while nothing comes."""
        speed = self._speed(now)
        quiet = max(now - self._grew_at, 0.0)
        left = None
        if self._total is not None and speed and quiet < QUIET_S:
            left = (self._total - self._done) / speed
        return Standing(done=self._done, total=self._total, speed=speed, left_s=left, quiet_s=quiet)

    def _speed(self, now: float) -> float | None:
        if not self._points:
            return None
        began, before = self._points[0]
        seconds = now - began
        return (self.received - before) / seconds if seconds >= FIRST_WORD_S else None


def size(count: float | None) -> str:
    """`312 kB`, `89 MB`, `2.5 GB`; `-` when unknown."""
    if count is None:
        return formats.UNKNOWN
    unit, name = _unit(count)
    return f"{_number(count, unit)} {name}"


def size_mib(mib: float | None) -> str:
    """The same for an amount in MiB."""
    return size(None if mib is None else mib * MIB)


def progress_of(standing: Standing) -> str:
    """`1.2 of 2.5 GB`, or `1.2 GB` while the end is unknown."""
    if standing.total is None:
        return size(standing.done)
    unit, name = _unit(standing.total)
    return f"{_number(standing.done, unit)} of {_number(standing.total, unit)} {name}"


def speed(standing: Standing) -> str:
    """`11.4 MB/s`; empty while it is unknown."""
    if standing.speed is None:
        return ""
    if standing.speed >= MB:
        return f"{standing.speed / MB:.{1 if standing.speed < 100 * MB else 0}f} MB/s"
    return f"{standing.speed / KB:.0f} kB/s"


def remaining(standing: Standing) -> str:
    """`1 min 54 s left`, `no data for 12 s`, or empty."""
    if standing.is_quiet:
        return f"no data for {formats.duration(standing.quiet_s)}"
    return "" if standing.left_s is None else f"{formats.duration(standing.left_s)} left"


def percent(standing: Standing) -> str:
    """`48 %`; 100 only when nothing is missing."""
    if standing.fraction is None:
        return ""
    return f"{int(standing.fraction * 100)} %"


def facts(standing: Standing) -> list[str]:
    """What is known, the most wanted first."""
    return [fact for fact in (progress_of(standing), speed(standing), remaining(standing)) if fact]


def _unit(count: float) -> tuple[float, str]:
    for unit, name in ((TB, "TB"), (GB, "GB"), (MB, "MB")):
        if count >= unit * 0.9995:  # 999.9 MB would read "1000 MB"
            return unit, name
    return KB, "kB"


def _number(count: float, unit: float) -> str:
    return f"{count / unit:.1f}" if unit >= GB else f"{count / unit:.0f}"
