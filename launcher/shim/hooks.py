"""Wraps the methods of a trainer class: every wrapper calls the original, then looks and tells."""

from __future__ import annotations

import functools
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from launcher.events import Status
from launcher.shim.crew import Crew
from launcher.shim.due import samples_due, saves_due
from launcher.shim.holding import Holding
from launcher.shim.pace import vram_mib
from launcher.shim.requests import Leave
from launcher.shim.trouble import NAN_STEPS, LossWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from launcher.paths import RunPaths
    from launcher.shim.pace import Pace
    from launcher.shim.phases import Phases
    from launcher.shim.reporter import Reporter
    from launcher.shim.samples import Samples
    from launcher.shim.saving import Saver

PHASES = ("load_models", "cache_latents", "cache_text_encoder_outputs", "train_loop")


class Hooks:
    """What happens around a trainer's methods.

    `wrap` finds the methods of a trainer that was written for it (the rehearsal). For one that knows nothing of us,
    its adapter calls `phase`, `tell_totals` and `warn`, and sets `rates`, `collect_losses`, `is_sampling_due`,
    `resumed_step`, and `step_of` where its own count is not the absolute one.
    """

    def __init__(
        self, run: RunPaths, reporter: Reporter, pace: Pace, phases: Phases, samples: Samples, *,
        crew: Crew | None = None, state_every_minutes: float = 0.0, stop_on_nan: int = NAN_STEPS,
    ) -> None:  # fmt: skip
        self.saver: Saver
        self.pace = pace
        self.phases = phases
        self.total_steps: int | None = None
        self.resumed_step = 0
        self.rates: Callable[[Any], dict[str, float]] = _learning_rates
        self.collect_losses: Callable[[], list[float]] = list
        self.is_sampling_due: Callable[[Any, int | None, int], bool] = _is_never_due
        self.step_of: Callable[[int], int] = int
        self._crew = crew or Crew()
        self._state_every_s = state_every_minutes * 60
        self._run = run
        self._holding = Holding(run, reporter, self._crew, self._exclude)
        self._reporter = reporter
        self._samples = samples
        self._steps_per_epoch = 0
        self._epochs = 0
        self._accelerator: Any = None
        self._leaving: Status | None = None  # asked for, but the trainer first saves what is due at this step
        self._due = 0  # LoRA files and rounds of samples
        self._is_postponed = False
        self._losses = LossWatch(
            stop_on_nan
        )  # of the rehearsal; trouble.py watches the recorder of sd-scripts

    def wrap(self, trainer_class: type) -> None:
        """Put the wrappers on a class, each where the class has such a method."""
        for name in PHASES:
            _wrap(trainer_class, name, functools.partial(self._in_phase, name))
        _wrap(trainer_class, "caching_progress", self._caching_progress)
        _wrap(trainer_class, "record_loss", self._record_loss)
        _wrap(trainer_class, "sample_saved", self._sample_saved)
        _wrap(trainer_class, "sample_images", self._sample_images)

    def _in_phase(
        self, name: str, original: Callable[..., Any], trainer: Any, *args: Any, **more: Any
    ) -> Any:
        with self.phase(name, trainer):
            return original(trainer, *args, **more)

    @contextmanager
    def phase(self, name: str, trainer: Any = None) -> Iterator[None]:
        """One part of the training, with its time and memory; the place to leave before the first step."""
        self.leave_before_steps(is_agreed=True)
        self._reporter.attempt(self._tell_totals_of, trainer)
        with self.phases.phase(name):
            self.pace.begin_step()
            yield

    def warn(self, message: str) -> None:
        self._reporter.emit("warning", message=message, count=1)

    def _caching_progress(
        self, original: Callable[..., Any], trainer: Any, phase: str, done: int, total: int
    ) -> Any:
        result = original(trainer, phase, done, total)
        self._reporter.attempt(self.phases.progress, phase, done, total)
        self.leave_before_steps()
        return result

    def _record_loss(
        self, original: Callable[..., Any], trainer: Any, loss: float, *args: Any, **more: Any
    ) -> Any:
        self._reporter.attempt(self.pace.add_loss, loss)
        self._losses.take(loss)
        return original(trainer, loss, *args, **more)

    def _sample_images(  # noqa: PLR0917  (the trainer's own order of arguments)
        self, original: Callable[..., Any], trainer: Any, accelerator: Any, args: Any, epoch: int | None,
        global_step: int, *rest: Any, **more: Any,
    ) -> Any:  # fmt: skip
        """With `epoch=None` a step is complete (facts/sd-scripts.md 4.3): the one place to tell, save and leave."""
        if epoch == 0 and self.resumed_step:
            return None  # "sample_at_first" was then
        if epoch is None:
            self.saver.step = self._losses.step = self.step_of(global_step)
            self._accelerator = accelerator
            self._reporter.attempt(self._tell_step, trainer, self.saver.step)
        words = (trainer, accelerator, args, epoch, global_step, *rest)
        if self.is_sampling_due(args, epoch, global_step):
            with self.phases.phase("sampling"):
                result = original(*words, **more)
        else:
            result = original(*words, **more)
        self._reporter.attempt(self._samples.tell, args, self.saver.step)
        if epoch is None:
            self.pace.begin_step()
            self._after_step(args, global_step)
        elif epoch and samples_due(args, global_step, steps_per_epoch=self._steps_per_epoch):
            self._due_done()
        return result

    def _sample_saved(
        self, original: Callable[..., Any], trainer: Any, path: Any, prompt: str, step: int
    ) -> Any:
        result = original(trainer, path, prompt, step)
        self._reporter.attempt(self._samples.tell_one, path, prompt, step)
        return result

    def _tell_totals_of(self, trainer: Any) -> None:
        totals = getattr(trainer, "totals", None)
        if totals:
            self.tell_totals(totals)

    def tell_totals(self, totals: Mapping[str, int]) -> None:
        """How much there is to train; once."""
        if self.total_steps is not None:
            return
        self.total_steps = int(totals["total_steps"])
        self._steps_per_epoch = int(totals.get("steps_per_epoch") or 0)
        self._epochs = int(totals.get("epochs") or 0)
        self.pace.set_window(self._steps_per_epoch)
        self._reporter.emit("totals", **totals)

    def _tell_step(self, trainer: Any, step: int) -> None:
        self._tell_totals_of(trainer)
        for value in self.collect_losses():
            self.pace.add_loss(value)
        loss, average, seconds = self.pace.end_step()
        vram = vram_mib()
        self._reporter.emit(
            "step",
            step=step,
            epoch=(step - 1) // self._steps_per_epoch + 1 if self._steps_per_epoch else None,
            loss=loss,
            avg_loss=average,
            lr=self._rates_or_none(trainer),
            seconds=round(seconds, 4),
            **({} if vram is None else {"vram_mib": round(vram, 1)}),
        )

    def _rates_or_none(self, trainer: Any) -> dict[str, float]:
        """An optimizer that nobody here knows must not cost the step its event: pause and progress hang on it."""
        try:
            return self.rates(trainer)
        except Exception:  # noqa: BLE001  (whatever a scheduler of somebody else's raises)
            return {}

    def leave_before_steps(self, *, is_agreed: bool = False) -> None:
        """Between phases and while caching nothing is trained yet: leaving loses no step.

        Several processes leave only where all of them come by (`is_agreed`).
        """
        if self._accelerator is not None or (self._crew.size > 1 and not is_agreed):
            return
        status = self._requested()
        if status:
            raise Leave(status)

    def _requested(self) -> Status | None:
        return self._holding.ask(self.saver.step)

    def _exclude(self, seconds: float) -> None:
        """Time in which training was held: no step's, no phase's, and no reason for a state by the clock."""
        self.pace.exclude(seconds)
        self.phases.exclude(seconds)
        self.saver.last_state_at += seconds

    def _after_step(self, args: Any, step: int) -> None:
        """`step` is the trainer's own count."""
        if self._leaving:  # what was due did not come: the state of this step does as well
            self._leave()
        saves = saves_due(args, step, steps_per_epoch=self._steps_per_epoch, epochs=self._epochs)
        self._save_by_the_clock(args, saves)
        status = self._requested()
        if status is None or self.saver.step >= (self.total_steps or self.saver.step + 1):
            return  # nothing asked, or only the last file is still to be written: finish
        due = saves + samples_due(args, step, steps_per_epoch=self._steps_per_epoch)
        if self._crew.size > 1:  # the others do not see the save: all leave behind the next step instead
            is_first, self._is_postponed = due > 0 and not self._is_postponed, True
            if is_first:
                return
            due = 0
        self._leaving, self._due = status, due
        if not due:
            self._leave()

    def _save_by_the_clock(self, args: Any, saves: int) -> None:
        """A state every so many minutes, however seldom the trainer saves; the first process does it alone, as upstream.

        Not ahead of a LoRA that is due: killed in between, a resume would start behind it and it would never be.
        """
        is_due = self._state_every_s and time.monotonic() - self.saver.last_state_at >= self._state_every_s
        comes_anyway = getattr(args, "save_state", False) and saves
        if is_due and self._crew.is_main and not comes_anyway:
            self._accelerator.save_state(self._state_folder)  # redirected by the saver
            self.saver.last_state_at = time.monotonic()  # also where it failed: not at every step again

    @property
    def _state_folder(self) -> str:
        name = f"{self.saver.output_name}-step{self.saver.step:08d}-state"
        return str(self._run.output / name)

    def lora_done(self) -> None:
        """A LoRA file of this step is written (or has failed)."""
        self._due_done()

    def _due_done(self) -> None:
        """The last thing due opens the door."""
        if self._leaving:
            self._due -= 1
            if self._due <= 0:
                self._leave()

    def _leave(self) -> None:
        """Save the state of this step and end. A pause that cannot save is called off, in words: steps would be lost."""
        status, self._leaving = self._leaving, None
        if status is None:
            return
        if self._crew.is_main:
            self._accelerator.save_state(self._state_folder)  # redirected by the saver
        if self._crew.agree(int(self.saver.is_saved)) or status is Status.CANCELLED:
            raise Leave(status)
        with suppress(
            OSError
        ):  # a drive that is gone or read-only: training goes on, and the next step tries again
            self._run.pause.unlink()
        self.warn(
            "not paused, because the state could not be saved: make room, then pause again (or stop, which loses the steps since the last state)"
        )


def _is_never_due(_args: Any, _epoch: int | None, _step: int) -> bool:
    return False


def _wrap(trainer_class: type, name: str, around: Callable[..., Any]) -> None:
    original = getattr(trainer_class, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def method(trainer: Any, *args: Any, **more: Any) -> Any:
        return around(original, trainer, *args, **more)

    setattr(trainer_class, name, method)


def _learning_rates(trainer: Any) -> dict[str, float]:
    """Learning rates by the names of the optimizer's parameter groups; a single nameless group is the U-Net's."""
    scheduler = getattr(trainer, "lr_scheduler", None)
    if scheduler is None:
        return {}
    rates = [float(rate) for rate in scheduler.get_last_lr()]
    inner = getattr(scheduler, "scheduler", scheduler)  # accelerate wraps the real one
    groups = getattr(getattr(inner, "optimizer", None), "param_groups", None) or [{}] * len(rates)
    names = [
        str(group.get("name") or ("unet" if index == 0 else f"group{index}"))
        for index, group in enumerate(groups)
    ]
    return dict(zip(names, rates, strict=False))
