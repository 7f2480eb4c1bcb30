"""Loss curves of runs with the same seed, order and noise: how far apart, and whether boosts differ more than stock from itself."""

import statistics
from dataclasses import dataclass

from gpu.cases import MEMORY_OFF

SEED = 20261124
WINDOW = 20  # steps of the moving average
SAME = "launcher.exact_resume=false"  # upstream's own order and noise, so that the unmodified script is comparable
# The VAE by rows gives latents 1e-3 apart with TF32 (bench_vae.py), which moves a first loss by 2e-5: no boost's doing.
MEMORY = ":".join(MEMORY_OFF)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One run. `is_stock`: its distance from the first says how far stock is from itself."""

    name: str
    case: str
    attention: str = ""
    is_stock: bool = False


CURVES = {
    curve.name: curve
    for curve in (
        Curve(name="stock", case="stock", is_stock=True),
        Curve(name="stock-again", case="stock", is_stock=True),
        Curve(name="stock-flash", case="stock", attention="flash", is_stock=True),
        Curve(name="stock-efficient", case="stock", attention="efficient", is_stock=True),
        Curve(name="stock-math", case="stock", attention="math", is_stock=True),
        Curve(name="shim", case=f"launcher:launcher.boosts=off:{SAME}"),
        Curve(name="shim2", case=f"launcher:{MEMORY}:launcher.boosts=off:{SAME}"),
        Curve(name="boosted", case=f"launcher:{MEMORY}:launcher.boosts=rounding:{SAME}"),
        Curve(name="approximate", case=f"launcher:{MEMORY}:launcher.boosts=approximate:{SAME}"),
    )
}
BASE = "stock"  # the run that distances are from
USUAL = ("stock", "stock-flash", "stock-efficient", "boosted", "approximate")


def smoothed(losses, window=WINDOW):
    """Moving average over up to `window` losses behind each step; the first `window` - 1 steps have none."""
    return [statistics.fmean(losses[end - window : end]) for end in range(window, len(losses) + 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Distance:
    """Between two smoothed curves, over the steps that both have. `raw`: mean difference without smoothing."""

    name: str
    is_stock: bool
    steps: int
    mean: float
    largest: float
    raw: float
    first: float  # mean of its first and last losses
    last: float
    equal: int  # steps from the beginning with the very same loss


def distance(name, losses, base, *, is_stock=False, window=WINDOW):
    """None where there are not enough steps to smooth."""
    steps = min(len(losses), len(base))
    if steps < window:
        return None
    mine, other = losses[:steps], base[:steps]
    apart = [abs(a - b) for a, b in zip(smoothed(mine, window), smoothed(other, window), strict=True)]
    raw = [abs(a - b) for a, b in zip(mine, other, strict=True)]
    return Distance(
        name=name, is_stock=is_stock, steps=steps, mean=statistics.fmean(apart), largest=max(apart),
        raw=statistics.fmean(raw), first=statistics.fmean(losses[:window]), last=statistics.fmean(losses[-window:]),
        equal=next((place for place, gap in enumerate(raw) if gap), steps),
    )  # fmt: skip


HEAD = (
    "run",
    "steps",
    "loss at first",
    "at last",
    "mean difference",
    "largest",
    "unsmoothed",
    "equal steps",
    "within stock's own",
)


def table(found):
    """`found`: distances from the first run. Stock's own is the largest of its other runs."""
    own = [one for one in found if one.is_stock and one.raw]
    bound = (max(one.mean for one in own), max(one.largest for one in own)) if own else None
    lines = [HEAD, ("---",) * len(HEAD), *(line(one, bound) for one in found)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def line(one, bound):
    verdict = "" if one.is_stock or bound is None else (
        f"mean {word(one.mean, bound[0])}, largest {word(one.largest, bound[1])}"
    )  # fmt: skip
    return (one.name, str(one.steps), f"{one.first:.5f}", f"{one.last:.5f}", f"{one.mean:.3e}", f"{one.largest:.3e}",
            f"{one.raw:.3e}", str(one.equal), verdict)  # fmt: skip


def word(value, bound):
    return f"{'yes' if value <= bound else 'no'} ({value / bound:.2f})" if bound else "no bound"


COLOURS = ("#222222", "#1f77b4", "#17becf", "#d62728", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b")
WIDE, HIGH, EDGE = 900, 420, 50


def svg(curves, window=WINDOW):
    """Smoothed curves by name, as a picture."""
    smooth = {name: smoothed(losses, window) for name, losses in curves.items() if len(losses) > window}
    values = [value for points in smooth.values() for value in points]
    if not values:
        return ""
    low, high, steps = min(values), max(values), max(map(len, smooth.values()))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDE}" height="{HIGH}" fill="white"/>']  # fmt: skip
    for place, (name, points) in enumerate(smooth.items()):
        colour = COLOURS[place % len(COLOURS)]
        xy = " ".join(
            f"{EDGE + (WIDE - 2 * EDGE) * at / max(steps - 1, 1):.1f},"
            f"{HIGH - EDGE - (HIGH - 2 * EDGE) * (value - low) / ((high - low) or 1):.1f}"
            for at, value in enumerate(points)
        )
        parts.append(
            f'<polyline points="{xy}" fill="none" stroke="{colour}" stroke-width="1.2" opacity="0.8"/>'
        )
        parts.append(f'<text x="{WIDE - EDGE - 110}" y="{20 + 15 * place}" fill="{colour}">{name}</text>')
    parts += [f'<text x="4" y="{EDGE}">{high:.4f}</text>', f'<text x="4" y="{HIGH - EDGE}">{low:.4f}</text>',
              f'<text x="{EDGE}" y="{HIGH - 15}">step {window}</text>',
              f'<text x="{WIDE - EDGE - 60}" y="{HIGH - 15}">step {window + steps - 1}</text>', "</svg>"]  # fmt: skip
    return "\n".join(parts)
