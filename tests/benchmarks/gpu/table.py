"""Results as markdown, for the README, the presets' headers and notes."""

import statistics

from gpu.results import TRAINING

HEAD = ("run", "way", "cap", "exit", "steps", "latents", "text", "training", "sampling", "card", "RAM", "in phase",
        "step ms", "min", "GPU ms", "launches", "retries", "s")  # fmt: skip


def table(results):
    """Memory in MiB: peaks reserved by torch in four phases, the card by the driver, anonymous RAM of the tree."""
    rows = [HEAD, tuple("---" for _ in HEAD), *(row(result) for result in results)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(result):
    steps = [seconds * 1000 for seconds in result.step_s]
    return (
        result.name, result.way, number(result.cap_mib), str(result.code), str(result.steps),
        number(result.peak("reserved", ("cache latents",))), number(result.peak("reserved", ("cache text", "prepare"))),
        number(result.peak("reserved", TRAINING)), number(result.peak("reserved", ("sample",))),
        number(result.peak("card")), number(result.peak("ram")), result.peak_phase("ram"),
        number(statistics.median(steps) if steps else None), number(min(steps, default=None)),
        number(result.kernels.get("ms"), 1), number(result.kernels.get("launches")),
        f"{result.retries}" + (f" ({result.ooms} OOM)" if result.ooms else ""), number(result.seconds),
    )  # fmt: skip


def number(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


def ratios(found):
    rows = [("run", "beside", "wall", "quartiles", "turns", "GPU kernels", "launches"), ("---",) * 7]
    rows += [
        (one.name, one.base, f"{one.wall:.4f}", f"{one.low:.4f} to {one.high:.4f}", str(one.turns),
         number(one.kernels, 4), number(one.launches, 4))
        for one in found
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def phases(result):
    """All phases of one run."""
    rows = [("phase", "s", "allocated", "reserved", "card", "RAM", "retries"), ("---",) * 7]
    rows += [
        (phase.name, number(phase.seconds, 1), number(phase.allocated), number(phase.reserved), number(phase.card),
         number(phase.ram), str(phase.retries))
        for phase in result.phases
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
