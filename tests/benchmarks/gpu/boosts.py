"""Rows of the boosts' table: which boosts each has, who takes a turn when, and what the turns say."""

import statistics
import sys
from pathlib import Path

from gpu.table import number
from launcher.trainers.switches import BOOSTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STOCK, DEFAULT = "stock", "default"
PREDICTIONS = Path(__file__).with_name("predictions.toml")
BETWEEN = 5  # rows between two turns of the stock operations
OFF = {"boosts": "off"}
WHOLE = (
    {"name": STOCK, "switches": OFF},
    {"name": DEFAULT, "switches": {"boosts": "rounding"}},
    {"name": "approximate", "switches": {"boosts": "approximate"}},
    {"name": "exact", "switches": {"boosts": "exact"}},
    {"name": "default without Triton", "switches": {"boosts": "rounding"}, "triton": False},
)
SAME_BITS = (
    "gradients",
    "cast",
    "keep",
    "reduce",
    "optimizer",
    "attention",
    "clip",
)  # gradients like stock's alone
ATTENTION = ("flash", "efficient", "math", "cudnn")


def rows_of(names=None, *, is_small=False):
    """Each alone, and all but each, beside whole sets. On a processor only what is switched on by name is used."""
    chosen = list(BOOSTS if names is None else names)
    by_name = {"name": "all by name", "switches": {**OFF, **{f"boost_{name}": "on" for name in BOOSTS}}}
    return [
        *WHOLE,
        *([by_name] if is_small else []),
        *({"name": f"only {name}", "switches": {**OFF, f"boost_{name}": "on"}} for name in chosen),
        *(
            {"name": f"without {name}", "switches": {"boosts": "rounding", f"boost_{name}": "off"}}
            for name in chosen
        ),
    ]


def gradient_rows(rows):
    """The stock operations again (what chance in kernels makes of them), with each attention, and every set but `without` and what has stock's bits."""
    stock = [{"name": STOCK, "switches": OFF}, {"name": "stock again", "switches": OFF, "again": True}]
    stock += [{"name": f"stock, {kind}", "switches": OFF, "attention": kind} for kind in ATTENTION]
    left = (STOCK, *(f"only {name}" for name in SAME_BITS))
    return stock + [row for row in rows if row["name"] not in left and not row["name"].startswith("without ")]


def turns_of(rows, rounds):
    """[row, is_profiled] in order: stock (the first row) before every few others and at each end; kernels in the first round."""
    turns = []
    for number_ in range(rounds):
        for place in range(1, len(rows)):
            if (place - 1) % BETWEEN == 0:
                turns.append([0, number_ == 0])
            turns.append([place, number_ == 0])
    return [*turns, [0, False]]


def steps_of(orders):
    """How long a training must be for all turns."""
    each, more = orders["warmup"] + orders["steps"], orders["profiled"]
    return 3 + sum(each + (more if is_profiled else 0) for _, is_profiled in orders["turns"])


def predictions(path=PREDICTIONS):
    return tomllib.loads(path.read_text(encoding="utf-8")).get("rows", {})


def summed(turns):
    """One record for each row, from the turns of a run in their order (marks of hook/bench_turns)."""
    found = {}
    bases = [(place, statistics.median(turn["seconds"])) for place, turn in enumerate(turns)
             if turn["row"] == 0 and turn.get("seconds")]  # fmt: skip
    for place, turn in enumerate(turns):
        row = found.setdefault(turn["name"], {"name": turn["name"], "seconds": [], "ratios": [], "turns": 0})
        row.update(
            {key: turn[key] for key in ("used", "left", "ops", "error", "same") if turn.get(key) is not None}
        )
        row["failed"] = sorted({*row.get("failed", []), *turn.get("failed", [])})
        row["kernels"] = turn.get("kernels") or row.get("kernels", {})
        for key in ("allocated", "reserved", "setup_s", "retries"):
            if turn.get(key) is not None:
                row[key] = max(turn[key], row.get(key, 0))
        if turn.get("seconds"):
            row["turns"] += 1
            row["seconds"] += turn["seconds"]
            row["loss"] = turn.get("loss")
            base = base_at(bases, place)
            row["ratios"] += [statistics.median(turn["seconds"]) / base] if base else []
    return list(found.values())


def base_at(bases, place):
    """Seconds of a stock step at that moment: between the nearest turns of stock before and behind."""
    before = [seconds for at, seconds in bases if at <= place][-1:]
    behind = [seconds for at, seconds in bases if at >= place][:1]
    near = before + behind
    return statistics.fmean(near) if near else None


HEAD = ("row", "boosts", "GPU ms", "predicted", "ratio", "wall ms", "quartiles", "ratio", "launches", "predicted",
        "allocated", "reserved", "set up s", "remarks")  # fmt: skip


def table(rows, expected):
    base = next((row["kernels"].get("ms") for row in rows if row["name"] == STOCK), None)
    lines = [
        HEAD,
        tuple("---" for _ in HEAD),
        *(line(row, expected.get(row["name"], {}), base) for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def line(row, expected, base):
    kernels, milliseconds = row["kernels"], [1000 * seconds for seconds in row["seconds"]]
    low, middle, high = quartiles(milliseconds)
    ms = kernels.get("ms")
    return (
        row["name"], str(len(row.get("used", []))), number(ms, 1), number(expected.get("gpu_ms"), 1),
        number(ms / base if ms and base else None, 3), number(middle), f"{number(low)} to {number(high)}" if milliseconds else "",
        number(statistics.median(row["ratios"]) if row["ratios"] else None, 3), number(kernels.get("launches")),
        number(expected.get("launches")), number(row.get("allocated")), number(row.get("reserved")),
        number(row.get("setup_s"), 1), remarks(row),
    )  # fmt: skip


def quartiles(values):
    if len(values) < 2:
        return (values * 3) if values else (None, None, None)
    return statistics.quantiles(values, n=4)


def remarks(row):
    """What went otherwise than asked."""
    words = [f"error: {row['error']}"] if row.get("error") else []
    words += [f"as {row['same']}"] if row.get("same") else []
    words += [f"{name} failed" for name in row["failed"]]
    words += [f"{row['retries']} retries"] if row.get("retries") else []
    return "; ".join(words)


def told(applied):
    """One line about the boosts of a run; empty for one without."""
    used = [name for name, reason in applied.items() if reason == "used"]
    left = [f"{name} ({reason})" for name, reason in applied.items() if reason != "used"]
    return f"boosts: {', '.join(used) or 'none'}; not: {', '.join(left) or 'none'}" if applied else ""


def reasons(rows):
    """Why boosts were not in place where they were wanted, each once."""
    unwanted = ("switched off", "all boosts are switched off", "approximate: only", "rounding: only")
    found = {}
    for row in rows:
        for name, reason in row.get("left", {}).items():
            if not reason.startswith(unwanted):
                found.setdefault((name, reason), row["name"])
    return [f"- {name}: {reason} (first in row {row})" for (name, reason), row in found.items()]


GRADIENT_HEAD = (
    "state",
    "row",
    "boosts",
    "loss",
    "whole",
    "/ stock",
    "median",
    "/ stock",
    "worst",
    "/ stock",
    "worst module",
    "remarks",
)


def gradient_table(marks):
    """Relative errors of gradients against the reference; beside each what it is of the stock operations' own."""
    lines, stock = [GRADIENT_HEAD, ("---",) * len(GRADIENT_HEAD)], {}
    for mark in marks:
        if mark.get("name") == STOCK and "whole" in mark:
            stock[mark["state"]] = mark
    lines += [gradient_line(mark, stock.get(mark.get("state"))) for mark in marks]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def gradient_means(marks):
    """Over several draws of noise and timestep: each row's error as a part of stock's on the same draw."""
    stock = {mark["state"]: mark["whole"] for mark in marks if mark.get("name") == STOCK and "whole" in mark}
    found = {}
    for mark in marks:
        if mark.get("state") in stock and "whole" in mark:
            key = mark["state"].partition(", draw")[0], mark["name"]
            found.setdefault(key, []).append(mark["whole"] / stock[mark["state"]])
    lines = [("state", "row", "draws", "mean / stock", "least", "most"), ("---",) * 6]
    lines += [
        (
            state,
            name,
            str(len(ratios)),
            *(number(one, 3) for one in (statistics.fmean(ratios), min(ratios), max(ratios))),
        )
        for (state, name), ratios in found.items()
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def gradient_line(mark, stock):
    cells = []
    for key in ("whole", "median", "worst"):
        value = mark.get(key)
        base = stock.get(key) if stock else None
        cells += [
            "" if value is None else f"{value:.3e}",
            number(value / base if value is not None and base else None, 3),
        ]
    words = [mark["error"]] if mark.get("error") else []
    words += [f"as {mark['same']}"] if mark.get("same") else []
    words += [f"{name} failed" for name in mark.get("failed", [])]
    words += [f"no gradient: {', '.join(mark['lost'])}"] if mark.get("lost") else []
    return (mark.get("state", ""), mark.get("name", ""), str(len(mark.get("used", []))), number(mark.get("loss"), 6),
            *cells, mark.get("worst_module", "").removeprefix("lora_unet_"), "; ".join(words))  # fmt: skip
