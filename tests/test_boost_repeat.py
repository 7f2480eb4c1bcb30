"""A step that ran out of memory, or in which a boost failed, made again: the run of one that never failed.

tests/boost_repeat_probe.py trains two layers around real autograd and a real accelerator; the errors are injected.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_repeat_probe.py"
ALIKE = ("weights", "losses", "logged", "chance", "left")

pytestmark = pytest.mark.training


def ask(python, mode):
    command = [str(word) for word in (python, PROBE, mode)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=280, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_step_made_again_is_the_step_that_never_failed(training_python):
    """In forward, backward, both, the first micro-batch or the second, alone or after others of the same step."""
    found = ask(training_python, "repeated")
    for accumulation in (1, 3):
        stock = found.pop(f"stock {accumulation}")
        calm = found.pop(f"calm {accumulation}")
        assert {**calm, "most": None} == {**stock, "most": None}
        assert calm["warnings"] == []
        assert len(stock["losses"]) == 4 * accumulation
        for name in [name for name in found if name.endswith(f" {accumulation}")]:
            seen = found.pop(name)
            assert {key: seen[key] for key in ALIKE} == {key: stock[key] for key in ALIKE}, name
            assert len(seen["warnings"]) == 1, name  # however often
            assert seen["lowered"] == {"twice": 4, "boost": 0}.get(name.split()[0], 1), name
            assert seen["seen"] == (["lora is out"] if "boost" in name else []), name
            assert seen["most"] == 1, f"{name}: what the failed attempt held was still there in the next one"
    assert found == {}


def test_what_a_repetition_cannot_help_is_raised_as_it_was(training_python):
    found = ask(training_python, "raised")
    assert found.pop("for ever") == ["OutOfMemoryError", 1, 40 - 16]
    assert found.pop("other") == ["ValueError", 1, 0]
    assert found.pop("unknown boost") == ["RuntimeError", 1, 0]
    assert len(found) == 4
    for name, seen in found.items():
        assert seen == ["OutOfMemoryError", 1, 0], name
