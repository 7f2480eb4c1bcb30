"""Rules about the training itself: its loss, its pace, its silence."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from launcher.guard import limits as at
from launcher.guard.look import Concern
from launcher.guard.words import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.guard.look import Look, Progress

HEAT = frozenset({"slowed", "too-hot", "cannot-cool"})


def loss_not_a_number(look: Look) -> Iterator[Concern]:
    """A loss that is no number; a row of them ends the training (`stop_on_nan`), one or two may pass."""
    losses = look.progress.losses
    recent = losses[-at.BAD_LOSSES :] if "loss-nan" in look.standing else losses[-1:]
    if any(not math.isfinite(loss) for loss in recent):
        yield Concern(
            kind="loss-nan",
            message=f"The loss is not a number (step {look.progress.step}). After ten such steps the training stops by itself.",
            fix="Nothing to do now: if it stops, a lower learning rate or bf16 helps, and the offer at its end says so.",
        )


def loss_stuck(look: Look) -> Iterator[Concern]:
    """The same loss at every step, to the last bit: nothing is being learned."""
    losses = look.progress.losses[-at.STUCK_STEPS :]
    if len(losses) < at.STUCK_STEPS or len(set(losses)) > 1 or not math.isfinite(losses[0]):
        return
    yield Concern(
        kind="loss-stuck",
        message=f"The loss has been exactly {losses[0]:g} for {at.STUCK_STEPS} steps: nothing is being learned.",
        fix="Stop it. A learning rate of zero, empty captions with caption dropout of 1, or black pictures do that: look at the dataset check and the plan.",
    )


def slow_steps(look: Look) -> Iterator[Concern]:
    """Steps take much longer than this run's first ones, saves, samples and waits aside."""
    early, recent = look.progress.early_s, look.progress.recent_s
    if len(early) < at.LEAST_EARLY_STEPS or len(recent) < at.RECENT_STEPS or "spill" in look.standing:
        return
    usual, now = statistics.median(early), statistics.median(recent)
    if usual <= 0 or now < usual * (at.SLOWER_OFF if "slow-steps" in look.standing else at.SLOWER):
        return
    is_hot = bool(HEAT & look.standing)
    yield Concern(
        kind="slow-steps", message=f"A step takes {now:.2g} s; at the beginning it took {usual:.2g} s.",
        fix="The card is slowing itself down, see there." if is_hot
        else "Look for other programs on the card or the processor, a power saving mode, or a full card.",
    )  # fmt: skip


def silent(look: Look) -> Iterator[Concern]:
    """Nothing has been heard for much longer than usual: a hang."""
    progress = look.progress
    if progress.held_s is not None or _is_over(progress):
        return
    limit = _patience_s(progress)
    if progress.quiet_s < limit:
        return
    takes = f"; a step takes {statistics.median(progress.recent_s):.2g} s" if progress.recent_s else ""
    yield Concern(
        kind="silent",
        message=f"No news from the training for {span(progress.quiet_s)}{takes}. It may hang.",
        fix="Look at the log and at the card's load. If nothing moves: stop, then resume from the last state.",
    )


def _is_over(progress: Progress) -> bool:
    return bool(progress.total_steps) and progress.step >= (progress.total_steps or 0)


def _patience_s(progress: Progress) -> float:
    """How long silence is nothing special in this phase."""
    if progress.phase in {"train_loop", ""} and progress.recent_s:
        return max(at.QUIET_S, at.QUIET_STEPS * statistics.median(progress.recent_s))
    if progress.phase in {"train_loop", ""} or progress.usual_s is None:
        return at.QUIET_FIRST_S
    return max(at.QUIET_S, at.QUIET_TIMES * progress.usual_s)
