"""What the guard knows at one moment, as frozen records; and the shape of what a rule yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.monitor.values import json_object, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from launcher.guard.limits import Limits

MOST_CARDS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One card of a sample; memory in MiB, temperatures in °C. None: the driver does not say."""

    used_mib: float | None = None
    total_mib: float | None = None
    temperature_c: float | None = None
    slowdown_c: float | None = None  # where the card slows itself down
    throttle: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()  # programs on it beside the training, the largest first


@dataclass(frozen=True, kw_only=True, slots=True)
class Battery:
    percent: float | None
    is_plugged: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One sample of the machine. `at`: seconds on the guard's clock, which stands still while the computer sleeps."""

    at: float
    gpus: tuple[Gpu, ...] = ()
    ram_mib: float | None = None  # of the training
    ram_used_mib: float | None = None
    ram_total_mib: float | None = None
    swap_used_mib: float | None = None
    disk_free_mib: float | None = None
    own_mib: float | None = None  # what the run folder itself holds on that disk
    making_mib: float | None = None  # of it, states that are being written or removed just now
    cache_free_mib: float | None = None  # where that is another disk
    battery: Battery | None = None

    @property
    def hottest_c(self) -> float | None:
        return max((gpu.temperature_c for gpu in self.gpus if gpu.temperature_c is not None), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where the training is. Seconds on the guard's clock; step times without saves, samples and waits."""

    step: int = 0
    total_steps: int | None = None
    phase: str = ""
    steps_here: int = 0  # since this run began
    losses: tuple[float, ...] = ()  # the last ones, newest last
    early_s: tuple[float, ...] = ()  # step times after the warm-up
    recent_s: tuple[float, ...] = ()  # ... of the last steps, newest last
    quiet_s: float = 0.0  # since the last news; a wait is no silence
    usual_s: float | None = None  # what this phase took before
    vram_mib: float | None = None  # that the training itself holds on its first card
    beside_mib: float | None = None  # what others hold there now, by difference
    beside_least_mib: float | None = None  # ... and the least that it was in this run
    state_mib: float | None = None
    lora_mib: float | None = None
    held_s: float | None = None  # how long it has been waiting by now


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """All that a rule may use. `moments`: oldest first, never empty. `standing`: kinds that are on now."""

    moments: tuple[Moment, ...]
    progress: Progress
    limits: Limits
    standing: frozenset[str] = frozenset()
    system: str = "linux"
    rest_c: float | None = None  # the temperature below which a waiting card did not get

    @property
    def now(self) -> Moment:
        return self.moments[-1]

    def last(self, seconds: float) -> tuple[Moment, ...]:
        """The samples of the last `seconds`; () when the watch is younger than that."""
        since = self.now.at - seconds
        if self.moments[0].at > since:
            return ()
        return tuple(moment for moment in self.moments if moment.at >= since)


@dataclass(frozen=True, kw_only=True, slots=True)
class Concern:
    """What a rule found: kind, what is going on, what to do.

    `act`: "hold" (training waits until the concern is over), "pause" (a state is saved and training ends), or nothing.
    `needs_mib`: free space with which a pause for want of room has lost its reason.
    """

    kind: str
    message: str
    fix: str = ""
    act: str = ""
    needs_mib: int | None = None


def moment_of(sample: Mapping[str, Any], at: float) -> Moment:
    """A line of `gpu.jsonl` as a record."""
    battery = json_object(sample.get("battery"))
    return Moment(
        at=at,
        gpus=tuple(_gpus(sample.get("gpus"))),
        battery=Battery(percent=number(battery.get("pct")), is_plugged=battery.get("plugged") is not False)
        if battery
        else None,
        **{
            name: number(sample.get(name))
            for name in (
                "ram_mib", "ram_used_mib", "ram_total_mib", "swap_used_mib", "disk_free_mib", "own_mib",
                "making_mib", "cache_free_mib",
            )
        },
    )  # fmt: skip


def _gpus(value: object) -> Iterator[Gpu]:
    for item in value[:MOST_CARDS] if isinstance(value, list) else ():
        gpu = json_object(item)
        others = gpu.get("others")
        throttle = gpu.get("throttle")
        yield Gpu(
            throttle=frozenset(map(text, throttle)) if isinstance(throttle, list) else frozenset(),
            others=tuple(text(json_object(other).get("name")) for other in others)
            if isinstance(others, list)
            else (),
            **{
                name: number(gpu.get(name))
                for name in ("used_mib", "total_mib", "temperature_c", "slowdown_c")
            },
        )
