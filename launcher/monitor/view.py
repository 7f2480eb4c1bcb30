"""The records that a monitor hands out: one frozen picture of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.events import Status

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Save:
    """A LoRA file that was written; `path` is relative to the run folder."""

    step: int
    path: str
    bytes: int | None
    is_final: bool
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A resumable state that was written; `path` is relative to the run folder."""

    step: int
    path: str
    bytes: int | None
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A sample image; `path` is relative to the run folder and came from a file: check before opening it."""

    step: int
    path: str
    prompt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Warn:
    """A warning of the trainer; `count` says how often it came."""

    message: str
    count: int
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """What the guard saw begin (and end: None while it stands). `act`: "hold", "pause", or nothing."""

    kind: str
    message: str
    fix: str
    act: str
    step: int
    began: float
    ended: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Boost:
    """What became of one boost. `kind`: exact, rounding or approximate; `reason`: why not, or why not everywhere."""

    name: str
    kind: str
    is_used: bool
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "kind": self.kind, "used": self.is_used, "reason": self.reason}


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What ended the training, in the trainer's words. `kind`: what launcher.failures took it for, where that is written."""

    error: str
    message: str
    kind: str = ""
    traceback: str = ""
    phase: str = ""
    step: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A finished phase: what it was and how long it took."""

    name: str
    seconds: float | None
    peak_vram_mib: float | None
    peak_ram_mib: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A run as of one poll.

    Steps are absolute (over all resumes), memory in MiB, times in seconds since the epoch, durations in seconds,
    temperature in °C, power in W. None means not known (yet). `loss` may be NaN: then the training has diverged.
    Curves hold at most some hundred points, always the first, the last and the extremes.
    """

    name: str = ""
    preset: str = ""
    trainer: str = ""
    status: Status = Status.PENDING
    phase: str = ""
    phase_progress: tuple[int, int] | None = None
    step: int = 0
    resumed_step: int = 0
    total_steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    images: int | None = None
    loss: float | None = None
    avg_loss: float | None = None
    lr: Mapping[str, float] = field(default_factory=dict)
    seconds_per_step: float | None = None
    eta_s: float | None = None
    losses: tuple[tuple[float, float, float], ...] = ()  # (step, loss, average)
    lrs: tuple[tuple[float, float], ...] = ()  # (step, learning rate)
    step_times: tuple[tuple[float, float], ...] = ()  # (step, seconds)
    vram: tuple[tuple[float, float], ...] = ()  # (time, used MiB); likewise the next three
    temperatures: tuple[tuple[float, float], ...] = ()
    powers: tuple[tuple[float, float], ...] = ()
    rams: tuple[tuple[float, float], ...] = ()
    vram_used_mib: float | None = None
    vram_total_mib: float | None = None
    vram_peak_mib: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    utilisation_pct: float | None = None
    throttle: str = ""
    ram_mib: float | None = None  # the process tree
    ram_used_mib: float | None = None  # the whole machine
    ram_total_mib: float | None = None
    disk_free_mib: float | None = None
    last_save: Save | None = None
    last_state: State | None = None
    last_sample: Sample | None = None
    saves: tuple[Save, ...] = ()
    samples: tuple[Sample, ...] = ()
    spans: tuple[Span, ...] = ()
    warnings: tuple[Warn, ...] = ()
    alerts: tuple[Alert, ...] = ()  # of the guard, in the order in which they began
    held_for: str = ""  # the kind of alert for which training waits now
    held_since: float | None = None
    held_s: float = 0.0  # spent waiting before now
    error: Failure | None = None
    device: str = ""
    torch: str = ""
    boosts: tuple[Boost, ...] = ()  # none: the trainer has none, all are off, or the first step has not begun
    boost_ops: str = ""  # what their operations are written in: triton or torch
    parent: str = ""
    started: float | None = None
    ended: float | None = None
    updated: float | None = None
    gone: bool = False

    @property
    def fraction(self) -> float | None:
        """Part of the steps that is done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else None

    @property
    def standing(self) -> tuple[Alert, ...]:
        """The alerts that are not over."""
        return tuple(alert for alert in self.alerts if alert.ended is None)

    @property
    def elapsed_s(self) -> float | None:
        """From the start to the end, or to the last sign of life."""
        last = self.ended or self.updated
        return max(0.0, last - self.started) if self.started is not None and last is not None else None
