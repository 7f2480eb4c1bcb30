"""From the first process to the end of the first step, phase by phase: stock sd-scripts and the launcher, first and second start.

    python tests/benchmarks/bench_startup.py --code CHECKOUT --tokenizers DIR --python TRAINER_PYTHON --out DIR \\
        [--preset style-8gb] [--rounds 5] [--images 20] [--ways stock launcher ...] [--small --device cpu]

Paths as for bench_gpu.py. Each way has an installation and a copy of the images of its own, and one start from nothing:
no cache of latents and texts, no remembered hash, though model and packages lie in the system's file cache for all alike
(an unmeasured start comes before; `--warm-ups`). Then the ways take turns for `--rounds` second starts, whose medians are the table.
A training is ended as soon as its first step is done.

Ways: `stock` as its guide starts it (`accelerate launch sdxl_train_network.py`), `stock-direct` without accelerate,
`launcher` as its plan says, `launcher-long` through accelerate; behind colons changes as in gpu/cases.py, and `off=WORDS`
for LAUNCHER_STARTUP_OFF (`launcher:off=card+model`). Nothing is asserted. Linux.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from gpu import cases, pictures, watch, ways  # noqa: E402  (the path comes first)

from launcher.events import read_events  # noqa: E402

POLL_S = 0.02
MOST_THREADS = 8
FIRST_STEP = "first step"
BEFORE = "before Python's imports"  # interpreter; with accelerate all of its own start
WAYS = {
    "stock": {"way": cases.STOCK, "is_whole": True},
    "stock-direct": {"way": cases.STOCK},
    "launcher": {"way": cases.LAUNCHER},
    "launcher-long": {"way": cases.LAUNCHER, "settings": ("launcher.launch=accelerate",)},
}
DEFAULT_WAYS = ("stock", "launcher")
ABOUT = (
    "import torch; c = torch.cuda; print(c.get_device_name(0) if c.is_available() else 'no card', '| torch',"
    "torch.__version__)"
)


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-startup-", dir=options.folder))
    try:
        bench = Bench(folder, options)
        write(options.out, bench.run(), bench.about(), options.ways)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--code", type=Path, required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", help="where there is room for 10 GB")
    parser.add_argument("--model", type=Path, help="instead of a random checkpoint")
    parser.add_argument("--preset", default="style-8gb")
    parser.add_argument("--ways", nargs="*", default=DEFAULT_WAYS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-ups", type=int, default=1, help="unmeasured starts, before all others")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--picture-side", type=int)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one start")
    parser.add_argument(
        "--deadline", type=float, default=3600.0, help="seconds from now; no round begins later"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args()


class Way:
    """One way to start, with what lies around it."""

    def __init__(self, word, preset, folder):
        name, *changes = word.split(":")
        off = [change.removeprefix("off=") for change in changes if change.startswith("off=")]
        more = ":".join(change for change in changes if not change.startswith("off="))
        case = cases.case_of(f"{preset}:steps=3" + (f":{more}" if more else ""))
        known = dict(WAYS[name])
        known["settings"] = (*case.settings, *known.get("settings", ()))
        self.name = word
        self.case = replace(case, name=word, card_gib=None, is_sampling=False, **known)
        self.probe = {"LAUNCHER_STARTUP_OFF": off[0].replace("+", " ")} if off else {}
        self.home = folder / "".join(char if char.isalnum() else "-" for char in word)


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.began = time.monotonic()
        self.ways = [Way(word, options.preset, folder) for word in options.ways]
        version = says(options.python, "from importlib.metadata import version; print(version('accelerate'))")
        self.trainer = ways.Trainer(
            name="sd-scripts", code=options.code, python=options.python.absolute(), tokenizers=options.tokenizers,
            accelerate=version,
        )  # fmt: skip
        side = 128 if options.small else 1024
        self.prompts = pictures.make_prompts(folder / "prompts.txt", side=side, steps=4)
        self.pictures = pictures.make_images(
            folder / "pictures", count=options.images, side=options.picture_side or side
        )
        self.model = options.model or self._checkpoint()
        self.threads = max(1, min(MOST_THREADS, os.cpu_count() or 1))

    def _checkpoint(self):
        file = self.folder / "random-sdxl.safetensors"
        words = [self.options.python, HERE / "gpu" / "material.py", self.options.code, file]
        words += ["--device", self.options.device, *(["--small"] if self.options.small else [])]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return file

    def run(self):
        """Starts as records: way, round (0: the first start), seconds of each phase, or what went wrong."""
        warm = Way(self.options.ways[0], self.options.preset, self.folder)
        warm.home = self.folder / "unmeasured"
        for number in range(self.options.warm_ups):
            self.start(warm, -1 - number)
        found = []
        for number in range(self.options.rounds + 1):
            if time.monotonic() - self.began > self.options.deadline:
                break
            order = self.ways if number % 2 else self.ways[::-1]
            found += [self.start(way, number) for way in order]
        return found

    def start(self, way, number):
        if not way.home.exists():
            shutil.copytree(self.pictures, way.home / "data")
        command = ways.make_command(
            way.case, self.trainer, home=way.home, model=self.model, data=way.home / "data", prompts=self.prompts,
            is_small=self.options.small, probe=way.probe, threads=self.threads,
        )  # fmt: skip
        command.env.pop("PYTHONDONTWRITEBYTECODE", None)
        began = time.time()
        marks = until_first_step(command, self.options.timeout)
        phases, cpu = phases_of(began, marks), phases_of(0.0, marks, clock="cpu")
        log = command.run.log.read_text(encoding="utf-8", errors="replace")
        record = {
            "way": way.name,
            "round": number,
            "phases": phases,
            "cpu": cpu,
            "total": round(sum(phases.values()), 3),
            "boosts": boosts_of(command.run),
        }
        if FIRST_STEP not in phases:
            record |= {"error": log[-2500:], "total": None}
        name = f"{way.home.name}-{number}.log"
        (self.options.out / name).write_text(f"{command.argv}\n{log}", encoding="utf-8")
        print(f"{way.name} {number}: {record['total']}", flush=True)
        return record

    def about(self):
        card, _, versions = says(self.options.python, ABOUT).partition(" | ")
        return {
            "card": card, "versions": versions, "cores": os.cpu_count(), "system": platform.platform(),
            "model_mib": round(self.model.stat().st_size / 2**20), "command": sys.argv,
            "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        }  # fmt: skip


def until_first_step(command, timeout_s):
    """Start, wait for the end of the first step, end the whole tree; the marks."""
    deadline = time.monotonic() + timeout_s
    with command.run.log.open("ab") as stream:
        child = subprocess.Popen(
            [str(word) for word in command.argv], cwd=command.run.output, env=command.env, stdout=stream,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        while child.poll() is None and time.monotonic() < deadline:
            if any(mark.get("name") == FIRST_STEP for mark in watch.read_marks(command.marks)):
                break
            time.sleep(POLL_S)
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return watch.read_marks(command.marks)


def boosts_of(run):
    """Seconds that the start of the boosts took, in all and each; a part of the first step."""
    events = [event for event, _ in read_events(run.events)] if run.events.exists() else []
    for event in events:
        if event["type"] == "boosts":
            return {
                "all": event.get("seconds"),
                **{one["name"]: one.get("seconds") for one in event["boosts"]},
            }
    return {}


def phases_of(began, marks, clock="t"):
    """Seconds of each phase up to the end of the first step, in the order of their first begin.

    `clock` `cpu`: of all processor time of the training process, which neighbours on the machine disturb less.
    """
    found, since = {}, began
    for mark in marks:
        name = BEFORE if mark["kind"] == "start" else mark.get("name")
        if mark["kind"] not in {"start", "phase"}:
            continue
        found[name] = round(found.get(name, 0.0) + mark[clock] - since, 3)
        since = mark[clock]
        if name == FIRST_STEP:
            break
    return found


def table(records, names, kind="phases"):
    """Markdown: phases × (way, first or second start); the medians of the second starts with their range."""
    good = [record for record in records if record["total"] is not None]
    order = list(dict.fromkeys(name for record in good for name in record[kind]))
    head, rows = ["s" if kind == "phases" else "s of processor"], {name: [name] for name in [*order, "all"]}
    medians = {}
    for name in names:
        for is_first in (True, False):
            mine = [one[kind] for one in good if one["way"] == name and (one["round"] == 0) == is_first]
            head.append(f"{name}, {'first start' if is_first else f'second start (median of {len(mine)})'}")
            for phase in order:
                rows[phase].append(spread([one.get(phase, 0.0) for one in mine], is_first))
            totals = [sum(one.values()) for one in mine]
            rows["all"].append(spread(totals, is_first))
            if totals:
                medians[name, is_first] = statistics.median(totals)
    lines = [head, ["---"] * len(head), *rows.values()]
    return "\n".join([*(f"| {' | '.join(cells)} |" for cells in lines), "", *ratios(names, medians)])


def spread(values, is_first):
    if not values:
        return ""
    middle = f"{statistics.median(values):.2f}"
    return middle if is_first or len(values) < 2 else f"{middle} ({min(values):.2f}..{max(values):.2f})"


def ratios(names, medians):
    base = names[0]
    for name in names[1:]:
        for is_first in (True, False):
            if (name, is_first) in medians and (base, is_first) in medians:
                share = medians[name, is_first] / medians[base, is_first]
                yield f"{name} / {base}, {'first' if is_first else 'second'} start: {share:.2f}"


def write(out, records, about, names):
    lines = [
        f"{about['card']}, {about['versions']}, {about['cores']} cores, model {about['model_mib']} MiB",
        "",
    ]
    lines += [table(records, names), "", table(records, names, "cpu"), ""]
    for one in records:
        if one.get("boosts"):
            lines.append(f"{one['way']} {one['round']}: boosts {one['boosts']}")
    lines += [f"{one['way']} {one['round']}: {one['error']}" for one in records if one.get("error")]
    (out / "startup.json").write_text(json.dumps({**about, "starts": records}, indent=1), encoding="utf-8")
    (out / "startup.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def says(python, code):
    done = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
