"""One run after the other, in turn: whatever slows the computer down meanwhile slows all of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.bench.measuring import Measured, measure
from launcher.bench.scratch import end_run
from launcher.bench.variants import plan_of
from launcher.errors import TrainingError
from launcher.events import Status
from launcher.failures import UNKNOWN, explain_run
from launcher.history import is_run_alive, load_run
from launcher.monitor import RunMonitor
from launcher.process import wait_until
from launcher.run import create_run, start_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launcher.bench.variants import Variant
    from launcher.history import RunRecord
    from launcher.monitor import RunView
    from launcher.paths import Paths, RunPaths
    from launcher.plan import Plan

POLL_S = 0.3
SETTLE_S = 20.0  # the training's last word comes before its supervisor's


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One run that is due: `number` of `total`, in `round` of `rounds`."""

    variant: Variant
    number: int
    total: int
    round: int
    rounds: int


def turns_of(variants: Sequence[Variant], rounds: int) -> Iterator[Turn]:
    """All variants, as often as there are rounds."""
    total = len(variants) * rounds
    for number in range(total):
        round_, place = divmod(number, len(variants))
        yield Turn(variant=variants[place], number=number + 1, total=total, round=round_ + 1, rounds=rounds)


def bench(
    paths: Paths, place: Paths, plan: Plan, turns: Sequence[Turn], *, steps: int,
    tell: Callable[[Turn, RunView | Measured], None],
) -> tuple[list[Measured], dict[str, TrainingError]]:  # fmt: skip
    """Carry out all turns. Returns what was measured, and for each variant that failed the error.

    A variant that failed is not tried again; when it is the first one, stock itself, the rest tells nothing.

    Args:
        paths: of this installation.
        place: the same with the runs folder of `scratch`.
        plan: the training, as somebody would train it.
        turns: the runs, in order.
        steps: counted ones of each run.
        tell: is called with the run's picture while it lasts, and with the numbers behind it.

    Raises:
        RunError: a run cannot be made or started.
    """
    found: list[Measured] = []
    failed: dict[str, TrainingError] = {}
    first = turns[0].variant.name
    for turn in turns:
        name = turn.variant.name
        if first in failed or name in failed:
            continue
        run = create_run(place, plan_of(paths, plan, turn.variant, steps=steps))
        start_run(paths, run)
        _follow(run, lambda view, turn=turn: tell(turn, view))  # type: ignore[misc]
        record = load_run(run.folder)
        measured = measure(run, name)
        if record.status is not Status.SUCCEEDED:
            failed[name] = trouble_of(run, record, name, keep_log(paths, run, name))
        else:
            found.append(measured)
        tell(turn, measured)
        end_run(run)
    return found, failed


def _follow(run: RunPaths, tell: Callable[[RunView], None]) -> None:
    """Until the run has ended and its supervisor has said how."""
    monitor = RunMonitor(run, lambda: is_run_alive(run))
    while True:
        view = monitor.poll()
        tell(view)
        if not view.status.is_live or view.gone:
            break
        time.sleep(POLL_S)
    wait_until(lambda: not load_run(run.folder).status.is_live, timeout_s=SETTLE_S)


def keep_log(paths: Paths, run: RunPaths, variant: str) -> str:
    """What a run printed that failed, beside the other logs: its folder goes. Empty: the disk did not take it."""
    kept = paths.logs / f"bench-{time.strftime('%Y%m%d-%H%M%S')}-{variant}.log"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(run.log.read_bytes())
    except OSError:
        return ""
    return str(kept)


def trouble_of(run: RunPaths, record: RunRecord, variant: str, log: str) -> TrainingError:
    """The end of a run that has not succeeded, in the words in which `train` would tell it."""
    found = explain_run(run, record.error)
    reason = record.reason
    what = found.what if found else reason.message if reason else "The process is gone."
    why = found.why if found else ""
    said = f"It said: {found.said}" if found and found.said and found.said not in why else ""
    fix = found.fix if found else reason.fix if reason else ""
    if found is not None and found.kind == UNKNOWN:  # its words speak of the run's folder, which goes
        fix = "The whole story is at the end of the log that is named here."
    return TrainingError(
        f"The {variant} training ended at step {record.step or 0} without its result. {what}",
        why="\n".join(filter(None, (why, said))), fix=fix, where=log,
    )  # fmt: skip
