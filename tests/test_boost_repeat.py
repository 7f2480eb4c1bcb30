"""A step that ran out of memory, or in which a boost failed, made again: the run of one that never failed.

tests/boost_repeat_probe.py trains two layers around real autograd and a real accelerator; the errors are injected. So
they are (tests/real/shrink/shrink_oom.py) into the real trainer, shrunken, where LAUNCHER_REAL_ENVS names it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from launcher.trainers.switches import BOOSTS
from tests.real.rig import opened
from tests.real.story import difference

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_repeat_probe.py"
ALIKE = ("weights", "losses", "logged", "chance", "left")

QUIET = {"boosts": "exact", **{f"boost_{name}": "off" for name in BOOSTS}}  # repeat alone


def ask(python, mode):
    command = [str(word) for word in (python, PROBE, mode)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=280, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.training
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


@pytest.mark.training
def test_what_a_repetition_cannot_help_is_raised_as_it_was(training_python):
    found = ask(training_python, "raised")
    assert found.pop("for ever") == ["OutOfMemoryError", 1, 40 - 16]
    assert found.pop("other") == ["ValueError", 1, 0]
    assert found.pop("unknown boost") == ["RuntimeError", 1, 0]
    assert len(found) == 4
    for name, seen in found.items():
        assert seen == ["OutOfMemoryError", 1, 0], name


def once(lines):
    """The record is of every backward, so of a repeated one too: of the same batch."""
    return [line for line, before in zip(lines, [None, *lines], strict=False) if line != before]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_real_trainers_steps_are_made_again_to_the_bit(accumulation, tmp_path):
    """Gradient checkpointing, dropout of the LoRA, bf16; failing forwards and backwards against a run without boosts."""
    train = {"max_train_steps": 5, "gradient_checkpointing": True, "mixed_precision": "bf16", "save_state": None,
             "gradient_accumulation_steps": accumulation}  # fmt: skip
    with opened("sd-scripts", tmp_path) as rig:
        off = rig.train(tmp_path / "off", switches={"boosts": "off"}, train=train)
        # Repeated calls count: the third micro-batch takes three, the fifth two.
        env = {"REAL_OOM": "3:forward,4:backward,7:backward"}
        ours = rig.train(tmp_path / "ours", switches=QUIET, train=train, env=env)
    assert difference(once(ours.record()), once(off.record())) is None
    assert ours.weights() == off.weights()
    told = [event["message"] for event in ours.events("warning") if "made again" in event["message"]]
    assert len(told) == 1
    losses = [[event["loss"] for event in ended.events("step")] for ended in (ours, off)]
    assert losses[0] == losses[1]
