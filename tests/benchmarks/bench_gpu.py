"""Memory and time of real SDXL trainings on a card: stock sd-scripts beside the launcher, in the same run.

    python tests/benchmarks/bench_gpu.py --code CHECKOUT --tokenizers DIR --python TRAINER_PYTHON --out DIR \\
        [--rows style-8gb style-6gb ...] [--ring stock shim launcher] [--jobs 4] [--lora] [--latents]

CHECKOUT is an unmodified sd-scripts folder, TRAINER_PYTHON has its packages (an installed environment:
`vendor/sd-scripts/1/code`, `.../venv/bin/python`, `vendor/tokenizers`). The Python that runs this needs the launcher's
packages. Checkpoint (full size, random weights), images and prompts are made in a temporary folder, 7 GB.

`--rows` are runs of their own from fresh caches, several side by side with `--jobs`: memory is exact then, times are
not. `--ring` are runs that take turns of a few steps on the same card: their ratios of wall time and kernel time are
what the shim costs. A row is a name of `gpu/cases.py`, or a preset, with changes behind colons:
`style-8gb:card=6:network_dim=8`. `--small --device cpu` tries it all without a card, on a shrunken model.

Nothing is asserted. Printed are markdown tables; DIR gets the records as JSON and the logs of failures.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from gpu import cases, pictures, results, table, watch, ways  # noqa: E402  (the path comes first)

from launcher.events import read_events  # noqa: E402

TIMEOUT_S = 420
TURN_WARMUP, TURN_STEPS, TURNS = 4, 4, 12
PROFILED = 2  # steps whose kernels are counted
ERROR_LINES = 25


def main():
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-gpu-", dir=options.folder))
    try:
        bench = Bench(folder, options)
        found = [*bench.ring(), *bench.rows()]
        bench.report(found)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--ring", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--sample-steps", type=int, default=4)
    parser.add_argument("--lora", action="store_true", help="read each LoRA with diffusers")
    parser.add_argument("--latents", action="store_true", help="compare the caches of a ring's runs")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--until", type=float, help="seconds from now behind which no row starts")
    return parser.parse_args()


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.began = time.monotonic()
        self.trainers = {"sd-scripts": self._trainer("sd-scripts", options.code, options.python)}
        if options.fork:
            self.trainers["sd-scripts-fp8"] = self._trainer(
                "sd-scripts-fp8", options.fork, options.fork_python or options.python
            )
        side = 128 if options.small else 1024
        self.prompts = pictures.make_prompts(folder / "prompts.txt", side=side, steps=options.sample_steps)
        self.pictures = pictures.make_images(folder / "pictures", count=options.images, side=side)
        self.model = options.model or self._checkpoint()
        self.caches = []

    def _trainer(self, name, code, python):
        version = python_says(python, "import accelerate; print(accelerate.__version__)")
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
        print(
            "checkpoint:", subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout, end=""
        )
        return file

    def rows(self):
        todo = [cases.case_of(word) for word in self.options.rows]
        with ThreadPoolExecutor(self.options.jobs) as pool:
            profile = {"BENCH_PROFILE": ""}
            return list(pool.map(lambda case: self.one(case, profile), todo))

    def ring(self):
        """Runs that take turns; all load first, then step by blocks."""
        names = self.options.ring
        if not names:
            return []
        steps = TURN_WARMUP + TURN_STEPS * TURNS
        profile = f"{steps - PROFILED - 1},{PROFILED}"
        folder = self.folder / "ring"
        folder.mkdir()
        todo = [cases.case_of(f"{name}:steps={steps}") for name in names]
        with ThreadPoolExecutor(len(todo)) as pool:
            waiting = [
                pool.submit(
                    self.one, case,
                    {"BENCH_RING": f"{folder},{place},{place},{len(todo)},{TURN_WARMUP},{TURN_STEPS}", "BENCH_PROFILE": profile},
                )
                for place, case in enumerate(todo)
            ]  # fmt: skip
            return [one.result() for one in waiting]

    def one(self, case, probe):
        """A run from fresh caches, in an installation of its own, to its record."""
        if self.options.until and time.monotonic() - self.began > self.options.until:
            return skipped(case, "no time left")
        home = Path(tempfile.mkdtemp(prefix="home-", dir=self.folder))
        data = Path(shutil.copytree(self.pictures, home / "data"))
        trainer = self.trainers[case.trainer]
        profile = probe.get("BENCH_PROFILE") or f"{case.steps - PROFILED - 1},{PROFILED}"
        try:
            command = ways.make_command(
                case, trainer, home=home, model=self.model, data=data, prompts=self.prompts,
                is_small=self.options.small, probe={**probe, "BENCH_PROFILE": profile},
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001  (a preset that is not there must not end the other rows)
            return skipped(
                case, f"{type(error).__name__}: {error} {[str(p) for p in getattr(error, 'problems', ())]}"
            )
        watched = watch.run(
            command.argv, cwd=command.run.output, env=command.env, log=command.run.log, timeout_s=TIMEOUT_S
        )
        return self._finish(case, command, watched, home, data)

    def _finish(self, case, command, watched, home, data):
        log = command.run.log.read_text(encoding="utf-8", errors="replace")
        found = sorted(command.run.output.glob("*.safetensors"), key=lambda path: len(path.name))
        events = (
            [event for event, _ in read_events(command.run.events)] if command.run.events.exists() else []
        )
        result = results.read_result(
            case, watched, watch.read_marks(command.marks), lora=str(found[0]) if found else "", notes=command.notes,
            warnings=[event["message"] for event in events if event["type"] in {"warning", "error"}],
            error="\n".join(log.replace("\r", "\n").splitlines()[-ERROR_LINES:]) if watched.code else "",
        )  # fmt: skip
        self._keep_log(case, log, command)
        self.caches.append((case.name, [data, home / "user" / "cache"]))
        shutil.rmtree(command.run.states, ignore_errors=True)
        for state in command.run.output.glob("*-state"):
            shutil.rmtree(state, ignore_errors=True)
        print(f"{case.name}: exit {result.code}, {result.seconds:.0f} s", flush=True)
        return result

    def _keep_log(self, case, log, command):
        name = "".join(char if char.isalnum() or char in "-." else "_" for char in case.name)
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
        if self.options.latents:
            record["latents"] = self.latents()
            lines += ["", f"latents: {json.dumps(record['latents'])}"]
        if self.options.lora:
            record["loras"] = [self.lora(result) for result in found if result.lora]
            lines += ["", *(f"LoRA: {json.dumps(one)}" for one in record["loras"])]
        for result in found:
            lines += ["", f"{result.name} ({result.seconds:.0f} s)", "", table.phases(result)]
            lines += [f"{result.name}: {text}" for text in (*result.warnings, result.error) if text]
        (self.options.out / "results.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        (self.options.out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines))

    def about(self):
        say = (
            "import torch, accelerate, diffusers, transformers as t; c = torch.cuda;"
            "print(c.get_device_name(0) if c.is_available() else 'no card', '|', 'torch', torch.__version__,"
            "'accelerate', accelerate.__version__, 'diffusers', diffusers.__version__, 'transformers', t.__version__)"
        )
        card, _, versions = python_says(self.options.python, say).partition(" | ")
        return {"card": card, "versions": versions, "cpu": os.cpu_count(), "system": platform.platform(),
                "command": sys.argv, "when": time.strftime("%Y-%m-%d %H:%M:%S")}  # fmt: skip

    def latents(self):
        """Each run's caches beside those of the first."""
        (_, base), *others = self.caches
        return {name: self._compare(base, other) for name, other in others}

    def _compare(self, one, other):
        pick = [
            next((path for path in paths if any(path.rglob("*.npz"))), paths[0]) for paths in (one, other)
        ]
        words = [self.options.python, HERE / "gpu" / "latents.py", *pick]
        return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)

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
