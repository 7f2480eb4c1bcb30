"""The rows of the table, what is kept of them, and what to say."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.bench.variants import BOOSTED, STOCK
from launcher.machine.benched import Comparison, Timing
from launcher.plan.speed import boosts_of, card_of, settings_of
from launcher.trainers.switches import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.bench.measuring import Measured
    from launcher.bench.variants import Variant
    from launcher.errors import TrainingError
    from launcher.monitor import Boost
    from launcher.plan import Plan

LEAST = 4  # steps, without which quartiles tell nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One way to train. `ratio`: its step's seconds over stock's; `error`: why there are no numbers, or fewer."""

    name: str
    timing: Timing | None
    ratio: float | None = None
    boosts: tuple[Boost, ...] = ()
    ops: str = ""
    error: str = ""

    @property
    def is_slower(self) -> bool:
        return self.ratio is not None and self.ratio > 1

    def to_json(self) -> dict[str, Any]:
        """For `--json`; seconds and MiB."""
        timing = self.timing
        return {
            "name": self.name,
            **{
                name: None if timing is None else getattr(timing, name)
                for name in ("median_s", "q1_s", "q3_s", "steps", "runs", "vram_mib", "first_s")
            },
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "ops": self.ops,
            "boosts": [boost.to_json() for boost in self.boosts],
            "error": self.error or None,
        }


def rows_of(
    variants: Sequence[Variant], measured: Iterable[Measured], failed: Mapping[str, TrainingError]
) -> list[Row]:
    """A row for each variant that was tried, in their order."""
    runs: dict[str, list[Measured]] = {}
    for one in measured:
        runs.setdefault(one.variant, []).append(one)
    base = timing_of(runs.get(STOCK, ()))
    rows = []
    for variant in variants:
        name, own = variant.name, runs.get(variant.name, [])
        if not own and name not in failed:
            continue
        timing = timing_of(own)
        rows.append(
            Row(
                name=name, timing=timing, boosts=own[-1].boosts if own else (), ops=own[-1].ops if own else "",
                ratio=timing.median_s / base.median_s if timing and base else None,
                error=failed[name].what if name in failed else "",
            )
        )  # fmt: skip
    return rows


def timing_of(runs: Sequence[Measured]) -> Timing | None:
    """All counted steps of a variant together; None: too few. The quickest start counts: only there was all in the system's cache."""
    seconds = [second for run in runs for second in run.seconds]
    if len(seconds) < LEAST:
        return None
    first, median, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(
        median_s=round(median, 5), q1_s=round(first, 5), q3_s=round(third, 5), steps=len(seconds), runs=len(runs),
        vram_mib=max((run.vram_mib for run in runs if run.vram_mib is not None), default=None),
        first_s=min((round(run.first_s, 2) for run in runs if run.first_s is not None), default=None),
    )  # fmt: skip


def comparison_of(plan: Plan, boosted: Variant, rows: Sequence[Row]) -> Comparison | None:
    """What is worth keeping: None unless both ways were measured."""
    by_name = {row.name: row for row in rows}
    stock, fast = by_name.get(STOCK), by_name.get(BOOSTED)
    if stock is None or fast is None or stock.timing is None or fast.timing is None:
        return None
    values = {name: setting.value for name, setting in plan.options.items()}
    values |= {f"{PREFIX}{name}": value for name, value in boosted.switches.items()}
    return Comparison(
        card=card_of(plan.machine.get("device")), trainer=plan.trainer, settings=settings_of(values), boosts=boosts_of(values),
        stock=stock.timing, boosted=fast.timing, taken=round(time.time(), 1), launcher=__version__,
        used=tuple(boost.name for boost in fast.boosts if boost.is_used),
        refused={boost.name: boost.reason for boost in fast.boosts if not boost.is_used},
    )  # fmt: skip


def advice(found: Comparison | None, rows: Sequence[Row]) -> list[str]:
    """What follows from the numbers, a sentence each."""
    if found is None:
        return ["There is no comparison: stock and boosted were not both measured."]
    alone = [row.name for row in rows if row.name not in {STOCK, BOOSTED} and _is_slower(row, found.stock)]
    words = [_verdict(found)]
    words += [f"Alone slower than stock: {', '.join(alone)}. Each has a switch: --set {PREFIX}boost_{alone[0]}=off"] if alone else []  # fmt: skip
    if not found.used:
        words.append("No boost was used: the reasons are named above.")
    return words


def _is_slower(row: Row, stock: Timing) -> bool:
    timing = row.timing
    return (
        timing is not None
        and min(timing.runs, stock.runs) > 1
        and (row.ratio or 0) > 1
        and timing.q1_s > stock.q3_s
    )


def _verdict(found: Comparison) -> str:
    if not found.is_repeated:
        return f"A boosted step took {found.ratio:.2f} of stock's time. One round may be an accident: --rounds 2 tells more."
    if found.is_slower:
        return f"Here the boosts cost time: a step takes {found.ratio:.2f} times stock's. Better without them: --set {PREFIX}boosts=off"
    if found.is_faster:
        return f"A boosted step takes {found.ratio:.2f} of stock's time, {1 / found.ratio:.2f} times as fast."
    return (
        f"No difference that can be told from noise: a boosted step takes {found.ratio:.2f} of stock's time."
    )
