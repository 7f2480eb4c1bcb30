"""Trouble inside a training: a loss that is no number any more ends it, and an error is described with what it needs.

Training on after NaN is lost time: with bf16 the weights are NaN, too, and every later save is. fp16's scaler skips a bad
step by itself, so only a row of them counts. Shown on the CPU in tests/test_failures.py; nothing here touches numbers.
"""

from __future__ import annotations

import functools
import math
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import TrainingError
from launcher.shim.notices import english
from launcher.states import train_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.context import Context

NAN_STEPS = 10  # in a row; `--switch stop_on_nan=0` trains on
MAX_TRACEBACK = 8000  # characters; the end of a traceback is the part that matters
MAX_MESSAGE = 2000  # "Missing key(s) in state_dict" lists two thousand names
MAX_LINE = 1000
MIB = 1 << 20
DEEPEST = 8


class LossIsNaN(TrainingError):  # noqa: N818  (its name stands in events and is looked up in the registry of failures)
    """The loss has not been a number for many steps."""

    def __init__(self, first_bad: int | None, count: int) -> None:
        where = "" if first_bad is None else f" since step {first_bad}"
        super().__init__(f"the loss is not a number{where} ({count} times in a row)")
        self.first_bad = first_bad


class LossWatch:
    """Counts losses in a row that are no numbers; `limit` of them raise. 0: never."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._first_bad: int | None = None
        self.step: int | None = None  # the absolute step, as somebody tells it

    def take(self, loss: float) -> None:
        """One loss, as the trainer recorded it.

        Raises:
            LossIsNaN: it is the last straw.
        """
        if math.isfinite(loss):
            self._count, self._first_bad = 0, None
            return
        if self._count == 0:
            self._first_bad = self.step
        self._count += 1
        if self._limit and self._count >= self._limit:
            raise LossIsNaN(self._first_bad, self._count)


def install(context: Context) -> None:
    """Watch the losses of a recognised trainer."""
    limit = context.switches.get("stop_on_nan", NAN_STEPS)
    watch = LossWatch(limit if isinstance(limit, int) else NAN_STEPS)
    if getattr(context.args, "resume", None):  # else the very first loss after a resume would blame no state
        watch.step = train_step(Path(context.args.resume))[0]
    recorder = getattr(context.modules["library.train_util"], "LossRecorder", None)
    if recorder is None:
        return
    _before(recorder, "add", lambda *_, **named: watch.take(float(named.get("loss", 0.0))))
    _before(context.trainer_class, "sample_images", functools.partial(_note_step, watch))


def _note_step(watch: LossWatch, *words: Any, **_named: Any) -> None:
    """Called after every optimizer step as `(trainer, accelerator, args, epoch, global_step, ...)`, epoch None."""
    if len(words) > 4 and words[3] is None and isinstance(words[4], int):
        watch.step = words[4]


def _before(owner: type, name: str, look: Callable[..., None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def method(*args: Any, **more: Any) -> Any:
        look(*args, **more)
        return original(*args, **more)

    setattr(owner, name, method)


def describe(error: BaseException) -> dict[str, Any]:
    """The fields of an `error` event: what it is called, its message, its traceback, and what else is known.

    Never raises, never takes long: a message of megabytes is cut, and the card is asked only what it answers at once.
    """
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    facts: dict[str, Any] = {}
    if isinstance(error, LossIsNaN) and error.first_bad is not None:
        facts["unsound_from"] = max(error.first_bad - 1, 0)  # that step's update may be what broke it
    if "OutOfMemory" in type(error).__name__:
        facts["memory"] = card_memory()
    found = {
        "error": type(error).__name__,
        "message": in_words(error),
        "traceback": _cut_lines(text)[-MAX_TRACEBACK:],
        "causes": [type(cause).__name__ for cause in causes(error)],
        **facts,
    }
    return {name: value for name, value in found.items() if value not in ([], {})}


def in_words(error: BaseException) -> str:
    """The first lines of an error's own message, as the registry of failures wants them: whole, but not endless."""
    text = english(str(error)).strip() or type(error).__name__
    return _cut_lines("\n".join(text.splitlines()[:5]))[:MAX_MESSAGE]


def causes(error: BaseException) -> list[BaseException]:
    """What an error came from, nearest first."""
    found: list[BaseException] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and cause not in found and len(found) < DEEPEST:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def card_memory() -> dict[str, float]:
    """What torch and the driver say of the card now, in MiB; empty without one."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info()
        numbers = {
            "free_mib": free, "total_mib": total, "allocated_mib": torch.cuda.memory_allocated(),
            "reserved_mib": torch.cuda.memory_reserved(), "peak_mib": torch.cuda.max_memory_reserved(),
        }  # fmt: skip
    except (RuntimeError, AssertionError):
        return {}  # no card, or one that no longer answers
    return {name: round(value / MIB, 1) for name, value in numbers.items()}


def _cut_lines(text: str) -> str:
    return "\n".join(line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in text.split("\n"))
