"""States and LoRA files that exist only whole: written aside, flushed, renamed, and only then reported."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.files import replace, sync_folder
from launcher.states import (
    aside,
    discard,
    publish_state,
    retire_states,
    size_of,
    state_name,
    train_step,
    training_states,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.paths import RunPaths
    from launcher.shim.pace import Pace
    from launcher.shim.reporter import Reporter

LORA = "lora.safetensors"


class Saver:
    """Redirects the trainer's writing; `step` is kept current by the hooks.

    Args:
        run: the run folder; LoRA files are those below its output, states go to its states folder.
        keep: how many states of the training to keep, those of the runs that this one continues among them.
        budget: bytes that they may take together; 0: any. The newest stays, whatever it takes.
        on_lora_done: called after each LoRA file that is not the last one, saved or failed.
    """

    def __init__(
        self, run: RunPaths, reporter: Reporter, pace: Pace, *, keep: int, on_lora_done: Callable[[], None],
        budget: int = 0,
    ) -> None:  # fmt: skip
        self.step = 0
        self.last_state_at = time.monotonic()
        self.complete: Callable[[Path, Any], Mapping[str, object]] = (
            _as_it_is  # adds to a state, tells its manifest
        )
        self.output_name = ""
        self.has_final = False
        self._saved_step = -1
        self._run = run
        self._reporter = reporter
        self._pace = pace
        self._keep = keep
        self._budget = budget
        self._on_lora_done = on_lora_done

    def redirect(self) -> None:
        """Patch both libraries; must come before the trainer script is imported, which may copy the names."""
        import accelerate
        import safetensors.torch

        write_file = safetensors.torch.save_file
        write_state = accelerate.Accelerator.save_state

        def save_file(tensors: Any, filename: Any, *rest: Any, **more: Any) -> None:
            path = Path(os.path.abspath(os.fspath(filename)))  # noqa: PTH100  (resolve() would follow links)
            if self._run.output not in path.parents:
                write_file(tensors, filename, *rest, **more)  # a state's weights, a cache: not ours to tell
                return
            self._save_lora(path, lambda part: write_file(tensors, part, *rest, **more))

        def save_state(accelerator: Any, output_dir: Any = None, *rest: Any, **more: Any) -> str:
            del output_dir  # the run folder says where states go

            def write(part: Path) -> Mapping[str, object]:
                write_state(accelerator, str(part), *rest, **more)
                return self.complete(part, accelerator)

            self.save_state(write)
            return str(self._target)

        safetensors.torch.save_file = save_file
        self._redirect_pickles()
        accelerate.Accelerator.save_state = save_state

    def _redirect_pickles(self) -> None:
        """`save_model_as = "ckpt"` and "pt" write LoRA files too."""
        import torch

        write_pickle = torch.save

        def save(value: Any, target: Any, *rest: Any, **more: Any) -> None:
            path = Path(os.path.abspath(target)) if isinstance(target, (str, os.PathLike)) else None  # noqa: PTH100
            if path is None or self._run.output not in path.parents:
                write_pickle(value, target, *rest, **more)
                return
            self._save_lora(path, lambda part: write_pickle(value, part, *rest, **more))

        torch.save = save

    def has_state_of(self, step: int) -> None:
        """The run goes on from a state of this step: it needs no second one."""
        self._saved_step = step

    @property
    def is_saved(self) -> bool:
        """Whether this step has its state."""
        # os.path: `Path.exists` raises where a drive is gone, and would end the training
        return self._saved_step == self.step or os.path.exists(self._target)  # noqa: PTH110

    @property
    def _target(self) -> Path:
        return self._run.states / state_name(self.step)

    def _save_lora(self, path: Path, write: Callable[[str], None]) -> None:
        """Write one LoRA file. A full disk costs a file in between, but the last one is what the training was for."""
        is_final = path.stem == self.output_name
        part = aside(path.parent, LORA)
        began = time.perf_counter()
        try:
            write(str(part))
            _make_durable(part, path)
        except Exception as error:
            discard(part)
            if is_final:
                raise
            self._warn(f"{path.name} could not be saved, training goes on: {error}")
        else:
            self.has_final = self.has_final or is_final
            size = path.stat().st_size
            name = self._reporter.relative(path)
            self._reporter.emit("save", step=self.step, path=name, bytes=size, final=is_final)
        self._pace.exclude(time.perf_counter() - began)
        if not is_final:
            self._on_lora_done()

    def save_state(self, write: Callable[[Path], Mapping[str, object] | None]) -> bool:
        """Save the state of this step unless it has one. False when it could not be written, and that was told.

        `write` fills the folder that it gets, and may return what the manifest shall say besides.
        """
        if self.is_saved:
            return True
        began = time.perf_counter()
        try:
            target, size = self._publish(write, may_make_room=True)
        except Exception as error:  # noqa: BLE001  (a full disk comes as OSError, RuntimeError or SafetensorError)
            self._pace.exclude(time.perf_counter() - began)
            self._warn(
                f"the state of step {self.step} could not be saved, training goes on with the older ones: {error}"
            )
            return False
        self._saved_step = self.step
        self.last_state_at = time.monotonic()
        seconds = round(time.perf_counter() - began, 3)
        self._reporter.attempt(self._tell_state, target, size, seconds)
        self._pace.exclude(time.perf_counter() - began)
        return True

    def _publish(
        self, write: Callable[[Path], Mapping[str, object] | None], *, may_make_room: bool
    ) -> tuple[Path, int]:
        part = aside(self._run.states, state_name(self.step))
        try:
            self._run.states.mkdir(exist_ok=True)  # no parents: a deleted run folder stays deleted
            extra = write(part) or {}
            return publish_state(part, self._run.states, extra=extra)
        except Exception:
            discard(part)
            if not may_make_room or not self._made_room():
                raise
        return self._publish(write, may_make_room=False)

    def _made_room(self) -> bool:
        """On a full disk the newest good state stays and the older ones make room: hours matter more than their number."""
        states = training_states(self._run)
        if len(states) < 2 or not self._pace.is_sound:
            return False
        if shutil.disk_usage(self._run.folder).free > size_of(states[0]):
            return False  # it was something else
        if retire_states(self._run, keep=1):
            return False
        self._warn("the disk is full: of the states only the newest was kept, to make room for the next")
        return True

    def _tell_state(self, target: Path, size: int, seconds: float) -> None:
        step, epoch = train_step(target)
        path = self._reporter.relative(target)
        self._reporter.emit("state", step=step, epoch=epoch, path=path, bytes=size, seconds=seconds)
        if (
            not self._pace.is_sound
        ):  # a resume will want the older ones: these hold weights that are no numbers
            return
        reason = retire_states(self._run, keep=self._keep, budget=self._budget)
        if reason:
            self._warn(f"older states are kept, because the newest cannot be read back: {reason}")

    def _warn(self, message: str) -> None:
        self._reporter.emit("warning", message=message, count=1)


def _as_it_is(_folder: Path, _accelerator: Any) -> Mapping[str, object]:
    return {}


def _make_durable(part: Path, path: Path) -> None:
    # safetensors 0.8 makes its files readable by their owner alone: a web UI under another account could not load it.
    mask = os.umask(0)
    os.umask(mask)
    part.chmod(0o666 & ~mask)
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    replace(part, path)
    sync_folder(path.parent)
