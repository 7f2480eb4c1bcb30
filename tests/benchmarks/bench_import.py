"""How long `launcher import` takes on the whole command, file to preset, beside a bare interpreter's start.

python tests/benchmarks/bench_import.py [SCRIPT ...] [--rounds 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMON = ROOT / "tests" / "import" / "ps1" / "25-long-two-languages.ps1"


def seconds(command, rounds):
    """Median wall time of a command, each round with user data of its own."""
    taken = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            env = {**os.environ, "LAUNCHER_HOME": home, "PYTHONPATH": str(ROOT)}
            start = time.perf_counter()
            subprocess.run(command, env=env, cwd=home, capture_output=True, check=True)
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scripts", nargs="*", type=Path, default=[COMMON])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bare = seconds([sys.executable, "-c", "pass"], options.rounds)
    print(f"bare interpreter      {bare * 1000:6.0f} ms")
    for script in options.scripts:
        took = seconds(
            [sys.executable, "-m", "launcher", "import", str(script.resolve()), "--yes"], options.rounds
        )
        print(f"{script.name:<30} {took * 1000:6.0f} ms   {took / bare:5.1f} x a bare start")


if __name__ == "__main__":
    main()
