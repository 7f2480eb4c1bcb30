"""Where the training is, folded from its events as they come; the guard's own clock comes in from outside."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from launcher.guard.limits import EARLY_STEPS, LEAST_STEPS_BESIDE, RECENT_STEPS, STUCK_STEPS, WARM_UP_STEPS
from launcher.guard.look import Progress
from launcher.monitor.tail import Tail
from launcher.monitor.values import number, number_or_nan, text, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import RunPaths

MIB = 1 << 20
DEEPEST = 8


class Follower:
    """Reads `events.jsonl` forward. Memory: some dozen numbers."""

    def __init__(self, run: RunPaths, usual: Mapping[str, float], *, state_mib: float | None = None) -> None:
        self._tail = Tail(run.events)
        self._usual = dict(usual)  # seconds that a phase took before
        self._phases: list[str] = []
        self._step = self._steps_here = 0
        self._total: int | None = None
        self._losses: deque[float] = deque(maxlen=STUCK_STEPS)
        self._early: list[float] = []
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._quiet = 0.0
        self._held: float | None = None
        self._vram: float | None = None
        self._least: float | None = None
        self._state = state_mib
        self._lora: float | None = None

    def update(self, seconds: float) -> None:
        """Take what is new; `seconds` have passed since the last time."""
        self._quiet += seconds
        if self._held is not None:
            self._held += seconds
        self._tail.has_restarted()
        for batch in self._tail.batches():
            for event in batch:
                self._quiet = 0.0
                self._take(event)

    def progress(self, used_mib: float | None) -> Progress:
        """As of now; `used_mib` of the first card tells what others hold there."""
        phase = self._phases[-1] if self._phases else ""
        beside = None
        if used_mib is not None and self._vram is not None and self._steps_here >= LEAST_STEPS_BESIDE:
            beside = max(used_mib - self._vram, 0.0)
            self._least = beside if self._least is None else min(self._least, beside)
        return Progress(
            step=self._step, total_steps=self._total, phase=phase, steps_here=self._steps_here, losses=tuple(self._losses),
            early_s=tuple(self._early), recent_s=tuple(self._recent), quiet_s=self._quiet, usual_s=self._usual.get(phase),
            vram_mib=self._vram, beside_mib=beside, beside_least_mib=self._least, state_mib=self._state, lora_mib=self._lora,
            held_s=self._held,
        )  # fmt: skip

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "step":
            self._on_step(event)
        elif kind == "phase":
            self._on_phase(event)
        elif kind == "totals":
            self._total = whole(event.get("total_steps"))
        elif kind == "hold":
            self._held = 0.0 if event.get("state") == "begin" else None
        elif kind in {"state", "save"}:
            size = number(event.get("bytes"))
            mib = None if size is None else size / MIB
            self._state, self._lora = (mib, self._lora) if kind == "state" else (self._state, mib)

    def _on_step(self, event: dict[str, Any]) -> None:
        self._step = whole(event.get("step")) or self._step
        self._steps_here += 1
        self._vram = number(event.get("vram_mib"))
        loss = number_or_nan(event.get("loss"))
        if loss is not None:
            self._losses.append(loss)
        seconds = number(event.get("seconds"))
        if seconds is None or self._steps_here <= WARM_UP_STEPS:
            return
        if len(self._early) < EARLY_STEPS:
            self._early.append(seconds)
        self._recent.append(seconds)

    def _on_phase(self, event: dict[str, Any]) -> None:
        name = text(event.get("name"))
        self._vram = None  # what it holds now is told by the next step
        if event.get("state") == "begin":
            self._phases = [*self._phases[-DEEPEST:], name]
            return
        self._phases = [phase for phase in self._phases if phase != name]
        seconds = number(event.get("seconds"))
        if seconds is not None and name != "train_loop":
            self._usual[name] = max(self._usual.get(name, 0.0), seconds)
