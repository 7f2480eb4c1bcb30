"""What starting costs, in bare interpreter starts: `setup_env.py --version`, and a command on the fast path.

    python tests/benchmarks/bench_start.py [ROUNDS]

Needs a set-up tree (run `python setup_env.py --help` before). All commands take turns in one run, so that a busy
machine slows them alike; shown are medians of processor time (user and system, children included) and wall time.
The promise is about the first: at most 3 bare starts.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SETUP = str(ROOT / "setup_env.py")
BASE = getattr(sys, "_base_executable", sys.executable)
PROMISE = 3.0
COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "setup_env.py --version": [SETUP, "--version"],
    "setup_env.py runs --help": [SETUP, "runs", "--help"],
}


def measure(argv):
    """Processor and wall seconds of one command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([BASE, *argv], check=True, stdout=subprocess.DEVNULL, cwd=ROOT.parent)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - started


def main():
    from launcher.install import marker

    if not marker.is_ready(str(ROOT)):
        print("This tree is not set up: python setup_env.py --help", file=sys.stderr)
        return 1
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    for argv in COMMANDS.values():
        measure(argv)  # bytecode and disk cache
    samples = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, argv in COMMANDS.items():
            samples[name].append(measure(argv))
    medians = {
        name: [statistics.median(column) for column in zip(*taken, strict=True)]
        for name, taken in samples.items()
    }
    bare = medians["bare interpreter"]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {rounds} rounds")
    for name, (cpu, wall) in medians.items():
        print(
            f"{name:<26} cpu {cpu * 1000:6.1f} ms = {cpu / bare[0]:.2f} x bare   wall {wall * 1000:6.1f} ms = {wall / bare[1]:.2f} x bare"
        )
    return 0 if medians["setup_env.py --version"][0] <= PROMISE * bare[0] else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
