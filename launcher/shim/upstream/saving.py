"""What the launcher adds to each state: generators, averages, the true step; and what makes a state of the fork a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.files import read_json, write_json
from launcher.shim.upstream import rng
from launcher.shim.upstream.resumed import PROGRESS, scheduler_step
from launcher.shim.upstream.training import is_network, unwrapped
from launcher.states import TRAIN_STATE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.shim.pace import Pace
    from launcher.shim.upstream.training import Training


def complete_state(training: Training, pace: Pace, folder: Path, step: int) -> Mapping[str, object]:
    """Write our files into a state that accelerate has written, and give what its manifest shall say besides."""
    training.settle_random()
    rng.save(folder / rng.FILE)
    write_json(folder / PROGRESS, {"average": training.average(), "step_losses": pace.recent})
    # Upstream's own says the same where it writes one, but for a training that had nothing left to do.
    write_json(folder / TRAIN_STATE, {"current_epoch": training.epoch_of(step), "current_step": step})
    return {"trainer": training.version, "scheduler_step": scheduler_step(training.accelerator._schedulers),  # noqa: SLF001
            **training.settings()}  # fmt: skip


def name_step(folder: Path, step: int, *, is_sure: bool = False) -> Mapping[str, object]:
    """A state needs its step to be found. The fork writes none; the others' own stays unless we are sure of ours."""
    path = folder / TRAIN_STATE
    if not path.exists():
        write_json(path, {"current_epoch": 1, "current_step": step})
    elif is_sure:
        write_json(path, {**read_json(path), "current_step": step})
    return {}


def keep_network_only(accelerator: Any) -> None:
    """States hold the LoRA alone. Without this the fork's hold the whole U-Net, in fp8 that it cannot read back."""

    def save(models: list[Any], weights: list[Any], _folder: str) -> None:
        kept = [held for model, held in zip(models, weights, strict=False) if is_network(unwrapped(model))]
        weights[:] = kept

    def load(models: list[Any], _folder: str) -> None:
        models[:] = [model for model in models if is_network(unwrapped(model))]

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)
