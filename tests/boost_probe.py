"""Runs a probe in the training environment's Python and reads what it prints last: one JSON record."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 280


def ask_probe(probe, python, *words, path=None):
    """`path`: PYTHONPATH of the probe. One thread: threads that wait for each other are slow on a busy machine."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(path)} if path else {})}
    done = subprocess.run(
        [str(word) for word in (python, probe, *words)], cwd=ROOT, capture_output=True, text=True, encoding="utf-8",
        timeout=TIMEOUT_S, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
