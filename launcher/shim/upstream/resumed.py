"""The state that a training goes on from: checked before it is loaded, compared after, and never unpickled blindly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json
from launcher.shim.upstream import rng
from launcher.states import MANIFEST, train_step, verify_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRESS = "progress.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """A state. `manifest` and `progress` are empty for one that is not of the launcher's making."""

    folder: Path
    step: int
    manifest: Mapping[str, Any]
    progress: Mapping[str, Any]

    @property
    def average(self) -> dict[str, Any] | None:
        average = self.progress.get("average")
        return average if isinstance(average, dict) else None

    @property
    def step_losses(self) -> list[float]:
        return [float(loss) for loss in self.progress.get("step_losses") or []]

    @property
    def seed(self) -> int | None:
        seed = self.manifest.get("seed")
        return seed if isinstance(seed, int) else None

    def restore_rng(self) -> None:
        path = self.folder / rng.FILE
        if path.exists():
            rng.restore(path)

    def compare_scheduler(self, schedulers: list[Any]) -> None:
        """The loaded scheduler must stand where the manifest says: an optimizer's and a schedule's steps belong together.

        Raises:
            InputError: it stands elsewhere.
        """
        known, found = self.manifest.get("scheduler_step"), scheduler_step(schedulers)
        if known is not None and found != known:
            raise InputError(
                f"the learning-rate schedule in this state is at {found}, but was written at {known}",
                fix="resume from an older state", where=str(self.folder),
            )  # fmt: skip

    def differences(self, now: Mapping[str, object]) -> Iterator[str]:
        """In words: what of the training is not as it was when the state was written."""
        words = {
            "seed": "the seed", "steps_per_epoch": "the steps of an epoch", "total_steps": "the steps in all",
            "accumulation": "the gradient accumulation",
        }  # fmt: skip
        for name, word in words.items():
            before = self.manifest.get(name)
            if before is not None and before != now.get(name):
                yield f"{word}: {before} then, {now.get(name)} now"


def open_state(folder: str | Path, *, processes: int) -> Resumed:
    """Check a state.

    Raises:
        InputError: it is damaged, or was made by another number of processes.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        return Resumed(folder=folder, step=train_step(folder)[0], manifest={}, progress={})
    reason = verify_state(folder)
    if reason:
        raise InputError(
            f"this state is damaged: {reason}", fix="resume from an older state", where=str(folder)
        )
    manifest = read_json(folder / MANIFEST)
    before = manifest.get("processes", processes)
    if before != processes:
        raise InputError(
            f"this state was made by {before} processes, now there are {processes}",
            fix="put the card back that is missing, or start a new run", where=str(folder),
        )  # fmt: skip
    progress = read_json(folder / PROGRESS) if (folder / PROGRESS).exists() else {}
    return Resumed(folder=folder, step=manifest["step"], manifest=manifest, progress=progress)


def scheduler_step(schedulers: list[Any]) -> int | None:
    """Where the first learning-rate schedule stands (optimizer steps x processes); None without one."""
    if not schedulers:
        return None
    last = getattr(getattr(schedulers[0], "scheduler", schedulers[0]), "last_epoch", None)
    return int(last) if last is not None else None


def refuse_pickles() -> None:
    """`torch.load` reads plain data only, unless its caller says otherwise: a state may come from anywhere.

    accelerate 0.25 calls it bare (facts/sd-scripts.md 2.3); the numpy part of its random states is plain data too.
    """
    import torch

    original = torch.load

    def load(*args: Any, weights_only: bool | None = None, **more: Any) -> Any:
        return original(*args, weights_only=True if weights_only is None else weights_only, **more)

    torch.load = load
    allow = getattr(torch.serialization, "add_safe_globals", None)  # since torch 2.4
    if allow:
        allow(_numpy_names())


def _numpy_names() -> list[Any]:
    """What a pickled array names; where numpy keeps it depends on its version, so an array is asked."""
    import numpy as np

    return [np.zeros(1).__reduce__()[0], np.ndarray, np.dtype, type(np.dtype(np.uint32))]
