"""What every install is made of: named steps that check first, do what is missing, and check again.

A step that finds nothing to do costs its check only, so the same list installs, completes, repairs and resumes.
The journal tells afterwards what happened; it is never needed to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from launcher.errors import InstallError, LauncherError
from launcher.events import EventWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class StepState(str, Enum):
    """How far a step is."""

    SKIPPED = "skipped"  # its check found nothing to do
    BEGIN = "begin"
    PROGRESS = "progress"
    NOTE = "note"  # within a step, but worth keeping on the screen: how much will be downloaded
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEvent:
    """One sign of life of an install, for a progress display."""

    step: str  # short name, for the journal
    title: str  # in words
    state: StepState
    detail: str = ""  # BEGIN: why it is needed; PROGRESS, NOTE: what is being done; FAILED: what happened
    number: int = 0  # 1 for the first step
    total: int = 0
    done_bytes: int | None = None  # PROGRESS of a download: how far it is, and how far it will go
    total_bytes: int | None = None


class Tell(Protocol):
    """How a step tells its progress in words; `keep` marks what the user should still see afterwards.

    `done` and `total` are bytes of a download: the display makes a bar, a speed and a remaining time of them.
    """

    def __call__(
        self, words: str, /, *, keep: bool = False, done: int | None = None, total: int | None = None
    ) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One part of an install.

    `check` returns why work is needed, or None; `do` does it and tells its progress in words.
    """

    name: str
    title: str
    check: Callable[[], str | None]
    do: Callable[[Tell], None]


def run_steps(steps: Sequence[Step], *, journal: Path, report: Callable[[StepEvent], None]) -> None:
    """Carry out what is missing, in order.

    Raises:
        InstallError: a step failed, or its check still finds work after it.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    writer = EventWriter(journal)
    try:
        for number, step in enumerate(steps, start=1):
            _run_step(step, number, len(steps), writer, report)
    finally:
        writer.close()


def _run_step(
    step: Step, number: int, total: int, writer: EventWriter, report: Callable[[StepEvent], None]
) -> None:
    def tell(state: StepState, detail: str = "", done: int | None = None, whole: int | None = None) -> None:
        if state is not StepState.PROGRESS:
            writer.write("install", step=step.name, state=state.value, detail=detail)
        report(
            StepEvent(
                step=step.name, title=step.title, state=state, detail=detail, number=number, total=total,
                done_bytes=done, total_bytes=whole,
            )
        )  # fmt: skip

    def advance(
        words: str, /, *, keep: bool = False, done: int | None = None, total: int | None = None
    ) -> None:
        tell(StepState.NOTE if keep else StepState.PROGRESS, words, done, total)

    try:
        reason = step.check()
        if reason is None:
            tell(StepState.SKIPPED)
            return
        tell(StepState.BEGIN, reason)
        step.do(advance)
        left = step.check()
        if left is not None:
            raise InstallError(f"{step.title}: done, and yet {left}")
    except LauncherError as error:
        tell(StepState.FAILED, error.what)
        raise
    tell(StepState.DONE)
