"""What a trainer still writes after a step: leaving before it is done would lose it, because a resume starts behind it.

All of it by the trainer's own count of steps, which its options speak of.
"""

from __future__ import annotations

from typing import Any


def saves_due(args: Any, step: int, *, steps_per_epoch: int, epochs: int) -> int:
    """LoRA files; that of the last epoch is the training's own last one."""
    every_steps = getattr(args, "save_every_n_steps", None)
    every_epochs = getattr(args, "save_every_n_epochs", None)
    epoch = _epoch_ended(step, steps_per_epoch)
    due = 1 if every_steps and step % every_steps == 0 else 0
    return due + (1 if every_epochs and epoch and epoch % every_epochs == 0 and epoch < epochs else 0)


def samples_due(args: Any, step: int, *, steps_per_epoch: int) -> int:
    """Rounds of sample images at an epoch's end; those of a step come before anybody is asked."""
    every_epochs = getattr(args, "sample_every_n_epochs", None)
    epoch = _epoch_ended(step, steps_per_epoch)
    return 1 if every_epochs and epoch and epoch % every_epochs == 0 else 0


def _epoch_ended(step: int, steps_per_epoch: int) -> int:
    """The epoch (from 1) whose last step this is; 0 inside one, and while their length is not known."""
    epoch, rest = divmod(step, steps_per_epoch) if steps_per_epoch else (0, 1)
    return 0 if rest else epoch
