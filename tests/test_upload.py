"""The U-Net goes to the card while the LoRA is made: the same weights, whatever happens (tests/upload_probe.py)."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.real.rig import opened

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "upload_probe.py"


def ask(python, *words):
    """The answers of one process, a line each."""
    done = subprocess.run(
        [str(word) for word in (python, PROBE, *words)], cwd=ROOT, capture_output=True, text=True, encoding="utf-8",
        timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_complete(seen):
    """The weights of stock's cast, each module moved once and in order."""
    return (
        seen["same"]
        and seen["in_order"]
        and seen["moves"] == seen["modules"]
        and seen["shared"]
        and not seen["told"]
    )


@pytest.mark.training
def test_all_of_it_is_done_beside_and_nothing_else_is_touched(training_python):
    [seen] = ask(training_python, "whole")
    assert is_complete(seen)
    assert seen["beside"] == seen["at_the_cast"] == seen["modules"]
    assert seen["hook"] == [["torch.float8_e4m3fn", seen["modules"]]]  # once, at the cast
    assert seen["objects"]
    assert seen["frozen"]
    assert seen["numbers"]
    assert seen["chance"]
    assert (seen["made"], seen["words"], seen["name"]) == ("network", [[1.0], {"unet": "unet"}], "make")


@pytest.mark.training
def test_after_an_error_the_main_thread_goes_on_where_it_was(training_python):
    [seen] = ask(training_python, "broken")
    assert is_complete(seen)
    assert seen["beside"] == 20


@pytest.mark.training
def test_a_network_that_cannot_be_made_stops_it(training_python):
    [seen] = ask(training_python, "raising")
    assert seen["said"] == "no such dim"
    assert seen["stopped"] == 5
    assert is_complete(seen)


@pytest.mark.training
def test_it_does_not_begin_where_the_card_is_not_free(training_python):
    [found] = ask(training_python, "refused")
    gone, device = found.pop("gone"), found.pop("device")
    assert gone["began"]
    assert is_complete(gone)
    assert not device["began"]
    assert device["same"]
    assert found.keys() == {"processes", "encoder"}
    for seen in found.values():
        assert not seen["began"]
        assert not seen["holds"]  # text encoders that the trainer drops
        assert seen["beside"] == 0
        assert is_complete(seen)


@pytest.mark.training
def test_another_type_than_was_foreseen_ends_the_run_in_words(training_python):
    [seen] = ask(training_python, "other")
    assert "asks for torch.bfloat16" in seen["said"]
    assert "LAUNCHER_STARTUP_OFF=upload" in seen["fix"]


@pytest.mark.training
def test_a_process_does_not_end_in_the_middle_of_it(training_python):
    first, last = ask(training_python, "ending")
    assert not last["alive"]
    assert 0 < last["moves"] < first["modules"]


# The real trainers, shrunken, with the processor as the card


TRAIN = {"max_train_steps": 4, "mixed_precision": "bf16", "cache_text_encoder_outputs": True}
ON = {"lean_load": True, "free_text_encoders": True}


@pytest.fixture(scope="module", params=("sd-scripts", "sd-scripts-fp8"))
def rig(request, tmp_path_factory):
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as rig:
        yield rig


def done_beside(ended):
    """Modules moved by the thread, those left, and the type; None where the trainer did not ask."""
    found = re.search(r"^upload: (\d+) beside, (\d+) left, (\S+)$", ended.log, re.MULTILINE)
    return found and (int(found[1]), int(found[2]), found[3])


def weights_at_first_call(ended):
    [found] = re.findall(r"^unet: (\w+)$", ended.log, re.MULTILINE)
    return found


@pytest.mark.slow
def test_a_training_learns_the_same_bits(rig, tmp_path):
    env = {"REAL_UPLOAD": "1"}
    off = rig.train(tmp_path / "off", train=TRAIN, switches=ON, env={**env, "LAUNCHER_STARTUP_OFF": "upload"})
    on = rig.train(tmp_path / "on", train=TRAIN, switches=ON, env=env)
    assert done_beside(off) is None
    beside, left, dtype = done_beside(on)
    assert (left, dtype) == (0, "torch.bfloat16")
    assert beside > 500
    assert weights_at_first_call(on) == weights_at_first_call(off)
    assert on.record() == off.record()
    assert len(on.record()) == 4
    assert on.weights() == off.weights()


@pytest.mark.slow
def test_in_fp8_the_weights_are_the_same(rig, tmp_path):
    """A processor cannot train in fp8: its first norm ends the run, behind all that is looked at here."""
    env = {"REAL_UPLOAD": "1"}
    train = {**TRAIN, "fp8_base": True}
    off = rig.train(
        tmp_path / "off", code=None, train=train, switches=ON, env={**env, "LAUNCHER_STARTUP_OFF": "upload"}
    )
    on = rig.train(tmp_path / "on", code=None, train=train, switches=ON, env=env)
    assert done_beside(on)[1:] == (0, "torch.float8_e4m3fn")
    assert weights_at_first_call(on) == weights_at_first_call(off)
    assert on.code == off.code


@pytest.mark.slow
def test_a_network_that_the_trainer_cannot_make_ends_as_ever(rig, tmp_path):
    env = {"REAL_UPLOAD": "1"}
    train = {**TRAIN, "network_args": ["block_dims=1,2"]}  # too few: an assertion within create_network
    off = rig.train(
        tmp_path / "off", code=None, train=train, switches=ON, env={**env, "LAUNCHER_STARTUP_OFF": "upload"}
    )
    on = rig.train(tmp_path / "on", code=None, train=train, switches=ON, env=env)
    assert on.code == off.code != 0
    assert [event["message"] for event in on.events("error")] == [
        event["message"] for event in off.events("error")
    ]
    assert done_beside(on) is None
