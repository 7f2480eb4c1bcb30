"""How long a step and a run will take: from this computer's earlier runs and benches, else from what the card can do, as a guess."""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.events import parse_event
from launcher.files import read_json
from launcher.forecast.setup import setup_of
from launcher.machine.benched import load_comparisons
from launcher.monitor.values import number
from launcher.paths import RunPaths
from launcher.plan.speed import OFF, boosts_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.forecast.setup import Setup
    from launcher.paths import Paths

CARDS = Path(__file__).parent / "cards.toml"
# One step at 1024x1024, dim 32, batch 1, checkpointed: trace of a real run (facts/gpu.md, section 4).
TERA_FLOP, GIGABYTES, LAUNCHES = 22.2, 228.0, 34_236
RECOMPUTED = 1 / 3  # of the arithmetic is done a second time with checkpointing
REACHED = 0.8  # of what the data sheets promise; chosen so that it gives the trace's own estimate for an RTX 3060 Ti
LAUNCH_S = 20e-6  # the processor needs this for one kernel
START_S, IMAGE_S = (
    75.0,
    0.5,
)  # until the first step, and for each image that is encoded; seen 60 to 90 s and 0.3 to 0.6
SAME = 0.01  # of the work: no reason to speak of scaling
RUNS, FIRST_STEPS, LEAST_STEPS = 20, 5, 10
MOST_DIGITS = 18  # of a number in what a bench has written down
HEAD_BYTES, TAIL_BYTES = 64 << 10, 64 << 10
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds. `source` says where it comes from; `is_guess`: nobody has measured it on this card."""

    step_s: float
    start_s: float
    source: str
    is_guess: bool

    def total_s(self, steps: int) -> float:
        """The whole run."""
        return self.start_s + steps * self.step_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """What an earlier run on this computer took, or a bench: its start is told without the images' share.

    `step_s` is one batch, `boosts` what was switched on (`launcher.plan.speed.boosts_of`).
    """

    run: str
    card: str
    setup: Setup
    step_s: float
    start_s: float | None
    boosts: str = OFF
    is_bench: bool = False


def pace(
    setup: Setup, card: str, *, earlier: tuple[Earlier, ...], images: int, steps_gathered: int = 1, boosts: str = OFF
) -> Pace | None:  # fmt: skip
    """For one optimizer step; None: an unknown card on which nothing has run yet.

    Of what was measured on this card the first of those counts that come nearest: the same boosts, then the same work.
    """
    roof = seconds_of(setup, card)

    def ratio_to(one: Earlier) -> float:
        return (roof or work_of(setup)) / (seconds_of(one.setup, card) or work_of(one.setup))

    def distance(one: Earlier) -> tuple[bool, bool, bool]:
        is_other = (one.boosts == OFF) != (boosts == OFF)
        return is_other, abs(ratio_to(one) - 1) >= SAME, one.boosts != boosts

    one = min((one for one in earlier if one.card == card), key=distance, default=None)
    if one is not None:
        is_scaled = distance(one)[1]
        shared = IMAGE_S * images
        start = START_S + shared if one.start_s is None else one.start_s + (shared if one.is_bench else 0.0)
        return Pace(
            step_s=one.step_s * ratio_to(one) * steps_gathered, start_s=start, is_guess=False,
            source=f"from {one.run} on this card" + (", scaled" if is_scaled else ""),
        )  # fmt: skip
    if roof is None:
        return None
    return Pace(
        step_s=roof * steps_gathered, start_s=START_S + IMAGE_S * images, is_guess=True,
        source="a guess from the data sheet",
    )  # fmt: skip


def work_of(setup: Setup) -> float:
    """Arithmetic of a step in TFLOP."""
    share = 1.0 if setup.is_checkpointed else 1 - RECOMPUTED
    return TERA_FLOP * share * setup.batch * setup.image_pixels / MIB


def seconds_of(setup: Setup, card: str) -> float | None:
    """A roofline: arithmetic and traffic one after the other, and never faster than kernels can be launched."""
    found = find_card(card)
    if found is None:
        return None
    traffic = GIGABYTES * work_of(setup) / TERA_FLOP
    busy = (work_of(setup) / found["tflops"] + traffic / found["gbs"]) / REACHED
    launches = LAUNCHES * (1 if setup.is_checkpointed else 1 - RECOMPUTED)
    return float(max(busy, launches * LAUNCH_S))


def find_card(name: str) -> dict[str, float] | None:
    """The row of the longest title that the driver's name contains; laptops' cards are slower by their own row's share."""
    table: dict[str, Any] = _cards()
    titles = [title for title in table["cards"] if f" {title.lower()} " in f" {name.lower()} "]
    if not titles:
        return None
    tflops, gbs = table["cards"][max(titles, key=len)]
    share = table["laptop"] if "laptop" in name.lower() or "max-q" in name.lower() else 1.0
    return {"tflops": tflops * share, "gbs": gbs * share}


@cache
def _cards() -> dict[str, Any]:
    return dict(tomllib.loads(CARDS.read_text(encoding="utf-8")))


def earlier_runs(runs: Path, trainer: str) -> tuple[Earlier, ...]:
    """The newest runs of a trainer on a card that got beyond their first steps; reads the ends of some files."""
    try:
        names = sorted((name for name in os.listdir(runs) if not name.startswith(".")), reverse=True)  # noqa: PTH208  (thousands of runs: names will do)
    except OSError:
        return ()
    return tuple(one for name in names[:RUNS] for one in _earlier(RunPaths(folder=runs / name), trainer))


def _earlier(run: RunPaths, trainer: str) -> Iterator[Earlier]:
    try:
        plan = read_json(run.plan)
        values = {str(name): item["value"] for name, item in plan["options"].items()}
        is_card = plan["machine"]["device"]["value"] == "cuda" and plan["trainer"] == trainer
        card = str(plan["machine"]["device"]["reason"]).partition(", driver")[0]
    except (InputError, KeyError, TypeError, AttributeError):
        return
    steps = _step_seconds(run) if is_card else []
    if len(steps) < LEAST_STEPS:
        return
    yield Earlier(
        run=run.folder.name, card=card, setup=setup_of(values), step_s=statistics.median(steps) / _gathered(values),
        start_s=_start(run), boosts=boosts_of(values),
    )  # fmt: skip


def _gathered(values: Mapping[str, object]) -> int:
    """Batches of one optimizer step."""
    count = values.get("gradient_accumulation_steps")
    return count if isinstance(count, int) and count > 0 else 1


def earlier_benches(paths: Paths, trainer: str) -> tuple[Earlier, ...]:
    """What `bench` has measured with a trainer, newest first: stock and boosted each."""
    return tuple(
        Earlier(
            run=f"the bench of {time.strftime('%Y-%m-%d', time.localtime(found.taken))}", card=found.card, setup=setup_of(values),
            step_s=timing.median_s / _gathered(values), start_s=timing.first_s, boosts=boosts, is_bench=True,
        )
        for found in load_comparisons(paths) if found.trainer == trainer
        for values in ({name: _typed(text) for name, text in found.settings.items()},)
        for timing, boosts in ((found.boosted, found.boosts), (found.stock, OFF))
    )  # fmt: skip


def _typed(text: str) -> object:
    """A value as it was before `settings_of` wrote it down as text."""
    is_number = text.isdecimal() and len(text) <= MOST_DIGITS
    return {"True": True, "False": False}.get(text, int(text) if is_number else text)


def _step_seconds(run: RunPaths) -> list[float]:
    """Between the times of the last steps; pauses and saves do not move a median."""
    events = [event for event in _events(run, from_end=True) if event["type"] == "step"]
    times = [(number(event.get("step")), number(event.get("t"))) for event in events]
    known = [(step, t) for step, t in times if step is not None and t is not None and step > FIRST_STEPS]
    return [
        (t - before) / (step - last) for (last, before), (step, t) in itertools.pairwise(known) if step > last
    ]


def _start(run: RunPaths) -> float | None:
    """From the start of the process to the first step."""
    events = list(_events(run, from_end=False))
    began = next((number(event.get("t")) for event in events if event["type"] == "start"), None)
    first = next((number(event.get("t")) for event in events if event["type"] == "step"), None)
    return first - began if began is not None and first is not None and first > began else None


def _events(run: RunPaths, *, from_end: bool) -> Iterator[dict[str, Any]]:
    try:
        with run.events.open("rb") as stream:
            if from_end:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = stream.read(TAIL_BYTES if from_end else HEAD_BYTES).splitlines()
    except OSError:
        return
    yield from (event for line in lines if (event := parse_event(line)))
