"""CPU time of the menu's first paint, as a multiple of `python -c "import argparse, json, pathlib, subprocess"`.

    python tests/benchmarks/bench_paint.py [--runs 15]

Both kinds of process take turns, so that a busy machine is busy for both; the lowest of each is compared.
The promise is a ratio of at most 2 to the first paint (the title; the runs and the question follow).
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START = "from launcher.__main__ import main; from launcher.cli import execute; from launcher.commands import menu as command;"
PAINT = "from launcher.paths import find_paths; from launcher.ui import menu; menu.paint_title('0.1.0', command.known_machine(find_paths()));"
REST = "menu._paint_standing(command.look(find_paths()))"
CASES = {
    "interpreter alone": "pass",
    "base": "import argparse, json, pathlib, subprocess",
    "first paint": START + PAINT,
    "whole first screen": START + PAINT + REST,
    "import rich.console": "import rich.console",
}


def cpu_ms(code: str) -> float:
    """CPU milliseconds (user and system) of a fresh interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=15)
    options = words.parse_args()
    costs = {name: [] for name in CASES}
    for _ in range(options.runs):
        for name, code in CASES.items():
            costs[name].append(cpu_ms(code))
    base = min(costs["base"])
    for name, found in costs.items():
        print(
            f"{name:<22} {min(found):6.1f} ms  median {statistics.median(found):6.1f} ms  ratio {min(found) / base:.2f}"
        )


if __name__ == "__main__":
    main()
