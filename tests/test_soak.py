"""A small count of the soak; by hand: python tests/soak.py --count 100."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parent / "soak.py"


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.timeout(1500)
def test_killed_and_resumed_trainings_end_like_undisturbed_ones(training_python):
    done = subprocess.run(
        [sys.executable, SOAK, "--count", "2"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=1400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
