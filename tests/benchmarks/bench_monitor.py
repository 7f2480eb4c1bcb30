"""How long the first look at a long run takes, and how much memory, beside a short one.

    python tests/benchmarks/bench_monitor.py [LINES]

Prints ratios; asserts nothing, because times are the machine's.
"""

import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from launcher.monitor import RunMonitor
from launcher.paths import RunPaths

SMALL = 1000


def write_events(run: RunPaths, lines: int) -> int:
    run.folder.mkdir(parents=True)
    with run.events.open("w", encoding="utf-8", newline="\n") as stream:
        for step in range(1, lines + 1):
            loss = 0.1 + 0.05 / step + (step * 7919 % 97) / 2000
            lr = {"unet": 1e-4 * (1 - step / lines)}
            event = {
                "v": 1,
                "t": 1.7e9 + step,
                "type": "step",
                "step": step,
                "epoch": step // 40,
                "loss": loss,
            }
            event |= {"avg_loss": 0.12, "lr": lr, "seconds": 1.1, "vram_mib": 7000}
            stream.write(json.dumps(event, separators=(",", ":")) + "\n")
    return run.events.stat().st_size


def measure(run: RunPaths) -> tuple[float, float, int]:
    begin = time.process_time()
    monitor = RunMonitor(run)
    monitor.poll()
    first = time.process_time() - begin
    begin = time.process_time()
    monitor.poll()
    again = time.process_time() - begin
    tracemalloc.start()
    RunMonitor(run).poll()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return first, again, peak


def main(lines: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        for count in (SMALL, lines):
            run = RunPaths(folder=Path(folder) / str(count))
            size = write_events(run, count)
            results[count] = (size, *measure(run))
            first, again, peak = results[count][1:]
            print(
                f"{count:>8} lines  {size / 1e6:6.2f} MB  first look {first:6.3f} s CPU  "
                f"next look {again * 1e3:5.2f} ms  peak memory {peak / 1e6:5.2f} MB"
            )
        small, large = results[SMALL], results[lines]
        ratios = ", ".join(
            f"{name} {large[at] / small[at]:.1f}x"
            for name, at in (("size", 0), ("first look", 1), ("next look", 2), ("memory", 3))
        )
        print(f"long beside short: {ratios}; peak memory is {large[3] / large[0]:.1%} of the long file")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
