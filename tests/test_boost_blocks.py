"""Transformer blocks in one piece (tests/boost_blocks_probe.py): the same training, for any reason to fail as well."""

from pathlib import Path

import pytest

from tests.boost_probe import ask_probe

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_blocks_probe.py"

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def seen(training_python):
    return ask_probe(PROBE, training_python)


@pytest.mark.parametrize("name", ["errors", "errors with text"])
def test_it_is_as_close_to_exact_arithmetic_as_stock(seen, name):
    assert set(seen[name]) >= {"result", "x", "lora"}
    for part, (stock, boosted) in seen[name].items():
        assert 0 < boosted < 1.1 * stock, part  # one draw: a tenth is noise
        assert stock < 0.05, part


def test_without_autocast_it_is_the_same_mathematics(seen):
    assert len(seen["double"]["errors"]) > 20
    assert max(seen["double"]["errors"]) < 2e-5


def test_checkpointing_changes_nothing(seen):
    assert seen["checkpointed"]["same"]


def test_what_is_kept_gives_the_same_bits(seen):
    kept = seen["kept"]
    assert kept["learning"][0] == 0.0
    assert kept["everything"][0]
    assert kept["everything"][1] > 0
    assert kept["had"]
    assert kept["half"][0]
    assert 0 < kept["half"][1] < kept["everything"][1]
    assert kept["nothing"] == [True, 0.0, False]


@pytest.mark.parametrize(
    "name", ["forward fails", "recomputation fails", "backward fails", "late backward fails"]
)
def test_one_that_fails_is_turned_off_and_the_step_is_whole(seen, name):
    found = seen[name]
    assert len(found["told"]) == 1, found
    assert "made to fail" in found["told"][0]
    assert not found["used"]
    assert found["after is stock"]
    assert found["finite"]
    assert found["broken"] < 2 * found["usual"] + 1e-6  # no gradient is missing or counted twice


def test_parameters_stay_the_same_objects_with_the_same_values(seen):
    found = seen["identity"]
    assert found["storages"] == found["blocks"] == 2
    assert all(
        found[key]
        for key in (
            "same objects",
            "same values",
            "same weights",
            "stock again",
            "saved apart",
            "saved values",
        )
    ), found


def test_gradients_of_a_block_lie_together(seen):
    assert seen["together"]["together"] == [True, True]


def test_what_it_does_not_know_it_leaves_alone(seen):
    found = seen["refused"]
    for name, words in {"dropout": "dropout", "foreign": "forward is", "rank": "ranks"}.items():
        assert words in found[name][0]
        assert not found[name][2]
    assert found["partly"][0] is None
    assert found["partly"][1].startswith("1 of 2 blocks")
    assert not found["partly"][2]


def test_without_gradients_upstream_computes(seen):
    assert seen["no_grad"]["same"]


def test_a_changed_multiplier_is_followed(seen):
    found = seen["multiplier"]
    assert found["differs"] > 1e-3
    assert found["stock"] < 0.02
    assert found["gradients"] == 0


def test_it_is_used_unless_only_exact_ones_are_asked_for(seen):
    assert seen["wanted"]["rounding"] is None
    assert "only where asked for" in seen["wanted"]["exact"]


def test_a_multiplier_that_changes_behind_the_forward_does_not_change_its_gradients(seen):
    assert seen["multiplier between"] == {"computed": True, "kept": True}


@pytest.mark.parametrize("name", ["loras", "stack"])
def test_weights_that_something_else_moves_end_the_boost_not_the_training(seen, name):
    is_used, is_stock, [told] = seen["moved"][name]
    assert not is_used
    assert is_stock
    assert "something has moved its" in told


@pytest.mark.parametrize("name", ["same", "others"])
def test_frozen_weights_that_come_back_are_laid_out_anew(seen, name):
    found = seen["back"][name]
    assert found.pop("told") == []
    assert all(found.values()), found


def test_what_shrinks_weights_through_state_dict_reaches_them(seen):
    assert seen["shrunken"]["seen"] > 1e-3
