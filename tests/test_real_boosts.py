"""The real sd-scripts at both pins with every boost that a processor can run, around the shrunken model.

Never part of the normal suite: it wants what tests/test_real_training.py wants, and skips, saying so, without it.
"""

import array
import math

import pytest

from tests.real.rig import opened
from tests.real.story import assert_same, live

TRAINERS = ("sd-scripts", "sd-scripts-fp8")
NAMES = ("gradients", "lora", "convolutions", "blocks", "keep", "reduce", "clip")
EVERY = {"boosts": "off", **{f"boost_{name}": "on" for name in NAMES}, "keep_mib": 64}
SETTINGS = {
    "train": {"save_every_n_steps": 3, "network_dropout": None, "gradient_checkpointing": True,
              "cache_text_encoder_outputs": True},
    "subset": {"keep_tokens": 0},
}  # fmt: skip

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module", params=TRAINERS)
def rig(request, tmp_path_factory):
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as rig:
        yield rig


@pytest.fixture(scope="module")
def stock(rig, tmp_path_factory):
    return rig.train(tmp_path_factory.mktemp("stock") / "run", switches={"boosts": "off"}, **SETTINGS)


@pytest.fixture(scope="module")
def boosted(rig, tmp_path_factory):
    return rig.train(tmp_path_factory.mktemp("boosted") / "run", switches=EVERY, **SETTINGS)


def numbers(ended):
    return array.array("f", ended.weights()[1])


def distance(found, right):
    """Relative, of all weights."""
    return math.dist(found, right) / math.hypot(*right)


def losses(ended):
    return [event["loss"] for event in ended.events("step")]


def test_off_means_off(stock):
    assert not stock.events("boosts")
    assert len(losses(stock)) == 12


def test_it_learns_the_same(stock, boosted):
    [told] = boosted.events("boosts")
    assert {one["name"] for one in told["boosts"] if one["used"]} == set(NAMES)
    assert losses(boosted) == pytest.approx(losses(stock), rel=1e-4)
    assert 0 < distance(numbers(boosted), numbers(stock)) < 1e-4  # rounded elsewhere, and nowhere else


def test_one_exact_boost_alone_changes_no_bit(rig, stock, tmp_path):
    switches = {"boosts": "off", "boost_gradients": "on", "boost_reduce": "on"}
    ended = rig.train(tmp_path / "run", switches=switches, **SETTINGS)
    assert sum(one["used"] for one in ended.events("boosts")[0]["boosts"]) == 2
    assert ended.weights() == stock.weights()


def test_resumed_is_never_interrupted(rig, tmp_path):
    """States hold all LoRA weights, also those that share their memory with others."""
    whole = live(rig, tmp_path / "whole", switches=EVERY, **SETTINGS)
    parts = [{"REAL_PAUSE_AT": "4:{run}/pause"}, {"REAL_KILL": "step:8"}]
    story = live(rig, tmp_path / "parts", parts=parts, switches=EVERY, **SETTINGS)
    assert len(story.parts) == 3
    assert_same(story, whole)


def test_a_state_of_a_boosted_training_goes_on_without_boosts(rig, boosted, stock, tmp_path):
    ended = rig.train(tmp_path / "run", resume=str(boosted.state(6)), switches={"boosts": "off"}, **SETTINGS)
    assert [event["step"] for event in ended.events("step")] == list(range(7, 13))
    assert losses(ended) == pytest.approx(losses(stock)[6:], rel=1e-4)


def test_weights_are_shrunk_as_without_boosts(rig, stock, tmp_path):
    """`scale_weight_norms` multiplies what the network's `state_dict` gives: that must be the weights themselves."""
    settings = {**SETTINGS, "train": {**SETTINGS["train"], "scale_weight_norms": 1e-3}}
    plain, boosted = (
        numbers(rig.train(tmp_path / name / "run", switches=switches, **settings))
        for name, switches in (("stock", {"boosts": "off"}), ("boosted", EVERY))
    )
    assert distance(plain, numbers(stock)) > 1e-3
    assert distance(boosted, plain) < 1e-4
