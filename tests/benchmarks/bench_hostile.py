"""How long each hostile input holds up the one who looks at it: `python -m tests.benchmarks.bench_hostile [MOST_SECONDS]`.

Processor time of this process, which other programs on the computer do not disturb; a fresh look each time, no cache.
Ends with 1 when any of them takes longer than MOST_SECONDS (default 1).
"""

import os
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from launcher.errors import InputError
from launcher.machine import Fact, Machine
from launcher.paths import Paths
from launcher.plan import Request, resolve
from launcher.preflight import CHECKS, ask
from launcher.preflight.describe import describe_model
from launcher.preset import load_preset
from tests.hostile import CAPTIONS, DATASETS, IMAGES, MODELS, PLACES, PRESETS
from tests.hostile.images import sound

ROOT = Path(__file__).resolve().parent.parent.parent
MACHINE = Machine(
    os="Linux", cores=os.cpu_count() or 1, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="none",
    has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip


def read_folder(paths, data, trainer="rehearsal"):
    plan = resolve(paths, Request(preset="style-8gb", trainer=trainer, data=data), MACHINE)
    list(ask(paths, plan, MACHINE, CHECKS))


LOOKS = {
    "model": (MODELS, describe_model),
    "preset": (PRESETS, load_preset),
    "dataset": (DATASETS, lambda paths, path: read_folder(paths, path, "sd-scripts")),
    "image": (IMAGES, lambda paths, path: read_folder(paths, path.parent)),
    "caption": (CAPTIONS, lambda paths, path: read_folder(paths, path.parent)),
    "place": (PLACES, read_folder),
}


def measure(kind, case, look):
    """Seconds of processor time for one case; None where it cannot be made here."""
    with tempfile.TemporaryDirectory() as folder:
        data, home = Path(folder) / "data", Path(folder) / "home"
        data.mkdir()
        home.mkdir()
        if kind == "caption":
            (data / "x.png").write_bytes(sound())
        try:
            path = case.build(data)
        except pytest.skip.Exception:
            return None
        began = time.process_time()
        with suppress(InputError):
            look(Paths(root=ROOT, home=home, shipped=ROOT), path)
        return time.process_time() - began


def main():
    most = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    measure("image", IMAGES[0], LOOKS["image"][1])  # imports
    rows = [
        (seconds, kind, case.name)
        for kind, (cases, look) in LOOKS.items()
        for case in cases
        if (seconds := measure(kind, case, look)) is not None
    ]
    for seconds, kind, name in sorted(rows, reverse=True)[:15]:
        print(f"{seconds:7.3f} s  {kind:8} {name}")
    slow = [row for row in rows if row[0] > most]
    print(f"{len(rows)} cases, {sum(row[0] for row in rows):.1f} s in all, {len(slow)} over {most:g} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return int(bool(slow))


if __name__ == "__main__":
    raise SystemExit(main())
