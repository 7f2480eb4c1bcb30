"""The boost `lora` against stock layers, run by the training environment's Python on models of our own."""

import math
import os
from functools import partial
from pathlib import Path

import pytest

from tests.boost_probe import ask_probe
from tests.real.rig import opened

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_lora_probe.py"


ask = partial(ask_probe, PROBE)


def typical(errors):
    """Root mean square over the seeds, of each tensor."""
    return [(sum(one * one for one in column) / len(column)) ** 0.5 for column in zip(*errors, strict=True)]


@pytest.mark.training
def test_gradients_are_those_of_the_formula(training_python):
    found = ask(training_python, "gradients")
    assert len(found) == 5
    assert all(found.values())


@pytest.mark.training
def test_no_output_and_no_gradient_is_further_from_the_right_one_than_stocks(training_python):
    rows = ask(training_python, "closeness")
    kinds = {(row["stored"], row["autocast"]) for row in rows}
    assert len(kinds) == 4
    for kind in kinds:
        chosen = [row for row in rows if (row["stored"], row["autocast"]) == kind]
        assert all(row["reason"] is None and not row["told"] and all(row["types"]) for row in chosen)
        if kind[1] != "None":  # in fp32 it can be stock's to the bit
            assert not all(row["same"] for row in chosen)  # it did something
        ours, stock = (typical([row[side] for row in chosen]) for side in ("ours", "stock"))
        ratios = [mine / theirs for mine, theirs in zip(ours, stock, strict=True)]
        # the output rounds where stock's does; single gradients fall this or that way by chance (fp32: of 3e-7)
        assert max(ratios) <= 1.1, (kind, ratios)
        assert math.prod(ratios) <= (1.0 if "bfloat16" in kind[1] else 1.1), (kind, ratios)


@pytest.mark.training
def test_it_is_put_in_and_taken_out_without_a_trace(training_python):
    seen = ask(training_python, "behaviour")
    assert seen["reason"] is None
    assert seen["partly"] == "1 layers stay stock: rank_dropout of its LoRA (1)"
    assert seen["taken"] == [True, False]
    assert seen["name"] == "LoRAModule"
    for fact in ("random", "adapter", "state", "repeats", "checkpoint", "no_grad", "undone"):
        assert seen[fact], fact
    assert len(seen["multipliers"]) >= 3
    assert max(seen["multipliers"]) < 0.01
    assert seen["told"] == []


@pytest.mark.training
def test_what_fails_in_forward_or_backward_is_done_stocks_way_and_turned_off(training_python):
    found = ask(training_python, "failures")
    memory = found.pop("memory")
    assert found.pop("check") == "only backwards"
    assert sorted(found) == ["backward", "forward", "late"]
    for seen in found.values():
        assert seen["reason"] is None
        assert seen["told"] == ["lora: failed and was turned off: ValueError: a kernel broke"]
        assert not seen["on"]
        assert seen["after"]  # stock's bits from then on
        assert max(seen["ours"]) <= 1.2 * max(seen["stock"])
    assert memory == {"raised": [1, 3], "on": True, "told": []}


@pytest.mark.training
@pytest.mark.parametrize(
    "variable", ["LAUNCHER_SD_SCRIPTS", "LAUNCHER_SD_SCRIPTS_FP8", "LAUNCHER_SD_SCRIPTS_091"]
)
def test_the_real_network(variable):
    place, code = os.environ.get("LAUNCHER_REAL_ENVS"), os.environ.get(variable)
    if not place or not code:
        pytest.skip(f"LAUNCHER_REAL_ENVS and {variable} name no folders")
    python = Path(place) / "sd-scripts" / "1" / "venv" / "bin" / "python"
    seen = ask(python, "upstream", code)
    assert seen["reason"] is None
    assert seen["count"] == 3
    assert 0 < seen["apart"] < 0.02
    assert seen["names"]
    assert seen["told"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-scripts", "sd-scripts-fp8"])
def test_a_real_training_with_this_boost_alone_follows_stock(name, tmp_path):
    with opened(name, tmp_path / "rig") as rig:
        train = {
            "network_dropout": None, "mixed_precision": "bf16", "gradient_checkpointing": True,
            "max_train_steps": 6, "cache_text_encoder_outputs": True,
        }  # fmt: skip
        stock = rig.train(tmp_path / "stock", switches={"boosts": "off"}, train=train)
        ours = rig.train(tmp_path / "ours", switches={"boosts": "off", "boost_lora": "on"}, train=train)
    assert (stock.code, ours.code) == (0, 0), ours.log[-3000:]
    [event] = ours.events("boosts")
    assert [one["name"] for one in event["boosts"] if one["used"]] == ["lora"]
    assert ours.events("warning") == stock.events("warning") == []
    losses = [[float.fromhex(line["loss"]) for line in run.record()] for run in (stock, ours)]
    assert len(losses[0]) == 6
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert ours.weights()[0] == stock.weights()[0]  # the same names and shapes
