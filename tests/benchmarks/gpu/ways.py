"""Turns a case into one command: what the launcher plans for the preset, or the stock script with the same files."""

import os
from dataclasses import dataclass
from pathlib import Path

from gpu.cases import LAUNCHER, short_settings
from launcher.install.accelerate import launch_argv, write_config
from launcher.machine import look_at_machine
from launcher.paths import Paths, RunPaths
from launcher.plan import Request, render_argv, resolve
from launcher.run import create_run

ROOT = Path(__file__).resolve().parents[3]
HOOK = Path(__file__).resolve().parent / "hook"
SHRINK = ROOT / "tests" / "real" / "shrink"
OURS = ("LAUNCHER_", "PYTORCH_")  # variables of a plan that a stock run must not see


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """A trainer's code and the Python that has its packages."""

    name: str
    code: Path
    python: Path
    tokenizers: Path
    accelerate: str  # version, which decides the form of its configuration


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    argv: list
    env: dict
    run: RunPaths
    marks: Path
    notes: tuple


def make_home(folder, trainer):
    """A folder that looks to the launcher like an installation with this trainer in it."""
    generation = folder / "vendor" / trainer.name / "1"
    if not generation.exists():
        generation.mkdir(parents=True)
        (generation / "code").symlink_to(trainer.code.absolute(), target_is_directory=True)
        write_config(generation / "accelerate.yaml", trainer.accelerate)
        (folder / "vendor" / trainer.name / "current").write_text("1\n", encoding="utf-8")
    if not (folder / "vendor" / "tokenizers").exists():
        (folder / "vendor" / "tokenizers").symlink_to(trainer.tokenizers.absolute(), target_is_directory=True)
    return Paths(root=folder, home=folder, shipped=ROOT)


def make_command(case, trainer, *, home, model, data, prompts, threads, is_small=False, probe=None):
    """The run folder of a case, and what starts it. `probe`: further variables for what measures inside.

    `threads`: of each process; more in all than the machine has cores, and they wait for each other (seen: 90 s for 17).
    """
    paths = make_home(home, trainer)
    settings = short_settings(case, prompts, is_small=is_small)
    request = Request(
        preset=case.preset, trainer=trainer.name, model=model, data=data, name="bench", settings=settings
    )
    plan = resolve(paths, request, look_at_machine())
    run = create_run(paths, plan)
    marks = run.folder / "marks.jsonl"
    env = environment(plan.env, case, is_small=is_small, threads=threads)
    env |= {"BENCH_MARKS": str(marks), "PYTHONWARNINGS": "ignore", **(probe or {})}
    if case.cap_mib:
        env["BENCH_CAP_MIB"] = str(case.cap_mib)
    argv = words(case, trainer, plan, run, config=paths.accelerate_config(trainer.name), threads=threads)
    return Command(argv=argv, env=env, run=run, marks=marks, notes=plan.notes)


def replaced(words, flag, value):
    place = words.index(flag) + 1
    return [*words[:place], str(value), *words[place + 1 :]]


def words(case, trainer, plan, run, *, config, threads):
    """The plan's command line with the given Python, or the stock script's: by itself, or as its guide starts it."""
    threaded = "--num_cpu_threads_per_process"
    if case.way == LAUNCHER:
        rest = list(render_argv(plan, run)[1:])
        return [str(trainer.python), *(replaced(rest, threaded, threads) if threaded in rest else rest)]
    script = trainer.code.absolute() / "sdxl_train_network.py"
    files = ["--config_file", str(run.train_toml), "--dataset_config", str(run.dataset_toml)]
    if not case.is_whole:
        return [str(trainer.python), "-X", "utf8", str(script), *files]
    precision = str(plan.train.get("mixed_precision", "no"))
    line = launch_argv(trainer.python, config, mixed_precision=precision, threads=threads)
    return [str(word) for word in (*line, script, *files)]


def environment(changes, case, *, is_small, threads):
    env = dict(os.environ)
    for name, value in changes.items():
        if value is None or (case.way != LAUNCHER and name.startswith(OURS)):
            env.pop(name, None)
        else:
            env[name] = value
    env["PYTHONPATH"] = os.pathsep.join([str(HOOK), *([str(SHRINK)] if is_small else [])])
    env["OMP_NUM_THREADS"] = str(threads)
    if is_small:
        env |= {"BENCH_SMALL": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    return env
