"""The numbers of a step: loss, its moving average, seconds; and what the machine's memory peaked at."""

from __future__ import annotations

import math
import sys
import time
from collections import deque

WINDOW_STEPS = 100  # until an epoch's length is known
MIN_WINDOW_STEPS = 20
MAX_WINDOW_STEPS = 1000
MIB = 1 << 20


class Pace:
    """Folds micro-batches into steps."""

    def __init__(self) -> None:
        self._micro: list[float] = []
        self._recent: deque[float] = deque(maxlen=WINDOW_STEPS)
        self._began = time.perf_counter()

    def set_window(self, steps_per_epoch: int) -> None:
        """Average over one epoch, as sd-scripts' `avr_loss` does; over several where an epoch is short.

        Whole epochs, so that each image counts equally often; a handful of steps alone would only show their noise.
        """
        epoch = max(steps_per_epoch, 1)
        epochs = -(-MIN_WINDOW_STEPS // epoch)
        self._recent = deque(self._recent, maxlen=min(epochs * epoch, MAX_WINDOW_STEPS))

    def add_loss(self, loss: float) -> None:
        """The loss of one micro-batch."""
        self._micro.append(float(loss))

    def end_step(self) -> tuple[float | None, float | None, float]:
        """Loss (mean of the micro-batches since the last step), moving average, seconds since `begin_step`."""
        seconds = time.perf_counter() - self._began
        loss = sum(self._micro) / len(self._micro) if self._micro else None
        self._micro.clear()
        if loss is not None:
            self._recent.append(loss)
        average = sum(self._recent) / len(self._recent) if self._recent else None
        return loss, average, seconds

    @property
    def recent(self) -> list[float]:
        """The losses of the steps that the average is over, oldest first."""
        return list(self._recent)

    @property
    def is_sound(self) -> bool:
        """Whether the last step's loss was a number; so a state of now is worth more than an older one."""
        return not self._recent or math.isfinite(self._recent[-1])

    def restore(self, losses: list[float]) -> None:
        """Go on with the average of the training that is continued."""
        self._recent.extend(losses)

    def begin_step(self) -> None:
        """The clock of the next step starts now."""
        self._began = time.perf_counter()

    def exclude(self, seconds: float) -> None:
        """Time inside a step that was spent on saving or waiting: not part of its seconds."""
        self._began += seconds


def vram_mib() -> float | None:
    """GPU memory that this process holds now; None without CUDA. Never imports torch by itself."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return float(torch.cuda.memory_reserved() / MIB)


def take_vram_peak_mib() -> float | None:
    """GPU memory peak since the last call (the allocator's reserved memory: what the card really lacks)."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    peak = float(torch.cuda.max_memory_reserved() / MIB)
    torch.cuda.reset_peak_memory_stats()
    return peak


def ram_peak_mib() -> float | None:
    """The most RAM that this process has held so far; None where the system does not say."""
    if sys.platform == "win32":  # not run here: no Windows machine yet
        import psutil

        return float(psutil.Process().memory_info().peak_wset / MIB)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024  # bytes there, KiB on Linux (getrusage(2))
