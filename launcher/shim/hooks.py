"""Wraps the methods of a trainer class: every wrapper calls the original, then looks and tells."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from launcher.events import Status
from launcher.shim.pace import vram_mib
from launcher.shim.requests import Leave, requested

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.paths import RunPaths
    from launcher.shim.pace import Pace
    from launcher.shim.phases import Phases
    from launcher.shim.reporter import Reporter
    from launcher.shim.samples import Samples
    from launcher.shim.saving import Saver

PHASES = ("load_models", "cache_latents", "cache_text_encoder_outputs", "train_loop")


class Hooks:
    """What happens around a trainer's methods."""

    def __init__(
        self, run: RunPaths, reporter: Reporter, pace: Pace, phases: Phases, samples: Samples
    ) -> None:
        self.saver: Saver
        self.total_steps: int | None = None
        self._run = run
        self._reporter = reporter
        self._pace = pace
        self._phases = phases
        self._samples = samples
        self._steps_per_epoch = 0
        self._epochs = 0
        self._accelerator: Any = None
        self._leaving: Status | None = None  # asked for, but the trainer first saves what is due at this step
        self._saves_due = 0

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
        self._leave_before_steps()
        self._reporter.attempt(self._tell_totals, trainer)
        with self._phases.phase(name):
            self._pace.begin_step()
            return original(trainer, *args, **more)

    def _caching_progress(
        self, original: Callable[..., Any], trainer: Any, phase: str, done: int, total: int
    ) -> Any:
        result = original(trainer, phase, done, total)
        self._reporter.attempt(self._phases.progress, phase, done, total)
        self._leave_before_steps()
        return result

    def _record_loss(
        self, original: Callable[..., Any], trainer: Any, loss: float, *args: Any, **more: Any
    ) -> Any:
        self._reporter.attempt(self._pace.add_loss, loss)
        return original(trainer, loss, *args, **more)

    def _sample_images(  # noqa: PLR0917  (the trainer's own order of arguments)
        self, original: Callable[..., Any], trainer: Any, accelerator: Any, args: Any, epoch: int | None,
        global_step: int, *rest: Any, **more: Any,
    ) -> Any:  # fmt: skip
        """With `epoch=None` a step is complete (facts/sd-scripts.md 4.3): the one place to tell, save and leave."""
        if epoch is None:
            self.saver.step = global_step
            self._accelerator = accelerator
            self._reporter.attempt(self._tell_step, trainer, global_step)
        result = original(trainer, accelerator, args, epoch, global_step, *rest, **more)
        self._reporter.attempt(self._samples.tell, args, global_step)
        if epoch is None:
            self._pace.begin_step()
            self._after_step(args, global_step)
        return result

    def _sample_saved(
        self, original: Callable[..., Any], trainer: Any, path: Any, prompt: str, step: int
    ) -> Any:
        result = original(trainer, path, prompt, step)
        self._reporter.attempt(self._samples.tell_one, path, prompt, step)
        return result

    def _tell_totals(self, trainer: Any) -> None:
        totals = getattr(trainer, "totals", None)
        if self.total_steps is not None or not totals:
            return
        self.total_steps = int(totals["total_steps"])
        self._steps_per_epoch = int(totals.get("steps_per_epoch") or 0)
        self._epochs = int(totals.get("epochs") or 0)
        self._pace.set_window(self._steps_per_epoch)
        self._reporter.emit("totals", **totals)

    def _tell_step(self, trainer: Any, step: int) -> None:
        self._tell_totals(trainer)
        loss, average, seconds = self._pace.end_step()
        vram = vram_mib()
        self._reporter.emit(
            "step",
            step=step,
            epoch=(step - 1) // self._steps_per_epoch + 1 if self._steps_per_epoch else None,
            loss=loss,
            avg_loss=average,
            lr=_learning_rates(trainer),
            seconds=round(seconds, 4),
            **({} if vram is None else {"vram_mib": round(vram, 1)}),
        )

    def _leave_before_steps(self) -> None:
        """Between phases and while caching nothing is trained yet: leaving loses no step."""
        status = requested(self._run.pause)
        if status and self._accelerator is None:
            raise Leave(status)

    def _after_step(self, args: Any, step: int) -> None:
        if self._leaving:  # the save that was due did not come: the state of this step does as well
            self._leave()
        status = requested(self._run.pause)
        if status is None or step >= (self.total_steps or step + 1):
            return  # nothing asked, or only the last file is still to be written: finish
        self._leaving = status
        self._saves_due = self._count_saves_due(args, step)
        if not self._saves_due:
            self._leave()

    def _count_saves_due(self, args: Any, step: int) -> int:
        """LoRA files that the trainer writes after this step; leaving now would lose them, a resume starts behind."""
        every_steps = getattr(args, "save_every_n_steps", None)
        every_epochs = getattr(args, "save_every_n_epochs", None)
        due = 1 if every_steps and step % every_steps == 0 else 0
        if every_epochs and self._steps_per_epoch and step % self._steps_per_epoch == 0:
            epoch = step // self._steps_per_epoch
            due += 1 if epoch % every_epochs == 0 and epoch < self._epochs else 0
        return due

    def lora_done(self) -> None:
        """A LoRA file of this step is written (or has failed); the last one due opens the door."""
        if self._leaving:
            self._saves_due -= 1
            if self._saves_due <= 0:
                self._leave()

    def _leave(self) -> None:
        """Save the state of this step and end. A pause that cannot save is called off, in words: steps would be lost."""
        status, self._leaving = self._leaving, None
        if status is None:
            return
        name = f"{self.saver.output_name}-step{self.saver.step:08d}-state"
        self._accelerator.save_state(str(self._run.output / name))  # redirected by the saver
        if self.saver.is_saved or status is Status.CANCELLED:
            raise Leave(status)
        self._run.pause.unlink(missing_ok=True)
        message = "not paused, because the state could not be saved: make room, then pause again (or stop, which loses the steps since the last state)"
        self._reporter.emit("warning", message=message, count=1)


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
