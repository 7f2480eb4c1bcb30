"""Weights that lie together, updated and clipped as one: the same bits, or rounding only (tests/boost_optimizer_probe.py).

The training environment here has no bitsandbytes that runs on a CPU, so a stand-in takes its place at the edge that the
boost holds on to. LAUNCHER_BITSANDBYTES names a folder with a real one (pip install --target FOLDER --no-deps
bitsandbytes==0.50.2): then its own arithmetic is what is compared.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_optimizer_probe.py"
ANSWERS = {}  # of the probe: each mode is asked once
EACH = 6  # weights of the probe

pytestmark = pytest.mark.training


@pytest.fixture(params=["stand-in", "bitsandbytes"])
def ask(request, training_python):
    folder = [] if request.param == "stand-in" else [os.environ.get("LAUNCHER_BITSANDBYTES")]
    if None in folder:
        pytest.skip("LAUNCHER_BITSANDBYTES names no folder with a bitsandbytes for CPUs")

    def ask(mode):
        if (request.param, mode) in ANSWERS:
            return ANSWERS[request.param, mode]
        command = [str(word) for word in (training_python, PROBE, mode, *folder)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=280,
            env=env,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return ANSWERS.setdefault((request.param, mode), json.loads(done.stdout.splitlines()[-1]))

    return ask


def test_one_call_for_weights_that_lie_together_gives_the_same_bits(ask):
    """Two groups with rates of a schedule, decay, a state written and read, gradients that are apart, missing, NaN."""
    for name, seen in ask("together").items():
        assert (seen["reason"], seen["check"], seen["told"]) == (None, None, []), name
        assert seen["same"] == [True] * 20, name
        calls = {int(step): count for step, count in seen["calls"].items()}
        assert calls[0] == EACH  # the first step makes the states
        assert calls[5] == calls[6] == calls[1] < EACH  # loaded states are laid out again at once
        assert calls[7] == EACH - 1
        assert calls[8] == calls[1]
        assert calls[11] == 0  # no gradients, no calls
        assert seen["states"] == EACH  # none of ours are left among them
        assert max(seen["sizes"]) < 1.05 * min(seen["sizes"])  # a state file has each number once


def test_what_cannot_be_updated_together_is_left_to_the_stock_step(ask):
    for name, seen in ask("together").items():
        assert seen["own"], name
        assert seen["undone"] == [EACH, True], name
        assert seen["moved"][1:] == [EACH, True], name
        calls, is_same, told, is_on = seen["failed"]
        assert (calls, is_same, is_on) == ([EACH, EACH], True, False), name
        assert "no kernel image" in told[0][1]
        assert seen["raised"] == [5.0, 5.0]


def test_where_it_is_not_used(ask):
    found = ask("reasons")
    assert None not in found.values()
    assert "do not lie together" in found["apart"]
    assert "do not stay together" in found["copies"]


def test_clipping_few_flat_gradients_is_clipping_all_of_them(ask):
    seen = ask("clip")
    assert (seen["reason"], seen["check"], seen["told"]) == (None, None, [])
    assert max(seen["errors"]) < 1e-6
    assert seen["lengths"][:5] == [1, EACH, EACH, 1, EACH]
    assert seen["back"]
