"""What the events and the machine's samples add up to, in memory that does not grow with the run."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.monitor.boosts import boosts_in, without_failed
from launcher.monitor.curve import Curve
from launcher.monitor.values import (
    first_lr,
    json_object,
    learning_rates,
    number,
    number_or_nan,
    status_of,
    text,
    whole,
)
from launcher.monitor.view import Boost, Failure, Sample, Save, Span, State, Warn

if TYPE_CHECKING:
    from launcher.events import Status
    from launcher.monitor.view import RunView

RECENT_STEPS = 50  # for the median of the step time: about a minute on the card that this is made for
KEPT_SAMPLES = 400
KEPT_SAVES = 200
KEPT_SPANS = 50
DEEPEST_PHASE = 8


class Training:
    """The sum of `events.jsonl` so far."""

    def __init__(self, *, curve_points: int, warnings: int) -> None:
        self.started: float | None = None
        self.ended: Status | None = None
        self.ended_at: float | None = None
        self.error: Failure | None = None
        self.trainer = self.device = self.torch = ""
        self._resumed_step = 0
        self._updated: float | None = None
        self._totals: dict[str, int | None] = {}
        self._phases: list[str] = []  # open ones, the innermost last
        self._progress: tuple[int, int] | None = None
        self._last_step: dict[str, Any] = {}
        self._step = 0
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._losses = Curve(curve_points)
        self._lrs = Curve(curve_points // 3)
        self._times = Curve(curve_points // 3)
        self._vram_peak: float | None = None
        self._saves: deque[Save] = deque(maxlen=KEPT_SAVES)
        self._last_state: State | None = None
        self._samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self._spans: deque[Span] = deque(maxlen=KEPT_SPANS)
        self._warnings: deque[Warn] = deque(maxlen=warnings)
        self._boosts: tuple[Boost, ...] = ()
        self._boost_ops = ""
        self._held_for = ""
        self._held_since: float | None = None
        self._held_s = 0.0
        self._takers = {
            "start": self._on_start, "totals": self._on_totals, "phase": self._on_phase, "progress": self._on_progress,
            "step": self._on_step, "save": self._on_save, "state": self._on_state, "sample": self._on_sample,
            "warning": self._on_warning, "boosts": self._on_boosts, "hold": self._on_hold, "error": self._on_error,
            "end": self._on_end,
        }  # fmt: skip

    def take(self, event: dict[str, Any]) -> None:
        """Add one event; unknown and malformed ones change nothing."""
        kind = event.get("type")
        taker = self._takers.get(kind) if isinstance(kind, str) else None
        time = number(event.get("t"))
        if taker is not None and time is not None:
            taker(event, time)
            self._updated = time

    def _on_start(self, event: dict[str, Any], time: float) -> None:
        self.started = time if self.started is None else self.started
        self.trainer = text(event.get("trainer"))
        self.device = text(event.get("device"))
        self.torch = text(event.get("torch"))
        self._resumed_step = whole(event.get("resumed_step")) or 0
        self._step = self._resumed_step
        self.ended = self.ended_at = self.error = None

    def _on_totals(self, event: dict[str, Any], _time: float) -> None:
        names = ("total_steps", "steps_per_epoch", "epochs", "images")
        self._totals = {name: whole(event.get(name)) for name in names}

    def _on_phase(self, event: dict[str, Any], _time: float) -> None:
        name = text(event.get("name"))
        self._progress = None
        if event.get("state") == "begin":
            self._phases = [*self._phases[-DEEPEST_PHASE:], name]
            return
        self._phases = [phase for phase in self._phases if phase != name]
        vram = number(event.get("peak_vram_mib"))
        self._raise_peak(vram)
        self._spans.append(
            Span(
                name=name,
                seconds=number(event.get("seconds")),
                peak_vram_mib=vram,
                peak_ram_mib=number(event.get("peak_ram_mib")),
            )
        )

    def _on_progress(self, event: dict[str, Any], _time: float) -> None:
        done, total = whole(event.get("done")), whole(event.get("total"))
        self._phases = self._phases or [text(event.get("phase"))]
        self._progress = (done, total) if done is not None and total else None

    def _on_step(self, event: dict[str, Any], _time: float) -> None:
        step = event.get("step")
        if type(step) is not int or not 0 <= step < 1 << 50:
            return
        self._step = step
        self._last_step = event
        self._progress = None
        loss = number(event.get("loss"))
        if loss is not None:
            average = number(event.get("avg_loss"))
            self._losses.add((step, loss, loss if average is None else average))
        lr = first_lr(event.get("lr"))
        if lr is not None:
            self._lrs.add((step, lr))
        seconds = number(event.get("seconds"))
        if seconds is not None and seconds >= 0:
            self._recent.append(seconds)
            self._times.add((step, seconds))
        if "vram_mib" in event:
            self._raise_peak(number(event["vram_mib"]))

    def _on_save(self, event: dict[str, Any], time: float) -> None:
        step, path = whole(event.get("step")), text(event.get("path"))
        if step is not None and path:
            size = whole(event.get("bytes"))
            is_final = event.get("final") is True
            self._saves.append(Save(step=step, path=path, bytes=size, is_final=is_final, time=time))

    def _on_state(self, event: dict[str, Any], time: float) -> None:
        step, path = whole(event.get("step")), text(event.get("path"))
        if step is not None and path:
            self._last_state = State(step=step, path=path, bytes=whole(event.get("bytes")), time=time)

    def _on_sample(self, event: dict[str, Any], _time: float) -> None:
        step, path = whole(event.get("step")), text(event.get("path"))
        if step is not None and path:
            self._samples.append(Sample(step=step, path=path, prompt=text(event.get("prompt"))))

    def _on_warning(self, event: dict[str, Any], time: float) -> None:
        message, count = text(event.get("message")), whole(event.get("count")) or 1
        self._boosts = without_failed(self._boosts, message)
        for known in self._warnings:
            if known.message == message:
                self._warnings.remove(known)
                count = max(count, known.count + 1)
                break
        if message:
            self._warnings.append(Warn(message=message, count=count, time=time))

    def _on_boosts(self, event: dict[str, Any], _time: float) -> None:
        self._boosts, self._boost_ops = boosts_in(event), text(event.get("ops"))

    def _on_hold(self, event: dict[str, Any], time: float) -> None:
        if event.get("state") == "begin":
            self._held_for, self._held_since = text(event.get("reason")) or "hold", time
            return
        self._held_for, self._held_since = "", None
        self._held_s += max(number(event.get("seconds")) or 0.0, 0.0)

    def _on_error(self, event: dict[str, Any], _time: float) -> None:
        self.error = Failure(
            error=text(event.get("error")),
            message=text(event.get("message")),
            traceback=text(event.get("traceback")),
            phase=text(event.get("phase")),
            step=whole(event.get("step")),
        )

    def _on_end(self, event: dict[str, Any], time: float) -> None:
        self.ended = status_of(event.get("status"))
        self.ended_at = time
        self._phases = []
        self._progress = None
        self._step = max(self._step, whole(event.get("step")) or 0)

    def _raise_peak(self, mib: float | None) -> None:
        if mib is not None and (self._vram_peak is None or mib > self._vram_peak):
            self._vram_peak = mib

    def into(self, view: RunView) -> RunView:
        """`view` with the training's part filled in."""
        last = self._last_step
        total = self._totals.get("total_steps") or view.total_steps
        step = self._step or view.step
        pace = statistics.median(self._recent) if self._recent else None
        is_waiting = view.status.is_live and pace is not None and total is not None
        return replace(
            view,
            phase=self._phases[-1] if self._phases and view.status.is_live else "",
            phase_progress=self._progress if view.status.is_live else None,
            step=step,
            resumed_step=self._resumed_step,
            total_steps=total,
            epoch=whole(last.get("epoch")),
            epochs=self._totals.get("epochs"),
            steps_per_epoch=self._totals.get("steps_per_epoch"),
            images=self._totals.get("images"),
            loss=number_or_nan(last.get("loss")),
            avg_loss=number_or_nan(last.get("avg_loss")),
            lr=learning_rates(last.get("lr")),
            seconds_per_step=pace,
            eta_s=max(0, (total or 0) - step) * (pace or 0.0) if is_waiting else None,
            losses=self._losses.points(),  # type: ignore[arg-type]  # points have the arity that they came with
            lrs=self._lrs.points(),  # type: ignore[arg-type]
            step_times=self._times.points(),  # type: ignore[arg-type]
            vram_peak_mib=self._vram_peak,
            last_save=self._saves[-1] if self._saves else None,
            last_state=self._last_state,
            last_sample=self._samples[-1] if self._samples else None,
            saves=tuple(self._saves),
            samples=tuple(self._samples),
            spans=tuple(self._spans),
            warnings=tuple(self._warnings),
            held_for=self._held_for if view.status.is_live else "",
            held_since=self._held_since if view.status.is_live else None,
            held_s=self._held_s,
            device=self.device,
            torch=self.torch,
            boosts=self._boosts,
            boost_ops=self._boost_ops,
            updated=self._updated,
        )


class Machine:
    """The sum of `gpu.jsonl` so far. Of several GPUs the first one is shown: training uses one."""

    def __init__(self, *, curve_points: int) -> None:
        self._last: dict[str, Any] = {}
        self._gpu: dict[str, Any] = {}
        self._vram_peak: float | None = None
        self._vram = Curve(curve_points // 2)
        self._temperatures = Curve(curve_points // 2)
        self._powers = Curve(curve_points // 2)
        self._rams = Curve(curve_points // 2)

    def take(self, sample: dict[str, Any]) -> None:
        """Add one sample of the machine."""
        time = number(sample.get("t"))
        if time is None:
            return
        gpus = sample.get("gpus")
        self._last = sample
        self._gpu = json_object(gpus[0]) if isinstance(gpus, list) and gpus else {}
        used = number(self._gpu.get("used_mib"))
        if used is not None:
            self._vram_peak = max(used, self._vram_peak or 0)
        values = (used, *(number(self._gpu.get(name)) for name in ("temperature_c", "power_w")))
        for curve, value in zip(
            (self._vram, self._temperatures, self._powers, self._rams),
            (*values, number(sample.get("ram_mib"))),
            strict=True,
        ):
            if value is not None:
                curve.add((time, value))

    def into(self, view: RunView) -> RunView:
        """`view` with the machine's part filled in."""
        gpu, last = self._gpu, self._last
        throttle = gpu.get("throttle")
        return replace(
            view,
            vram_used_mib=number(gpu.get("used_mib")),
            vram_total_mib=number(gpu.get("total_mib")),
            vram_peak_mib=self._vram_peak if self._vram_peak is not None else view.vram_peak_mib,
            temperature_c=number(gpu.get("temperature_c")),
            power_w=number(gpu.get("power_w")),
            utilisation_pct=number(gpu.get("utilisation_pct")),
            throttle=", ".join(map(text, throttle)) if isinstance(throttle, list) else text(throttle),
            ram_mib=number(last.get("ram_mib")),
            ram_used_mib=number(last.get("ram_used_mib")),
            ram_total_mib=number(last.get("ram_total_mib")),
            disk_free_mib=number(last.get("disk_free_mib")),
            vram=self._vram.points(),  # type: ignore[arg-type]
            temperatures=self._temperatures.points(),  # type: ignore[arg-type]
            powers=self._powers.points(),  # type: ignore[arg-type]
            rams=self._rams.points(),  # type: ignore[arg-type]
        )
