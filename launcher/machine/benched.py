"""What `bench` has measured on this computer: stock against boosted, kept for the forecast and for the plan's advice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.paths import Paths

VERSION = 1
MOST_KEPT = 100
LATEST = 253402128000.0  # seconds since the epoch: the calendar ends on 9999-12-31
MOST = 1e9  # seconds or MiB
SLOWER = 1.02  # times stock's seconds: less is noise of the clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Seconds of one step (median and quartiles over `steps` of `runs`), MiB that torch reserved, seconds to the first step."""

    median_s: float
    q1_s: float
    q3_s: float
    steps: int
    vram_mib: float | None = None
    first_s: float | None = None
    runs: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Stock against boosted, with one training's settings on one card.

    `settings` is what a step's length follows from (`launcher.plan.speed.settings_of`), `boosts` what was switched on
    (`boosts_of`), `used` and `refused` what became of each boost, `launcher` the version that measured.
    """

    card: str
    trainer: str
    settings: Mapping[str, str]
    boosts: str
    stock: Timing
    boosted: Timing
    taken: float  # seconds since the epoch
    launcher: str = ""
    used: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """A boosted step's seconds over a stock step's."""
        return self.boosted.median_s / self.stock.median_s

    @property
    def is_repeated(self) -> bool:
        """Whether both were run more than once: the steps of one run may all be slow for another reason."""
        return min(self.stock.runs, self.boosted.runs) > 1

    @property
    def is_slower(self) -> bool:
        """Whether boosts cost time here: beyond the noise, repeatedly, with quartiles that lie apart."""
        return self.is_repeated and self.ratio > SLOWER and self.boosted.q1_s > self.stock.q3_s

    @property
    def is_faster(self) -> bool:
        """Whether they save time here, as surely."""
        return self.is_repeated and self.ratio < 1 / SLOWER and self.boosted.q3_s < self.stock.q1_s

    def is_of(self, other: Comparison) -> bool:
        """Whether both measured the same."""
        return (self.card, self.trainer, dict(self.settings), self.boosts) == (
            other.card, other.trainer, dict(other.settings), other.boosts,
        )  # fmt: skip


def load_comparisons(paths: Paths) -> tuple[Comparison, ...]:
    """All that is kept, newest first. What is missing or damaged was not measured: nothing here is worth an error."""
    if not paths.bench_results.is_file():
        return ()
    try:
        value = read_json(paths.bench_results)
    except InputError:
        return ()
    if not isinstance(value, dict) or value.get("v") != VERSION or not isinstance(value.get("results"), list):
        return ()
    return tuple(sorted(_read_all(value["results"]), key=lambda one: -one.taken))


def _read_all(values: list[Any]) -> Iterator[Comparison]:
    for value in values:
        try:
            yield _read(value)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue


def _read(value: Any) -> Comparison:
    """Raises KeyError, TypeError, ValueError or OverflowError for anything that is not what `keep_comparison` wrote."""
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate could not be printed
    return Comparison(
        card=str(value["card"]), trainer=str(value["trainer"]), boosts=str(value["boosts"]),
        settings={str(key): str(item) for key, item in dict(value["settings"]).items()},
        stock=_timing(value["stock"]), boosted=_timing(value["boosted"]), taken=_number(value["taken"], LATEST),
        launcher=str(value.get("launcher", "")), used=tuple(map(str, value.get("used", ()))),
        refused={str(key): str(item) for key, item in dict(value.get("refused", {})).items()},
    )  # fmt: skip


def _timing(value: Any) -> Timing:
    median, first, third = (float(value[name]) for name in ("median_s", "q1_s", "q3_s"))
    if not 0 < first <= median <= third < 1e6:
        raise ValueError("no times of a step")
    return Timing(
        median_s=median, q1_s=first, q3_s=third, steps=int(value["steps"]), vram_mib=_or_none(value["vram_mib"]),
        first_s=_or_none(value["first_s"]), runs=int(value.get("runs", 1)),
    )  # fmt: skip


def _or_none(value: Any) -> float | None:
    return None if value is None else _number(value, MOST)


def _number(value: Any, most: float) -> float:
    found = float(value)
    if not 0 <= found <= most:  # nor no number
        raise ValueError("a number that nobody measured")
    return found


def keep_comparison(paths: Paths, fresh: Comparison) -> None:
    """Write it down in place of an older one of the same settings; the oldest of too many go.

    Raises:
        OSError: the disk does not take it.
    """
    others = [one for one in load_comparisons(paths) if not one.is_of(fresh)]
    kept = [asdict(one) for one in (fresh, *others)][:MOST_KEPT]
    paths.bench_results.parent.mkdir(parents=True, exist_ok=True)
    write_json(paths.bench_results, {"v": VERSION, "results": kept})
