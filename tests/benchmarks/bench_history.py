"""`runs` over 2,000 runs compared with 20: whole command and listing alone.

python tests/benchmarks/bench_history.py [--repeats 7]
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
sys.path.insert(0, str(ROOT))

from launcher.events import Status  # noqa: E402  (needs the path)
from launcher.history import RunState, list_runs, write_state  # noqa: E402
from launcher.paths import HOME_VARIABLE, Paths, RunPaths  # noqa: E402
from launcher.process import ProcessId  # noqa: E402

GONE = ProcessId(pid=1, started=1.0)
STATUSES = (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.PAUSED)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        homes = {count: make_runs(Path(folder) / str(count), count) for count in (20, 2000)}
        for title, measure in (
            ("launcher runs", command),
            ("launcher runs --all --json", command_json),
            ("list_runs()", listing),
        ):
            few, many = alternate(measure, homes, options.repeats)
            print(
                f"{title:28} 20 runs {few * 1000:7.1f} ms, 2000 runs {many * 1000:7.1f} ms, ratio {many / few:.2f}"
            )


def make_runs(home, count):
    for number in range(count):
        run = RunPaths(folder=home / "runs" / f"2026{1 + number // 400:02d}01-{number:06d}-style {number}")
        run.folder.mkdir(parents=True)
        status = STATUSES[number % len(STATUSES)]
        error = (
            {"error": "ValueError", "message": "the batch of this step is broken"}
            if status is Status.FAILED
            else None
        )
        state = RunState(
            name=f"style {number}", preset="style-8gb", trainer="sd-scripts", created=1.7e9 + number, ended=1.7e9 + number + 900,
            status=status, supervisor=GONE, trainer_process=GONE, exit_code=0, step=1000, total_steps=1000,
            last_state="states/step00001000", last_save="output/style.safetensors", error=error,
        )  # fmt: skip
        write_state(run, state)
    return home


def alternate(measure, homes, repeats):
    """Medians of both sizes, taken in turns."""
    for home in homes.values():
        measure(home)  # warm-up
    seconds = {count: [] for count in homes}
    for _ in range(repeats):
        for count, home in homes.items():
            began = time.perf_counter()
            measure(home)
            seconds[count].append(time.perf_counter() - began)
    return [statistics.median(values) for values in seconds.values()]


def command(home, *words):
    environment = {**os.environ, HOME_VARIABLE: str(home)}
    argv = [sys.executable, "-m", "launcher", "runs", *words]
    subprocess.run(argv, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)


def command_json(home):
    command(home, "--all", "--json")


def listing(home):
    list_runs(Paths(root=ROOT, home=home, shipped=ROOT))


if __name__ == "__main__":
    main()
