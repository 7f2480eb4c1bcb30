"""The boost `attention`: what is measured, chosen and remembered, and what becomes of a choice that fails."""

import os
from functools import partial
from pathlib import Path

import pytest

from tests.boost_probe import ask_probe

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_attention_probe.py"


ask = partial(ask_probe, PROBE)


@pytest.mark.training
def test_only_what_is_right_is_measured_and_only_what_is_clearly_faster_chosen(training_python):
    seen = ask(training_python, "choice")
    assert seen["shapes"] == ["2x2x128x128x32", "2x2x128x152x32"]
    assert seen["works"] == ["right", "slow"]  # not wrong, not broken, not one that draws random numbers
    assert seen["random"]
    assert seen["measured"] == ["right", "slow", "torch"]
    assert seen["positive"]
    assert seen["reason"] is None
    assert seen["choices"] == [[2, True, "right"]]
    assert seen["said"] == "2 heads self right, 2 heads cross torch"
    assert seen["resolutions"] == [[1024, 1024], [512, 512], [768, 768], [640, 1024], [1024, 768]]


@pytest.mark.training
def test_a_measurement_is_made_once_for_a_card(training_python, tmp_path):
    seen = ask(training_python, "memory", tmp_path)
    assert [seen[name] for name in ("first", "second", "damaged", "other")] == [2, 0, 2, 2]
    assert (seen["hostile"], seen["unsayable"]) == (2, 2)
    assert seen["cards"] == 2
    assert seen["keys"] == [f"attention torch.bfloat16 2x2x128x{keys}x32" for keys in (128, 152)]
    assert seen["beside"]
    assert seen["nowhere"] is None
    assert seen["unwritable"] is None


@pytest.mark.training
def test_it_is_put_in_and_taken_out_and_a_failing_choice_costs_nothing(training_python):
    seen = ask(training_python, "behaviour")
    assert 0 < seen["apart"] < 0.02
    assert seen["calls"] == 3  # a trial, the forward, and again for the backward
    assert seen["own"]
    assert (seen["left"], seen["taken"]) == (0, 2)
    assert seen["gelu"]
    assert seen["shared"] < 0.01
    assert seen["undone"]
    assert seen["odd"] == 0  # a shape that it cannot do is torch's, the others stay
    assert seen["odd_on"]
    assert seen["late"] < 0.02
    assert not seen["late_on"]
    assert seen["told"] == []
    assert seen["late_told"] == ["attention: failed and was turned off: RuntimeError: device says no"]
    assert seen["after"]


@pytest.mark.training
def test_without_memory_for_a_trial_the_call_is_torchs(training_python):
    seen = ask(training_python, "full")
    assert seen["apart"] < 0.02
    assert seen["on"]
    assert seen["calls"] == 2  # tried again in the recomputation, and called
    assert seen["told"] == []


@pytest.mark.training
def test_what_speaks_against_it(training_python):
    assert ask(training_python, "reasons") == [
        "there is no card",
        None,
        "the training asks for another attention than sdpa",
        "the training does not compute in 16 bits",
        "the U-Net has no attention of the kind that is known",
    ]


@pytest.mark.training
@pytest.mark.parametrize(
    "variable", ["LAUNCHER_SD_SCRIPTS", "LAUNCHER_SD_SCRIPTS_FP8", "LAUNCHER_SD_SCRIPTS_091"]
)
def test_the_real_attention(variable):
    place, code = os.environ.get("LAUNCHER_REAL_ENVS"), os.environ.get(variable)
    if not place or not code:
        pytest.skip(f"LAUNCHER_REAL_ENVS and {variable} name no folders")
    python = Path(place) / "sd-scripts" / "1" / "venv" / "bin" / "python"
    seen = ask(python, "upstream", code)
    assert seen["before"] == "the training asks for another attention than sdpa"
    assert seen["reason"] is None
    assert seen["shapes"] == ["1x10x4096x4096x64", "1x10x4096x77x64"]
    assert 0 < seen["apart"] < 0.02
    assert seen["calls"] == [64, 64, 77, 77]  # a trial and a call each
    assert seen["undone"]
    assert seen["told"] == []
