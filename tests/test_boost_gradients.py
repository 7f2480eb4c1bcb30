"""Boost `gradients`: the same bits for what is trained, none for what is not (tests/boost_gradients_probe.py)."""

import os
from functools import partial
from pathlib import Path

import pytest

from tests.boost_probe import ask_probe
from tests.real.rig import opened
from tests.test_memory import TRAIN

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_gradients_probe.py"


ask = partial(ask_probe, PROBE)


@pytest.fixture(scope="module")
def seen(training_python):
    return ask(training_python)


def assert_exact(found):
    assert found["reason"] is None
    assert found["same"]
    assert found["again"]
    assert found["count"] == found["of"] == found["not zero"] > 0
    assert found["stock inputs"] == [True, True]
    assert found["inputs"] == [False, False]
    assert found["told"] == []
    assert found["flags back"]
    assert found["hooks"] == 0
    assert found["ops"][1] < found["ops"][0]


@pytest.mark.training
@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize(("name", "turned"), [("transformers", 3), ("late", 6), ("convolutions", 0)])
def test_what_is_trained_gets_the_same_bits(seen, name, turned, checkpointing):
    found = seen[f"{name} {checkpointing}"]
    assert_exact(found)
    assert found["turned"] == (turned if checkpointing else 0)
    assert found["shape"] == [2, 4, 8, 12]  # without gradients, as for samples


@pytest.mark.training
def test_it_stays_out_where_more_is_trained(seen):
    assert "hang on a layer" in seen["refused"]["text encoder"]
    assert "nothing" in seen["refused"]["nothing"]
    assert "itself" in seen["refused"]["unet"]
    assert "outside" in seen["time True"]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-scripts", "sd-scripts-fp8"])
def test_upstreams_unet_gets_the_same_bits(name):
    environments = os.environ.get("LAUNCHER_REAL_ENVS")
    code = os.environ.get({"sd-scripts": "LAUNCHER_SD_SCRIPTS"}.get(name, "LAUNCHER_SD_SCRIPTS_FP8"))
    if not environments or not code:
        pytest.skip("LAUNCHER_REAL_ENVS and LAUNCHER_SD_SCRIPTS name no real trainer")
    python = Path(environments) / name / "1" / "venv" / "bin" / "python"
    assert_exact(ask(python, "real", code, path=ROOT / "tests" / "real" / "shrink"))


BOOSTS = (
    "gradients", "cast", "norms", "lora", "convolutions", "attention", "fp8_matmul", "blocks", "keep", "reduce",
    "optimizer", "clip",
)  # fmt: skip


def switches(*on):
    from launcher.trainers.switches import SWITCHES

    alone = {f"boost_{name}": "on" if name in on else "off" for name in BOOSTS}
    return {"boosts": "off", **{name: value for name, value in alone.items() if name in SWITCHES}}


def told(ended):
    return {event["message"] for event in ended.events("warning")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-scripts", "sd-scripts-fp8"])
def test_whole_trainings_alone_and_with_convolutions(name, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a river --w 64 --h 64 --s 2 --d 5\n", encoding="utf-8")
    train = {**TRAIN, "max_train_steps": 4, "sample_prompts": str(prompts)}
    with opened(name, tmp_path / "rig") as rig:
        stock, exact, both = (
            rig.train(tmp_path / "_".join(("run", *on)), switches=switches(*on), train=train)
            for on in ((), ("gradients",), ("gradients", "convolutions"))
        )
    for ended, used in ((exact, {"gradients"}), (both, {"gradients", "convolutions"})):
        [event] = ended.events("boosts")
        assert {one["name"] for one in event["boosts"] if one["used"]} == used
        assert told(ended) <= told(stock)
        assert len(list((ended.run.output / "sample").glob("*.png"))) == 1
    assert [line["loss"] for line in exact.record()] == [line["loss"] for line in stock.record()]
    assert exact.weights() == stock.weights()
    apart = [
        abs(float.fromhex(a["loss"]) / float.fromhex(b["loss"]) - 1)
        for a, b in zip(both.record(), stock.record(), strict=True)
    ]
    assert len(apart) == 4
    assert 0 < max(apart) < 1e-2  # bf16, a model of 32 channels
