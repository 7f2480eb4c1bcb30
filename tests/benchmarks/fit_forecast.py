"""The forecast of memory beside what was measured: calibration rows and held-out rows separately.

    python tests/benchmarks/fit_forecast.py                     the table
    python tests/benchmarks/fit_forecast.py --only calibration  without looking at the held-out rows
    python tests/benchmarks/fit_forecast.py --collect DIR ...   rows.jsonl of bench_gpu.py into forecast/measured.jsonl

The held-out rows are those of `forecast/heldout.txt`, drawn and committed before anything was measured; constants.toml
is fitted by hand to the others alone.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from gpu import cases  # noqa: E402  (the path comes first)

from launcher.forecast.constants import load_constants  # noqa: E402
from launcher.forecast.setup import setup_of  # noqa: E402
from launcher.forecast.vram import vram  # noqa: E402
from launcher.paths import Paths  # noqa: E402
from launcher.preset import load_preset, settings_from_words  # noqa: E402
from launcher.trainers import load_trainer  # noqa: E402
from launcher.trainers.switches import SWITCHES  # noqa: E402

MEASURED = HERE / "forecast" / "measured.jsonl"
HELDOUT = HERE / "forecast" / "heldout.txt"
SIMPLE = ("launcher:preset=sdxl-style:", "launcher:")  # the same row with and without sample prompts
TRAINING = ("first step", "steps")
PHASES = {
    "latents": ("cache latents",),
    "text": ("cache text",),
    "training": TRAINING,
    "sampling": ("sample",),
}
KEPT = ("allocated", "reserved", "ram", "card")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--collect", type=Path, nargs="*")
    parser.add_argument("--only", choices=("calibration", "heldout"))
    options = parser.parse_args()
    if options.collect:
        collect(options.collect)
        return
    for name in ("calibration", "heldout"):
        if options.only in {None, name}:
            show(name, [row for row in read() if row["set"] == name])


def read():
    """Rows of the committed file."""
    return [json.loads(line) for line in MEASURED.read_text(encoding="utf-8").splitlines()]


def collect(folders):
    held = {line.removeprefix("launcher:") for line in HELDOUT.read_text(encoding="utf-8").splitlines()}
    found = {}
    for folder in folders:
        for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["code"] == 0 and row["phases"]:
                name = row["name"]
                tail = next((name.removeprefix(head) for head in SIMPLE if name.startswith(head)), name)
                found[name] = record(row, folder.name, "heldout" if tail in held else "calibration")
    MEASURED.write_text(
        "".join(json.dumps(row, sort_keys=True) + "\n" for row in found.values()), encoding="utf-8"
    )
    print(len(found), "rows,", sum(row["set"] == "heldout" for row in found.values()), "held out")


def record(row, call, group):
    case = cases.case_of(row["name"])
    phases = {phase["name"]: {key: phase[key] for key in KEPT} for phase in row["phases"]}
    seconds = {phase["name"]: phase["seconds"] for phase in row["phases"]}
    return {"name": row["name"], "set": group, "call": call, "way": row["way"], "cap_mib": row["cap_mib"],
            "sampled": "sample" in phases, "values": values_of(case), "phases": phases, "seconds": seconds}  # fmt: skip


def values_of(case):
    """The options as a plan would have them, from the same preset and words."""
    paths = Paths(root=ROOT, home=ROOT, shipped=ROOT)
    preset, trainer = load_preset(paths, case.preset), load_trainer(paths, case.trainer)
    words = settings_from_words(paths, case.settings, table=trainer.options)
    options = {**preset.options, **words.options}
    values = {name: setting.value for name, setting in options.items()}
    if case.way == cases.STOCK:
        return values
    switches = {**preset.switches, **words.switches}
    defaults = {f"launcher.{name}": option.default for name, option in SWITCHES.items()}
    return {**values, **defaults, **{f"launcher.{name}": setting.value for name, setting in switches.items()}}


def show(name, rows):
    print(
        f"\n## {name}: {len(rows)} rows\n\n| row | phase | predicted | measured | error |\n|---|---|---|---|---|"
    )
    errors = {}
    for row in rows:
        for phase, predicted, measured in compare(row):
            error = predicted / measured - 1
            errors.setdefault(phase, []).append(abs(error))
            print(f"| {short(row)} | {phase} | {predicted:.0f} | {measured:.0f} | {error:+.1%} |")
    print()
    for phase, found in errors.items():
        print(
            f"{phase}: {len(found)} rows, median error {statistics.median(found):.1%}, worst {max(found):.1%}"
        )


def compare(row):
    """(phase, predicted, measured) of reserved memory for every phase that the run had, and of the peak of all."""
    setup = setup_of(row["values"])
    found = vram(setup, load_constants(), samples=row["sampled"])
    pairs = []
    for phase, names in PHASES.items():
        measured = max(
            (row["phases"][name]["reserved"] for name in names if name in row["phases"]), default=0
        )
        if measured and found.get(phase):
            pairs.append((phase, found[phase].reserved, measured))
    if "steps" in row["phases"]:
        pairs.append(("peak", max(p for _, p, _ in pairs), max(m for _, _, m in pairs)))
    return pairs


def short(row):
    for head, tail in (("launcher:preset=sdxl-style:", ""), ("launcher:", ""), ("cache_text_encoder_outputs=false:cache_text_encoder_outputs_to_disk=false:network_train_unet_only=false:text_encoder_lr=[1e-5]", "text encoders trained"),
                       ("cache_text_encoder_outputs=false:cache_text_encoder_outputs_to_disk=false", "text encoders on the card"), ("min_bucket_reso=256:", ""), ("steps=5:", ""), ("steps=5", "as it is"), ("launcher.", "")):  # fmt: skip
        row = {"name": row["name"].replace(head, tail)}
    return row["name"]


if __name__ == "__main__":
    main()
