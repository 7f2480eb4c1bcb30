"""Boost `convolutions`: the same mathematics for every size and layout, and stock's wherever it fails (boost_convolutions_probe.py)."""

import os
from functools import partial
from pathlib import Path

import pytest

from tests.boost_probe import ask_probe

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_convolutions_probe.py"
PARTS = ("output", "latents", "vector", "text", "loras")


ask = partial(ask_probe, PROBE)


@pytest.fixture(scope="module")
def seen(training_python):
    return ask(training_python, "own")


@pytest.mark.training
def test_all_sizes_batches_and_layouts_give_stocks_numbers(seen):
    assert len(seen["fp32"]) == 10
    for name, found in seen["fp32"].items():
        assert found["reason"] is None, name
        assert found["told"] == [], name
        assert found["used"], name
        assert 0 < found["error"] < 1e-5, name
        assert found["dropped"], name  # what is computed again is the same
        assert found["back"], name  # undone, stock's bits
    assert seen["fp64"]["reason"] is None
    assert 0 < seen["fp64"]["error"] < 1e-5


@pytest.mark.training
def test_it_rounds_no_worse_than_stock(seen):
    assert len(seen["rounding"]) == 4
    for name, found in seen["rounding"].items():
        assert found["reason"] is None, name
        assert found["told"] == [], name
    for part in PARTS:
        # one draw of a small model differs by chance: four together
        stock, boosted = (sum(found["parts"][part][i] for found in seen["rounding"].values()) for i in (0, 1))
        assert 0 < boosted < 1.05 * stock < 0.1, part


@pytest.mark.training
@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("at", [1, 3, 6, 8])
def test_where_it_fails_the_step_is_stocks_and_it_is_out(seen, way, at):
    found = seen["failing"][f"{way} {at}"]
    assert found["reason"] is None
    [message] = found["told"]
    assert "made to fail" in message
    assert not found["on"]
    assert found["error"] < 1e-5
    assert found["back"]
    assert found["contiguous"]
    assert found["forwards"] == 0


@pytest.mark.training
def test_the_failures_were_real(seen):
    for way in ("forward", "backward"):
        found = seen["failing"][f"{way} 99"]  # there are not so many norms
        assert found["on"]
        assert found["told"] == []
        assert not found["contiguous"]
        assert found["forwards"] > 10


@pytest.mark.training
def test_out_of_memory_is_raised(seen):
    for found in seen["memory"].values():
        assert found == {"raised": "made to fail", "on": True, "told": []}


@pytest.mark.training
def test_what_a_lora_hangs_on_stays_stock(seen):
    found = seen["places"]["lora"]
    assert found["reason"] is None
    assert found["partly"].startswith("1 parts stay stock: a LoRA")
    assert found["blocks"] == 7
    assert found["error"] < 1e-5
    assert found["told"] == []
    assert "a LoRA" in seen["places"]["every lora"]


@pytest.mark.training
def test_stored_weights_stay_the_same_objects_and_bytes(seen):
    found = seen["places"]["stored"]
    assert found["reason"] is None
    assert found["last"] > 10
    assert found["values"]
    assert found["back"]
    assert found["dtype"] == ["torch.float8_e4m3fn"]


@pytest.mark.training
def test_offloaded_weights_are_brought_and_used(seen):
    found = seen["places"]["offloaded"]
    assert found["reason"] is None
    assert found["convolutions"] > 0
    assert found["error"] < 1e-5
    assert found["told"] == []
    assert found["back"]


@pytest.mark.training
def test_samples_are_stocks(seen):
    found = seen["places"]["without"]
    assert found["error"] < 1e-5
    assert found["on"]
    assert found["told"] == []


@pytest.mark.training
def test_the_layout_goes_through_and_no_convolution_is_computed_twice(seen):
    found = seen["formats"]
    assert found["reason"] is None
    assert found["told"] == []
    assert found["wrong"] == []
    assert found["parts"] == 13
    # 16 of blocks, up, down, first and last; five skips are multiplications of matrices
    assert found["boosted"]["convolutions"] == found["boosted"]["backward"] == 20
    assert found["stock"]["convolutions"] == 48
    assert found["stock"]["backward"] == 25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-scripts", "sd-scripts-fp8"])
def test_upstreams_unet_is_computed_no_worse(name):
    environments = os.environ.get("LAUNCHER_REAL_ENVS")
    code = os.environ.get({"sd-scripts": "LAUNCHER_SD_SCRIPTS"}.get(name, "LAUNCHER_SD_SCRIPTS_FP8"))
    if not environments or not code:
        pytest.skip("LAUNCHER_REAL_ENVS and LAUNCHER_SD_SCRIPTS name no real trainer")
    python = Path(environments) / name / "1" / "venv" / "bin" / "python"
    seen = ask(python, "real", code, path=ROOT / "tests" / "real" / "shrink").values()
    for found in seen:
        assert found["reason"] is None
        assert found["told"] == []
        assert found["partly"] is None
        assert found["blocks"] == 17
        assert 0 < found["exact"] < 2e-5
    for place, part in enumerate(PARTS):
        # one draw of a small model differs by chance
        stock, boosted = (sum(found["parts"][i][place] for found in seen) for i in (0, 1))
        assert 0 < boosted < 1.1 * stock < 0.2, part
