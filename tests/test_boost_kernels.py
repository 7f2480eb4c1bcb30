"""Elementary operations, torch's and Triton's, and the boosts `cast` and `norms` (tests/boost_kernels_probe.py).

The development environment has no Triton. `LAUNCHER_TRITON` names a Python that has torch, Triton and a numpy with which
Triton's interpreter works (3.1: below 2; 3.6: below 2.4): then the kernels are run, on the processor, and compiled for
cards that are not here. Compiling alone works in a real trainer's environment (`LAUNCHER_REAL_ENVS`) as well.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.real.rig import opened
from tests.test_boost_gradients import switches, told
from tests.test_memory import TRAIN

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_kernels_probe.py"
ROUNDED_ONCE = 0.5  # relative error (of norms) in units of the type's rounding: about 0.21 for one rounding


def ask(python, *words, interpret=False, path=None):
    # threads that wait for each other are slow on a busy machine
    env = {**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(path)} if path else {})}
    env |= {"TRITON_INTERPRET": "1"} if interpret else {}
    done = subprocess.run(
        [str(word) for word in (python, PROBE, *words)], cwd=ROOT, capture_output=True, text=True, encoding="utf-8",
        timeout=290, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    if "skip" in found:
        pytest.skip(found["skip"])
    return found


@pytest.fixture(scope="module")
def with_triton():
    python = os.environ.get("LAUNCHER_TRITON")
    if not python:
        pytest.skip("LAUNCHER_TRITON names no Python that has torch and Triton")
    return python


@pytest.fixture(scope="module")
def kernels(with_triton):
    return ask(with_triton, "kernels", interpret=True)


@pytest.fixture(scope="module")
def boosts(training_python):
    return ask(training_python, "boosts")


@pytest.mark.training
def test_torchs_operations_are_right_and_round_once(training_python):
    found = ask(training_python, "ops")
    assert len(found) == 15
    for sizes, errors in found.items():
        assert len(errors) == 15
        # sixty deviations away from zero fp32 itself loses six bits
        bound = (50 if "far" in sizes else 2) if "32" in sizes else ROUNDED_ONCE
        assert max(errors.values()) < bound, (sizes, errors)
        for name in errors if "32" not in sizes else ():
            assert "statistics" not in name or errors[name] < 1e-3, (sizes, name)  # never in 16 bits


@pytest.mark.training
def test_cast_changes_no_bit_and_leaves_no_trace(boosts):
    found = boosts["cast"]
    assert found["reason"] is None
    assert found["known"] == [
        False,
        False,
        True,
    ]  # others still find the LoRA, and no other where there is none
    assert found["same"]
    assert found["without gradients"]
    assert (found["casts"], found["casts then"]) == (3, 6)  # not of the small layer
    assert found["told"] == []
    assert found["back"]
    assert "kernel" in found["without kernels"]
    assert "fp8" in found["without fp8"]


@pytest.mark.training
def test_cast_that_fails_is_stock(boosts):
    found = boosts["cast"]
    assert found["failing"]
    assert len(found["failing told"]) == 1
    assert not found["is on"]
    assert found["taken"]
    assert found["partly"].startswith("1 ")


@pytest.mark.training
@pytest.mark.parametrize("ops", ["torch", "counting"])
def test_norms_are_as_close_as_on_a_card_under_autocast(boosts, ops):
    found = boosts["norms"][ops]
    assert len(found["rows"]) == 6
    for row in found["rows"]:
        assert (row["reason"], row["told"]) == (None, [])
        assert set(row["types"]) == {"torch.bfloat16"}
        assert row["again"]  # what a checkpoint's first pass sees
        assert row["back"]
        for ours, stock in zip(row["ours"], row["stock"], strict=True):
            assert ours <= stock * 1.05
    assert (found["calls"] > 0) == (ops == "counting")


@pytest.mark.training
def test_norms_that_fail_give_the_stock_gradient(boosts):
    found = dict(boosts["norms"]["counting"]["failing"])
    assert found.pop("trained")
    assert len(found) == 4
    for where, seen in found.items():
        assert len(seen["told"]) == 1, where
        assert not seen["is on"]
        assert seen["errors"][0] < 5e-3
        assert seen["errors"][1] < (1e-6 if "backward" in where else 1e-2), where


@pytest.mark.slow
@pytest.mark.training
def test_kernels_are_as_close_as_torch(kernels, training_python):
    found = kernels
    stock = ask(training_python, "ops")
    assert len(found["errors"]) == 7
    for sizes, errors in found["errors"].items():
        for name, error in errors.items():
            # the interpreter cuts bf16 off instead of rounding it; in fp32 sums go in another order
            slack = {"bfloat16": 1.0, "float32": 2.0}.get(sizes.split()[0], 0.02)
            assert error <= stock[sizes][name] * 1.1 + slack, (sizes, name)
    assert found["left to torch"] == {
        "strided rows": True, "strided image": True, "no rows": [0, 8], "fp32": True,
    }  # fmt: skip


@pytest.mark.slow
def test_casts_are_the_same_bits_in_the_same_strides(kernels):
    casts = kernels["casts"]
    assert len(casts) == 32
    for name, seen in casts.items():
        assert seen["wrong"] == 0, name
        assert seen["strides"], name
        assert seen["kernel"] == (not name.endswith(("part", "odd"))), name


@pytest.mark.slow
def test_a_kernel_that_fails_or_differs_is_torchs(kernels, with_triton):
    failing = kernels["failing"]
    assert failing["memory"]
    assert failing["calls"] == 2  # the full memory, the failure; then no more
    assert failing["same"]
    assert failing["given up"] == ["layer_norm"]
    assert [name for name, _ in failing["told"]] == ["kernels"]
    assert "no such instruction" in failing["told"][0][1]
    chosen = ask(with_triton, "chosen", interpret=True)
    assert chosen["given up"] == ["geglu"]
    assert len(chosen["told"]) == 1
    assert "geglu" in chosen["told"][0][1]
    assert len(chosen["turing"]) == 8
    assert "cast" not in chosen["turing"]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["LAUNCHER_TRITON", "LAUNCHER_REAL_ENVS"])
def test_kernels_become_machine_code_that_moves_16_bytes_at_a_time(which):
    named = os.environ.get(which)
    if not named:
        pytest.skip(f"{which} names no Python that has torch and Triton")
    python = (
        named if which == "LAUNCHER_TRITON" else Path(named) / "sd-scripts" / "1" / "venv" / "bin" / "python"
    )
    found = ask(python, "compiled")
    assert len(found) == 64
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-scripts", "sd-scripts-fp8"])
def test_upstreams_unet_under_upstreams_lora(name):
    environments = os.environ.get("LAUNCHER_REAL_ENVS")
    code = os.environ.get({"sd-scripts": "LAUNCHER_SD_SCRIPTS"}.get(name, "LAUNCHER_SD_SCRIPTS_FP8"))
    if not environments or not code:
        pytest.skip("LAUNCHER_REAL_ENVS and LAUNCHER_SD_SCRIPTS name no real trainer")
    python = Path(environments) / name / "1" / "venv" / "bin" / "python"
    found = ask(python, "real", code, path=ROOT / "tests" / "real" / "shrink")
    assert found["repeats"]
    assert (found["cast"], found["norms"], found["told"], found["shared"]) == (None, None, [], {})
    assert found["same"]
    assert (
        found["casts"] > found["loras"] > 0
    )  # every layer under a LoRA, others, and again at the second pass
    assert found["norms called"] > 100
    assert min(found["sizes"]) > 0
    assert max(found["apart"]) < 5e-2  # bf16
    assert found["back"]
    assert found["then"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-scripts", "sd-scripts-fp8"])
def test_a_whole_training_with_norms(name, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a river --w 64 --h 64 --s 2 --d 5\n", encoding="utf-8")
    train = {**TRAIN, "max_train_steps": 4, "sample_prompts": str(prompts)}
    with opened(name, tmp_path / "rig") as rig:
        stock, ours = (
            rig.train(tmp_path / "_".join(("run", *on)), switches=switches(*on), train=train)
            for on in ((), ("norms", "cast"))
        )
    [event] = ours.events("boosts")
    assert {one["name"] for one in event["boosts"] if one["used"]} == {"norms"}
    assert "kernel" in next(one["reason"] for one in event["boosts"] if one["name"] == "cast")
    assert told(ours) <= told(stock)
    assert len(list((ours.run.output / "sample").glob("*.png"))) == 1
    apart = [
        abs(float.fromhex(a["loss"]) / float.fromhex(b["loss"]) - 1)
        for a, b in zip(ours.record(), stock.record(), strict=True)
    ]
    assert len(apart) == 4
    assert max(apart) < 1e-2  # bf16, a model of 32 channels
