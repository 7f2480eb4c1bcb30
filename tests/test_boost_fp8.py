"""The boost `fp8_matmul`: rounding, products and what becomes of it when torch refuses, by the training environment's Python.

Its torch multiplies fp8 on a processor (from 2.8 or so on); an older one gets an emulation of the same interface.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "boost_fp8_probe.py"


def ask(python, *words, **more):
    command = [str(word) for word in (python, PROBE, *words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=280, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.training
def test_rounding_errs_as_much_as_the_format_and_never_overflows(training_python):
    found = ask(training_python, "numbers")
    assert found.pop("inf") == [True, False, True, True]
    assert len(found) == 8
    for name, seen in found.items():
        assert seen["power"], name
        assert seen["finite"], name
        assert seen["all"] < 0.03, name
        is_by_row = name.endswith("True")
        assert seen["shape"] == ([48, 1] if is_by_row else [])
        if is_by_row:
            assert seen["worst_row"] < 0.03, name
    assert found["spread False"]["worst_row"] == 1  # what a scale for all cannot hold


@pytest.mark.training
def test_outputs_and_gradients_are_some_percent_off_and_stock_again_without(training_python):
    found = ask(training_python, "products")
    for by_row in ("True", "False"):
        seen = found[by_row]
        assert seen["checked"] is None
        assert seen["told"] == []
        assert max(seen["plain"]) < 0.01 < max(seen["errors"]) < 0.05
        assert seen["undone"]


@pytest.mark.training
def test_lora_and_blocks_multiply_by_it(training_python):
    found = ask(training_python, "together")
    assert list(found) == ["lora", "fp8_matmul", "blocks", "without"]
    assert max(found["lora"], found["without"]) < 0.02 < min(found["fp8_matmul"], found["blocks"])
    assert max(found.values()) < 0.1


@pytest.mark.training
def test_a_product_that_is_refused_is_made_the_stock_way_from_then_on(training_python):
    found = ask(training_python, "failures")
    assert sorted(found) == ["backward", "forward"]
    for seen in found.values():
        assert seen["told"] == [
            "fp8_matmul: failed and was turned off: RuntimeError: CUBLAS_STATUS_NOT_SUPPORTED"
        ]
        assert seen["on"] == [True, False]
        assert seen["apart"] < 0.05
        assert seen["stock"] == "Matmul"
        assert seen["after"]


@pytest.mark.training
def test_what_speaks_against_it(training_python):
    assert ask(training_python, "reasons") == [
        None,
        False,
        "the card has no tensor cores for fp8 (they begin with RTX 40)",
        "the base weights are not stored in fp8 (e4m3)",
        "neither lora nor blocks is used, which would multiply by it",
        "the training does not compute in 16 bits",
    ]


@pytest.mark.training
def test_the_self_check_finds_a_wrong_product(training_python):
    wrong, no_number, refused = ask(training_python, "disagreement")
    assert wrong.startswith("output: 20.")
    assert no_number == "output: inf% from fp32"
    assert refused.startswith("RuntimeError: shape")


@pytest.mark.training
def test_kernels_round_as_torch_does():
    """In Triton's interpreter, whose own rounding is coarser than a card's: a code is at most a step away, or has lost a carry."""
    python = os.environ.get("LAUNCHER_TRITON_PYTHON")
    if not python:
        pytest.skip("LAUNCHER_TRITON_PYTHON names no Python with torch and Triton 3.2 or newer")
    seen = ask(python, "kernels", TRITON_INTERPRET="1")
    assert len(seen["scales"]) == 10
    assert all(seen["scales"])
    assert seen["turned"]
    assert seen["others"] == 0
    assert seen["different"] < 0.1 * seen["count"]
