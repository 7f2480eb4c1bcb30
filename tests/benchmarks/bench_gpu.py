"""Memory and time of real SDXL trainings on a card: stock sd-scripts beside the launcher, in the same run.

    python tests/benchmarks/bench_gpu.py --code CHECKOUT --tokenizers DIR --python TRAINER_PYTHON --out DIR \\
        [--rows style-8gb sdxl-6gb ...] [--jobs 4] [--ring stock shim launcher] [--lora style-8gb] [--deadline S]

CHECKOUT is an unmodified sd-scripts folder, TRAINER_PYTHON has its packages (an installed environment:
`vendor/sd-scripts/1/code`, `.../venv/bin/python`, `vendor/tokenizers`). The Python that runs this needs the launcher's
packages. Checkpoint (full size, random weights), images and prompts are made in a temporary folder: 7 GB, and 1 GB for
each run. Linux.

`--rows` are runs of their own from fresh caches, several side by side with `--jobs`: memory is exact then, times are
not. `--ring` are runs that load together and then take turns of a few steps: their ratios of wall time and kernel time
are what the shim costs. Rows come first, while the ring loads. A row is a name of `gpu/cases.py`, or a preset, with
changes behind colons: `style-8gb:card=6:network_dim=8`. `--small --device cpu` tries it all without a card, on a
shrunken model. What has not ended by the deadline is killed and reported as far as it came.

Nothing is asserted. Printed are markdown tables; DIR gets the records as JSON, run by run, and the logs.
"""

import argparse
import json
import os
import platform
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from gpu import cases, pictures, prints, results, table, watch, ways  # noqa: E402  (the path comes first)

from launcher.events import read_events  # noqa: E402

TURN_WARMUP, TURN_STEPS = 3, 4
MOST_THREADS = 8  # what the launcher gives a process beside a card
PROFILED = 2  # steps whose kernels are counted
RING_PROFILE = {"BENCH_PROFILE": f"{TURN_WARMUP + TURN_STEPS + 1},{PROFILED}"}  # in the second turn
ABOUT = (
    "import torch, accelerate, diffusers, transformers as t; c = torch.cuda;"
    "print(c.get_device_name(0) if c.is_available() else 'no card', '|', 'torch', torch.__version__,"
    "'accelerate', accelerate.__version__, 'diffusers', diffusers.__version__, 'transformers', t.__version__)"
)
ERROR_LINES = 25


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-gpu-", dir=options.folder))
    try:
        bench = Bench(folder, options)
        bench.report(bench.run())
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common(parser)
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--ring", nargs="*", default=[])
    parser.add_argument("--turns", type=int, default=8, help="of each run of a ring")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cards", type=int, default=1, help="rows are spread over the first N cards")
    parser.add_argument("--lora", nargs="*", default=[], help="rows whose LoRA diffusers shall read")
    parser.add_argument("--go", type=float, help="seconds from now when the ring starts at the latest")
    return parser.parse_args()


def add_common(parser):
    """What every benchmark of real trainings must be told."""
    parser.add_argument("--code", type=Path, required=True)
    parser.add_argument("--fork", type=Path, help="code of sd-scripts-fp8, for rows of that trainer")
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--fork-python", type=Path)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", help="where there is room for 10 GB and more")
    parser.add_argument("--model", type=Path, help="instead of a random checkpoint")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--picture-side", type=int, help="pixels (default: 1024)")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--sample-steps", type=int, default=4)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--deadline", type=float, default=3600, help="seconds from now when all is over")


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.deadline = time.monotonic() + options.deadline
        self.maker, self.loras = None, []
        beside = min(options.jobs, len(options.rows)) + len(options.ring)
        self.threads = max(1, min(MOST_THREADS, (os.cpu_count() or 1) // max(beside, 1)))
        self.trainers = {"sd-scripts": self._trainer("sd-scripts", options.code, options.python)}
        if options.fork:
            self.trainers["sd-scripts-fp8"] = self._trainer(
                "sd-scripts-fp8", options.fork, options.fork_python or options.python
            )
        self.cards = queue.SimpleQueue()  # one place for each row that runs at a time
        for place in range(options.jobs):
            self.cards.put(place % options.cards)
        side = 128 if options.small else 1024
        self.prompts = pictures.make_prompts(folder / "prompts.txt", side=side, steps=options.sample_steps)
        self.pictures = pictures.make_images(
            folder / "pictures", count=options.images, side=options.picture_side or side
        )
        self.model = options.model or self._checkpoint()
        self.asked = ThreadPoolExecutor(1).submit(python_says, options.python, ABOUT)  # torch takes its time

    def _trainer(self, name, code, python):
        version = python_says(python, "from importlib.metadata import version; print(version('accelerate'))")
        return ways.Trainer(
            name=name,
            code=code,
            python=python.absolute(),
            tokenizers=self.options.tokenizers,
            accelerate=version,
        )

    def _checkpoint(self):
        file = self.folder / "random-sdxl.safetensors"
        words = [self.options.python, HERE / "gpu" / "material.py", self.options.code, file]
        words += ["--device", self.options.device, *(["--small"] if self.options.small else [])]
        self.maker = subprocess.Popen(words, stdout=subprocess.DEVNULL)  # while the trainers import
        return file

    def run(self):
        """All runs, to their records: the ring loads beside the rows, and starts its turns when they are done."""
        ring = [
            cases.case_of(f"{name}:steps={TURN_WARMUP + TURN_STEPS * self.options.turns}")
            for name in self.options.ring
        ]
        folder = self.folder / "ring"
        folder.mkdir()
        latest = threading.Timer(self.options.go or self.options.deadline, (folder / "go").touch)
        latest.daemon = True
        latest.start()
        with ThreadPoolExecutor(len(ring) or 1) as turns, ThreadPoolExecutor(self.options.jobs) as pool:
            turning = [
                turns.submit(
                    self.one, case, {**RING_PROFILE, "BENCH_RING": self._ring(folder, place, len(ring))}
                )
                for place, case in enumerate(ring)
            ]
            rows = list(pool.map(self._row, (cases.case_of(word) for word in self.options.rows)))
            (folder / "go").touch()
            return [*(one.result() for one in turning), *rows]

    @staticmethod
    def _ring(folder, place, size):
        return f"{folder},{place},{place},{size},{TURN_WARMUP},{TURN_STEPS}"

    def _row(self, case):
        is_alone = self.options.jobs == 1 and not self.options.ring  # beside others kernels are not timed
        probe = {"BENCH_PROFILE": f"{case.steps - PROFILED - 1},{PROFILED}"} if is_alone else {}
        card = self.cards.get()
        try:
            result = self.one(case, probe if self.options.cards == 1 else {"CUDA_VISIBLE_DEVICES": str(card)})
        finally:
            self.cards.put(card)
        if result.lora and case.name.split(":")[0] in self.options.lora:
            self.loras.append(self.lora(result))
        return result

    def one(self, case, probe):
        """A run from fresh caches, in an installation of its own, to its record."""
        home = Path(tempfile.mkdtemp(prefix="home-", dir=self.folder))
        data = Path(shutil.copytree(self.pictures, home / "data"))
        trainer = self.trainers[case.trainer]
        probe = {**probe, "BENCH_WAIT": str(self.model)}
        try:
            command = ways.make_command(
                case, trainer, home=home, model=self.model, data=data, prompts=self.prompts,
                is_small=self.options.small, probe=probe, threads=self.threads,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001  (a preset that is not there must not end the other rows)
            return skipped(
                case, f"{type(error).__name__}: {error} {[str(p) for p in getattr(error, 'problems', ())]}"
            )
        watched = watch.run(
            command.argv, cwd=command.run.output, env=command.env, log=command.run.log,
            timeout_s=max(self.deadline - time.monotonic(), 1),
        )  # fmt: skip
        return self._finish(case, command, watched)

    def _finish(self, case, command, watched):
        log = command.run.log.read_text(encoding="utf-8", errors="replace")
        found = sorted(command.run.output.glob("*.safetensors"), key=lambda path: len(path.name))
        events = (
            [event for event, _ in read_events(command.run.events)] if command.run.events.exists() else []
        )
        result = results.read_result(
            case, watched, watch.read_marks(command.marks), lora=str(found[0]) if found else "", notes=list(command.notes),
            told=[event for event in events if event["type"] == "phase" and event["state"] == "end"],
            applied=results.applied(events),
            prints=prints.of_run(command.run.output, found[0] if found else None),
            warnings=[event["message"] for event in events if event["type"] in {"warning", "error"}],
            error="\n".join(log.replace("\r", "\n").splitlines()[-ERROR_LINES:]) if watched.code else "",
        )  # fmt: skip
        self._keep_log(case, log, command)
        shutil.rmtree(command.run.states, ignore_errors=True)
        for state in command.run.output.glob("*-state"):
            shutil.rmtree(state, ignore_errors=True)
        print(f"{case.name}: exit {result.code}, {result.seconds:.0f} s", flush=True)
        with (self.options.out / "rows.jsonl").open("a", encoding="utf-8") as stream:  # whatever comes later
            stream.write(json.dumps(result.to_json()) + "\n")
        return result

    def _keep_log(self, case, log, command):
        name = "".join(char if char.isalnum() or char in "-." else "_" for char in case.name)[:150]
        name += f"-{zlib.crc32(case.name.encode()):08x}"
        text = f"{command.argv}\n{command.run.train_toml.read_text(encoding='utf-8')}\n{log}"
        (self.options.out / f"{name}.log").write_text(text, encoding="utf-8")

    def report(self, found):
        about = self.about()
        record = {**about, "results": [result.to_json() for result in found]}
        lines = [f"{about['card']}, {about['versions']}, {about['cpu']} cores; MiB", "", table.table(found)]
        ring = [result for result in found if result.turns]
        ratios = [one for one in (results.ratio(result, ring[0]) for result in ring[1:]) if one]
        record["ratios"] = [{name: getattr(one, name) for name in results.Ratio.__slots__} for one in ratios]
        if ratios:
            lines += ["", table.ratios(ratios)]
        for result in found:
            lines += ["", f"{result.name} ({result.seconds:.0f} s)", "", table.phases(result)]
            lines += [f"{result.name}: {text}" for text in (*result.warnings, result.error) if text]
        record["loras"] = self.loras
        lines += ["", *(f"LoRA: {json.dumps(one)}" for one in self.loras)]
        self._write(record, lines)
        print("\n".join(lines))

    def _write(self, record, lines):
        (self.options.out / "results.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        (self.options.out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def about(self):
        card, _, versions = self.asked.result().partition(" | ")
        return {"card": card, "versions": versions, "cpu": os.cpu_count(), "system": platform.platform(),
                "command": sys.argv, "when": time.strftime("%Y-%m-%d %H:%M:%S")}  # fmt: skip

    def lora(self, result):
        words = [self.options.python, HERE / "gpu" / "lora.py", result.lora, "--device", self.options.device]
        words += ["--small"] if self.options.small else []
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode:
            return {"run": result.name, "error": done.stderr[-1500:]}
        return {"run": result.name, **json.loads(done.stdout.splitlines()[-1])}


def skipped(case, reason):
    watched = watch.Watched(code=-1, seconds=0.0, samples=[])
    print(f"{case.name}: not run, {reason}", flush=True)
    return results.read_result(case, watched, [], error=reason)


def python_says(python, code):
    done = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
