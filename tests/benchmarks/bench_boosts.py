"""What boosts do to a real SDXL training on a card: time, memory, gradients and loss curves, beside the stock operations.

    python tests/benchmarks/bench_boosts.py --code CHECKOUT --tokenizers DIR --python TRAINER_PYTHON --out DIR \\
        [--table] [--gradients] [--ring stock launcher ...] [--curves [NAMES ...] --steps 300] [--deadline S]

The first arguments are those of bench_gpu.py, which says what they are; checkpoint, pictures and runs are made as there.

`--ring`       real runs that take turns: the unmodified script beside the launcher, each with its own settings.
`--table`      one training of the launcher's, whose boosts change between steps: each alone, all, all but each. Stock's
               turns lie between them, and a ratio is to the nearest of those. The kernels of each row are counted once.
               It begins when the ring has ended. `--case` says which run (default: an 8 GB card); its allocator is
               capped, so that what keeps spare memory finds as much as there.
`--gradients`  in the same training before its first step: gradients with each set against a reference in fp32.
`--curves`     runs side by side with the same seed, order and noise; their losses, smoothed, beside stock's own spread.

Predictions are read from gpu/predictions.toml. `--small --device cpu` tries it all without a card (with
`--set mixed_precision=bf16` gradients have something to round, which takes long there). Nothing is asserted.
"""

import argparse
import json
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench_gpu
from bench_gpu import TURN_STEPS, TURN_WARMUP
from gpu import boosts, cases, curves, results, table

ERROR_LINES = 8
SMALL_CURVES = {"cudnn": "math", "efficient": "math"}


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-boosts-", dir=options.folder))
    try:
        bench = BoostBench(folder, options)
        bench.report(bench.run())
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    bench_gpu.add_common(parser)
    parser.add_argument("--ring", nargs="*", default=[])
    parser.add_argument("--ring-turns", type=int, default=6)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--draws", type=int, default=1, help="of noise and timestep, for --gradients")
    parser.add_argument("--case", default="launcher:card=8")
    parser.add_argument("--boosts", nargs="*", help="names for `only` and `without` (default: all)")
    parser.add_argument("--leave", nargs="*", default=[], help="beginnings of rows that are not wanted")
    parser.add_argument("--turns", type=int, default=3, help="of each row of the table")
    parser.add_argument("--turn-steps", type=int, default=TURN_STEPS)
    parser.add_argument("--turn-warmup", type=int, default=TURN_WARMUP)
    parser.add_argument("--curves", nargs="*", help=f"of {', '.join(curves.CURVES)}")
    parser.add_argument("--steps", type=int, default=300, help="of each curve")
    parser.add_argument("--curve-cards", type=int, default=1, help="curves are spread over the first N cards")
    parser.add_argument(
        "--beside", type=Path, help="curves.json of an earlier call on this card, set before these"
    )
    parser.add_argument("--set", nargs="*", default=[], help="settings for all runs, as learning_rate=1e-3")
    options = parser.parse_args()
    if options.curves == []:
        options.curves = list(curves.USUAL)
    options.rows = [*(options.curves or []), *(["inside"] if options.table or options.gradients else [])]
    options.jobs, options.lora, options.cards = len(options.rows), [], 1
    return options


class BoostBench(bench_gpu.Bench):
    def run(self):
        """All runs, to their records by kind. Those of the ring first; curves are asked for in a call of their own."""
        ring = [
            self.case(f"{name}:steps={TURN_WARMUP + TURN_STEPS * self.options.ring_turns}")
            for name in self.options.ring
        ]
        folder = self.folder / "ring"
        folder.mkdir()
        with ThreadPoolExecutor(len(ring) + self.options.jobs) as pool:
            turning = [
                pool.submit(
                    self.one,
                    case,
                    {**bench_gpu.RING_PROFILE, "BENCH_RING": self._ring(folder, place, len(ring))},
                )
                for place, case in enumerate(ring)
            ]
            (folder / "go").touch()
            within = [pool.submit(self._inside, folder, len(ring))] if "inside" in self.options.rows else []
            lines = [
                pool.submit(self._curve, curves.CURVES[name], place % self.options.curve_cards)
                for place, name in enumerate(self.options.curves or [])
            ]
            return {"ring": [one.result() for one in turning], "inside": [one.result() for one in within],
                    "curves": [one.result() for one in lines]}  # fmt: skip

    def case(self, word):
        return cases.case_of(":".join([word, *self.options.set]))

    def _inside(self, folder, size):
        """The run in which boosts change."""
        rows = self._wanted(boosts.rows_of(self.options.boosts))
        orders = {
            "rows": rows, "turns": boosts.turns_of(rows, self.options.turns) if self.options.table else [],
            "warmup": self.options.turn_warmup, "steps": self.options.turn_steps, "profiled": bench_gpu.PROFILED,
            "gradients": self._wanted(boosts.gradient_rows(rows)) if self.options.gradients else [], "draws": self.options.draws,
            "after": {"folder": str(folder), "size": size} if size else None,
        }  # fmt: skip
        file = self.folder / "orders.json"
        file.write_text(json.dumps(orders), encoding="utf-8")
        return self.one(
            self.case(f"{self.options.case}:steps={boosts.steps_of(orders)}"), {"BENCH_BOOSTS": str(file)}
        )

    def _wanted(self, rows):
        return [row for row in rows if not row["name"].startswith(tuple(self.options.leave))]

    def _curve(self, curve, card):
        probe = {"BENCH_SEED": str(curves.SEED), "BENCH_ATTENTION": self._attention(curve)}
        probe |= {"CUDA_VISIBLE_DEVICES": str(card)} if self.options.curve_cards > 1 else {}
        return curve, self.one(self.case(f"{curve.case}:steps={self.options.steps}"), probe)

    def _attention(self, curve):
        return SMALL_CURVES.get(curve.attention, curve.attention) if self.options.small else curve.attention

    def report(self, found):
        """What matters most comes last, where a long output is read first."""
        about = self.about()
        everything = [*found["ring"], *found["inside"], *(result for _, result in found["curves"])]
        record = {**about, "results": [result.to_json() for result in everything]}
        lines = [f"{about['card']}, {about['versions']}, {about['cpu']} cores, {about['when']}; MiB", ""]
        lines += [table.table(everything), ""]
        for result in everything:
            words = [boosts.told(result.applied)]
            words += [*dict.fromkeys(result.warnings), *result.error.splitlines()[-ERROR_LINES:]]
            lines += [f"{result.name}: {text[:300]}" for text in words if text]
        for part in (self._gradient_lines, self._inside_lines, self._ring_lines, self._curve_lines):
            lines += part(found, record)
        self._write(record, lines)
        print("\n".join(lines))

    def _ring_lines(self, found, record):
        ring = [result for result in found["ring"] if result.turns]
        ratios = [one for one in (results.ratio(result, ring[0]) for result in ring[1:]) if one]
        record["ratios"] = [{name: getattr(one, name) for name in results.Ratio.__slots__} for one in ratios]
        return ["", "Runs that take turns:", "", table.ratios(ratios)] if ratios else []

    def _inside_lines(self, found, record):
        rows = record["rows"] = [row for result in found["inside"] for row in boosts.summed(result.boosts)]
        if not rows:
            return []
        lines = ["", f"One training ({found['inside'][0].name}), boosts changed between steps:", ""]
        return [*lines, boosts.table(rows, boosts.predictions()), "", *boosts.reasons(rows)]

    def _gradient_lines(self, found, _record):
        marks = [mark for result in found["inside"] for mark in result.gradients]
        lines = ["", "Gradients of one step, relative errors against fp32:", ""]
        many = [boosts.gradient_means(marks), ""] if self.options.draws > 1 and marks else []
        return [*lines, boosts.gradient_table(marks), "", *many] if marks else []

    def _curve_lines(self, found, record):
        losses = json.loads(self.options.beside.read_text(encoding="utf-8")) if self.options.beside else {}
        losses |= {curve.name: result.losses for curve, result in found["curves"] if result.losses}
        if not found["curves"] or not losses:
            return []
        record["curves"] = losses
        names = sorted(losses, key=curves.BASE.__ne__)  # whatever came first: distances are from stock
        apart = [
            curves.distance(
                name,
                losses[name],
                losses[names[0]],
                is_stock=curves.CURVES[name].is_stock,
                window=self._window,
            )
            for name in names
        ]
        apart = [one for one in apart if one]
        (self.options.out / "curves.json").write_text(json.dumps(losses), encoding="utf-8")
        (self.options.out / "curves.svg").write_text(curves.svg(losses, self._window), encoding="utf-8")
        return [
            "",
            f"Losses, smoothed over {self._window} steps, beside {names[0]}:",
            "",
            curves.table(apart),
        ]

    @property
    def _window(self):
        return min(curves.WINDOW, max(2, self.options.steps // 4))


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s")
