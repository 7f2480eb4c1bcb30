"""CPU time of the menu's first paint, as a multiple of `python -c "import argparse, json, pathlib, subprocess"`.

    python tests/benchmarks/bench_paint.py [--runs 15]

Both kinds of process take turns, so that a busy machine is busy for both; the lowest of each is compared.
The promise is a ratio of at most 2.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = {
    "interpreter alone": "pass",
    "base": "import argparse, json, pathlib, subprocess",
    "paint": "from launcher.ui import menu; menu.paint(menu.MenuView(version='0.1.0', machine='NVIDIA GeForce RTX 3060 Ti'))",
    "rich.console import": "import rich.console",
    "launcher, to paint": "from launcher.cli import make_parser; from launcher.paths import find_paths; from launcher.ui import menu;"
    "make_parser().parse_args([]); from launcher.commands.menu import look; menu.paint(look(find_paths()))",
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
    words.add_argument(
        "--all", action="store_true", help="also the whole start of the launcher, history included"
    )
    options = words.parse_args()
    names = [name for name in CASES if options.all or name != "launcher, to paint"]
    costs = {name: [] for name in names}
    for _ in range(options.runs):
        for name in names:
            code = CASES[name]
            costs[name].append(cpu_ms(code))
    base = min(costs["base"])
    for name, found in costs.items():
        print(
            f"{name:<22} {min(found):6.1f} ms  median {statistics.median(found):6.1f} ms  ratio {min(found) / base:.2f}"
        )


if __name__ == "__main__":
    main()
