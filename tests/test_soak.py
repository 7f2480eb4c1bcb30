"""A small count of the soak (LAUNCHER_LONG_TESTS=1: a larger one); by hand: python tests/soak.py --count 100."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parent / "soak.py"
COUNT = "4" if os.environ.get("LAUNCHER_LONG_TESTS") else "1"


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.timeout(1500)
def test_killed_and_resumed_trainings_end_like_undisturbed_ones(training_python):
    done = subprocess.run(
        [sys.executable, SOAK, "--count", COUNT],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=1400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
