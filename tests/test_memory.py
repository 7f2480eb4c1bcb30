"""Less memory, the same numbers: each saving against what it stands in for (tests/memory_probe.py)."""

import hashlib
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from launcher.errors import InputError
from launcher.shim.memory.late import install as install_late
from launcher.shim.memory.models import Moments, WrongNumbersError
from launcher.shim.memory.prompt_store import PromptStore
from tests.real.rig import opened

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "tests" / "memory_probe.py"


def ask(python, *words, env=None):
    command = [str(word) for word in (python, PROBE, *words)]
    env = {
        **(env or os.environ),
        "OMP_NUM_THREADS": "1",
    }  # threads that wait for each other are slow on a busy machine
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=280, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.training
def test_a_cast_from_the_files_type_is_the_cast_by_way_of_float32(training_python):
    different = ask(training_python, "casts")
    assert len(different) == 16
    assert set(different.values()) == {0}


@pytest.mark.training
def test_vae_in_rows_differs_by_rounding_only(training_python):
    bounds = {
        "float64": 2e-6,
        "float32": 2e-5,
        "float16": 1e-2,
        "bfloat16": 1e-1,
    }  # moments are float32 at most
    for row in ask(training_python, "rows"):
        assert row["refused"] == [None, None]
        assert row["untouched"], row
        assert max(row["latents"], row["image"]) < bounds[row["dtype"]], row


@pytest.mark.training
def test_an_unusual_vae_is_left_alone(training_python):
    seen = ask(training_python, "oddities")
    assert "convolutions" in seen["refused"]
    assert seen["still_works"]
    assert seen["gradient"] > 0


@pytest.mark.training
def test_offloaded_weights_give_the_same_loss_and_gradients(training_python):
    found = ask(training_python, "offloading")
    fp8 = found.pop("fp8")
    assert fp8 == {"taken": 2 * 8 * 64, "same": True}
    for seen in found.values():
        assert seen["same"]
        assert seen["count"] == 7
        assert seen["taken"] > 0
        assert seen["names"] == ["Conv2d", "GroupNorm", "Linear", "Linear", "Linear"]
        assert seen["left"] == ["norm.weight"]
        assert seen["stays"] == "cpu"


@pytest.mark.training
def test_sampling_takes_turns_on_a_small_card_and_never_ends_a_run(training_python):
    seen = ask(training_python, "sampling")
    assert seen["left"] == [
        False,
        False,
    ]  # autocast, which accelerate forgets to leave: training would stay in it
    assert seen["right"]
    assert seen["calls"] == [2, 1, 1, 1, 1]  # tried together once only
    assert (seen["dtype"], seen["plain"], seen["through"]) == ("torch.float16", "torch.bfloat16", 4)
    assert seen["result"] is None
    assert seen["chance"]
    [message] = seen["told"]
    assert "too small" in message
    assert "Training goes on" in message


@pytest.mark.training
def test_moves_that_are_put_off_end_where_stocks_end(training_python):
    found = ask(training_python, "moves")
    assert len(found["chains"]) == 5
    for name, seen in found["chains"].items():
        assert seen == {"says": True, "untouched": True, "same": True, "clean": True}, name
    for name, seen in found["needs"].items():
        last = "torch.float64" if name == "double" else "torch.bfloat16"
        assert seen == [["torch.float32"], [last], True, ["torch.float16"]], name
    assert found["wrong"] == ["torch.bfloat16"]  # and stock's error
    assert found["elsewhere"]


LATE = {
    "cache_latents": True, "cache_latents_to_disk": True, "cache_text_encoder_outputs": True,
    "cache_text_encoder_outputs_to_disk": True, "network_module": "networks.lora", "lowram": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "off", "late"),
    [
        ({}, "", ["vae", "one", "two"]),
        ({}, "checksums moves", []),
        ({"cache_latents": False, "cache_latents_to_disk": False}, "", ["one", "two"]),
        ({"cache_latents_to_disk": False}, "", ["one", "two"]),
        ({"cache_text_encoder_outputs": False, "cache_text_encoder_outputs_to_disk": False}, "", ["vae"]),
        ({"cache_text_encoder_outputs_to_disk": False}, "", ["vae"]),
        ({"base_weights": ["merged into the text encoders"]}, "", ["vae"]),
        ({"network_module": "lycoris.kohya"}, "", ["vae"]),
        ({"lowram": True}, "", []),
        ({"deepspeed": True}, "", []),
    ],
)
def test_moves_are_put_off_where_caches_can_spare_them(monkeypatch, changes, off, late):
    monkeypatch.setenv("LAUNCHER_STARTUP_OFF", off)
    seen = []
    monkeypatch.setattr("launcher.shim.memory.late.put_off", seen.append)
    context = types.SimpleNamespace(args=types.SimpleNamespace(**{**LATE, **changes}))
    moments = Moments(context)
    install_late(context, moments)
    for part in moments.on_load:
        part(types.SimpleNamespace(vae="vae", text_encoders=["one", "two"]))
    assert seen == late


def test_a_saving_that_fails_is_left_out_and_only_wrong_numbers_end_a_run():
    def damaged():
        raise InputError("a file of ours is damaged")

    def wrong():
        raise WrongNumbersError("the U-Net has another type")

    told = []
    moments = Moments(types.SimpleNamespace(warn=told.append))
    moments._attempt(damaged)
    assert len(told) == 1
    assert "a file of ours is damaged" in told[0]
    with pytest.raises(WrongNumbersError):
        moments._attempt(wrong)


def test_encoded_prompts_are_not_taken_for_those_of_other_merged_weights(tmp_path, monkeypatch):
    """`base_weights` are merged into the text encoders before they encode."""
    for name in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(__version__="1"))
    monkeypatch.setenv("LAUNCHER_CACHE_DIR", str(tmp_path))
    lora = tmp_path / "lora.safetensors"
    lora.write_bytes(bytes(64))

    def place(**more):
        args = types.SimpleNamespace(
            pretrained_model_name_or_path="model",
            clip_skip=None,
            max_token_length=None,
            fp8_base=True,
            **more,
        )
        return PromptStore.of(
            types.SimpleNamespace(args=args, version="v0.10.1"), types.SimpleNamespace(weight_dtype="bf16")
        ).path

    ways = [
        {},
        {"base_weights": [str(lora)]},
        {"base_weights": [str(lora)], "base_weights_multiplier": [0.5]},
    ]
    assert len({place(**way) for way in ways}) == 3
    assert place() == place(base_weights=None)


# The real trainers, shrunken


ALL_OFF = {
    "lean_load": False, "free_text_encoders": False, "vae_encode": "stock", "vae_decode": "stock",
    "sample_unet": "stock", "offload_mib": 0,
}  # fmt: skip
# Rows are not bit-equal, so they are left out of the runs that must be.
ALL_ON = {
    **ALL_OFF,
    "lean_load": True,
    "free_text_encoders": True,
    "sample_unet": "autocast",
    "offload_mib": 1,
}
PROMPTS = (
    "a river, (stone:1.3) --n bad, worst --w 64 --h 64 --s 2 --d 5\n"
    f"mist, birds {'word ' * 90} --w 64 --h 128 --s 2 --d 6 --l 1\n"
)
TRAIN = {
    "max_train_steps": 6, "mixed_precision": "bf16", "cache_text_encoder_outputs": True, "gradient_checkpointing": True,
    "sample_every_n_steps": 3, "sample_sampler": "euler_a",
}  # fmt: skip


@pytest.fixture(scope="module", params=("sd-scripts", "sd-scripts-fp8"))
def rig(request, tmp_path_factory):
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as rig:
        rig.half = rig.folder / "half.safetensors"
        ask(
            rig.python,
            "convert",
            rig.material / "tiny.safetensors",
            "float16",
            rig.half,
            env=rig.environment(),
        )
        yield rig


def train_with(rig, folder, prompts, **changes):
    place = folder.parent / f"{folder.name}.txt"
    place.write_text(prompts, encoding="utf-8")
    return {**TRAIN, "pretrained_model_name_or_path": str(rig.half), "sample_prompts": str(place), **changes}


def pictures(ended):
    """Hashes of the sample images by step and number, without the time in their names."""
    found = {}
    for path in sorted((ended.run.output / "sample").glob("*.png")):
        words = [word for word in path.stem.removeprefix("it 訓練_").split("_") if len(word) < 14]
        found["_".join(words)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def losses(ended):
    return [line["loss"] for line in ended.record()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_lean_loading_ends_in_stocks_bits(rig, kind):
    file = rig.folder / f"{kind}.safetensors"
    ask(rig.python, "convert", rig.material / "tiny.safetensors", kind, file, env=rig.environment())
    found = ask(rig.python, "loading", rig.code, file, env=rig.environment())
    for seen in found.values():
        assert seen["weights"] > 900
        assert seen["different"] == []
    assert found["fp8"]["as_loaded"] == [f"torch.{kind}"]
    assert found["full"]["as_loaded"] == ["torch.float8_e4m3fn"]


@pytest.mark.slow
def test_all_savings_together_train_and_sample_the_same_bits(rig, tmp_path):
    """Lean load, encoders dropped, prompts remembered, weights offloaded: against the same shim without."""
    off = rig.train(tmp_path / "off", switches=ALL_OFF, train=train_with(rig, tmp_path / "off", PROMPTS))
    on = rig.train(tmp_path / "on", switches=ALL_ON, train=train_with(rig, tmp_path / "on", PROMPTS))
    assert losses(on) == losses(off)
    assert len(losses(on)) == 6
    assert on.weights() == off.weights()
    assert pictures(on) == pictures(off)
    assert len(pictures(on)) == 4
    [kept] = (rig.folder / "cache").glob("prompts-*.safetensors")
    written = kept.stat().st_mtime_ns
    again = rig.train(tmp_path / "again", switches=ALL_ON, train=train_with(rig, tmp_path / "on", PROMPTS))
    assert pictures(again) == pictures(off)  # from what the first start has kept
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(kept.read_bytes()[:-9])
    torn = rig.train(tmp_path / "torn", switches=ALL_ON, train=train_with(rig, tmp_path / "on", PROMPTS))
    assert pictures(torn) == pictures(off)
    assert kept.stat().st_mtime_ns > written
    in_rows = {**ALL_ON, "vae_encode": "rows", "vae_decode": "rows"}
    rows = rig.train(tmp_path / "rows", switches=in_rows, train=train_with(rig, tmp_path / "rows", PROMPTS))
    assert pictures(rows).keys() == pictures(off).keys()
    apart = [
        abs(float.fromhex(a) / float.fromhex(b) - 1) for a, b in zip(losses(rows), losses(off), strict=True)
    ]
    assert max(apart) < 1e-3


@pytest.mark.slow
def test_without_cached_outputs_the_encoders_stay(rig, tmp_path):
    changes = {"cache_text_encoder_outputs": None, "network_train_unet_only": None, "text_encoder_lr": 0.001}
    off = rig.train(
        tmp_path / "off", switches=ALL_OFF, train=train_with(rig, tmp_path / "off", PROMPTS, **changes)
    )
    on = rig.train(
        tmp_path / "on", switches=ALL_ON, train=train_with(rig, tmp_path / "on", PROMPTS, **changes)
    )
    assert losses(on) == losses(off)
    assert on.weights() == off.weights()
    assert pictures(on) == pictures(off)


@pytest.mark.slow
def test_without_sampling_vae_and_encoders_are_gone_and_nobody_misses_them(rig, tmp_path):
    changes = {"sample_every_n_steps": None, "cache_text_encoder_outputs_to_disk": True}
    off = rig.train(
        tmp_path / "off", switches=ALL_OFF, train=train_with(rig, tmp_path / "off", "", **changes)
    )
    on = rig.train(tmp_path / "on", switches=ALL_ON, train=train_with(rig, tmp_path / "on", "", **changes))
    assert losses(on) == losses(off)
    assert on.weights() == off.weights()


@pytest.mark.slow
def test_a_prompt_written_in_mid_run_is_encoded_as_if_it_had_been_there(rig, tmp_path):
    new = PROMPTS.replace("river", "mountain").replace("worst", "blurred")
    changes = {"max_train_steps": 9, "sample_every_n_steps": 4}
    control = rig.train(
        tmp_path / "new", switches=ALL_ON, train=train_with(rig, tmp_path / "new", new, **changes)
    )
    for kept in (rig.folder / "cache").glob("prompts-*.safetensors"):  # else they would be known from there
        kept.unlink()
    started = rig.start(
        tmp_path / "old", switches=ALL_ON, train=train_with(rig, tmp_path / "old", PROMPTS, **changes)
    )
    samples = started.run.output / "sample"
    deadline = time.monotonic() + 120
    while len(list(samples.glob("*.png"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    (tmp_path / "old.txt").write_text(new, encoding="utf-8")
    changed = rig.wait(started)
    assert changed.code == 0, changed.log[-3000:]
    ours, right = pictures(changed), pictures(control)
    assert ours.keys() == right.keys()
    late = [name for name in right if "000008" in name]
    assert late
    assert [ours[name] for name in late] == [right[name] for name in late]
    assert ours != right
    assert any("loaded again" in event["message"] for event in changed.events("warning"))
    assert changed.weights() == control.weights()


@pytest.mark.slow
def test_a_sample_that_fails_is_a_warning_and_changes_nothing(rig, tmp_path):
    good = rig.train(tmp_path / "good", switches=ALL_ON, train=train_with(rig, tmp_path / "good", PROMPTS))
    bad = f"{PROMPTS}a river --w 64 --h 64 --s 2 --d 7 --cn no_such_file.png\n"
    ended = rig.train(tmp_path / "bad", switches=ALL_ON, train=train_with(rig, tmp_path / "bad", bad))
    assert ended.weights() == good.weights()
    assert any("Training goes on" in event["message"] for event in ended.events("warning"))


@pytest.mark.slow
def test_what_does_not_fit_is_told_and_done_stocks_way(rig, tmp_path):
    first = rig.train(
        tmp_path / "first", switches=ALL_OFF, train=train_with(rig, tmp_path / "first", PROMPTS)
    )
    changes = {"base_weights": [str(first.run.output / first.files[-1])]}
    off = rig.train(
        tmp_path / "off", switches=ALL_OFF, train=train_with(rig, tmp_path / "off", PROMPTS, **changes)
    )
    on = rig.train(
        tmp_path / "on", switches=ALL_ON, train=train_with(rig, tmp_path / "on", PROMPTS, **changes)
    )
    assert on.weights() == off.weights()
    assert pictures(on) == pictures(off)
    assert any("base_weights are merged" in event["message"] for event in on.events("warning"))


CACHED = {
    "cache_latents_to_disk": True, "cache_text_encoder_outputs_to_disk": True, "max_train_steps": 4,
}  # fmt: skip
ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection")


def starts(rig, folder, name, cache, *, off="", switches=ALL_ON, **changes):
    """One training out of a folder of caches: its end, and the moves of VAE and text encoders."""
    prompts = PROMPTS if changes.setdefault("sample_every_n_steps", None) else ""
    env = {
        "LAUNCHER_CACHE_DIR": folder / cache,
        "LAUNCHER_STARTUP_OFF": off,
        "REAL_MOVES": folder / f"{name}.moves",
    }
    train = train_with(rig, folder / name, prompts, **CACHED, **changes)
    ended = rig.train(folder / name, switches=switches, train=train, env=env)
    assert not [event for event in ended.events("warning") if "saving" in event["message"]]
    moves = folder / f"{name}.moves"
    return ended, moves.read_text(encoding="utf-8").splitlines() if moves.exists() else []


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
def test_a_start_with_all_caches_moves_nothing(rig, tmp_path):
    """... and whether moves are put off is seen neither in caches nor in numbers."""
    cold, stocks = starts(rig, tmp_path, "cold", "cache", off="moves")
    fresh, _ = starts(rig, tmp_path, "fresh", "other cache")
    assert contents(tmp_path / "cache") == contents(tmp_path / "other cache")
    warm, moves = starts(rig, tmp_path, "warm", "cache")
    told = [event["total"] for event in warm.events("progress") if event["phase"].startswith("cache_")]
    assert set(told) == {0}  # found what was made with the moves
    assert len([line for line in stocks if not line.endswith("meta")]) >= 3
    assert {line.partition(":")[0] for line in moves} == {"AutoencoderKL", *ENCODERS}
    assert all(line.endswith("meta") for line in moves), moves
    again, stocks = starts(rig, tmp_path, "again", "cache", off="moves")
    assert any(line == "AutoencoderKL: float16 cpu -> float32 cpu" for line in stocks)
    assert losses(cold) == losses(fresh) == losses(warm) == losses(again)
    assert cold.weights() == fresh.weights() == warm.weights() == again.weights()


@pytest.mark.slow
def test_a_vae_that_samples_and_encoders_that_stay_end_as_in_stock(rig, tmp_path):
    sampling = {"sample_every_n_steps": 2}
    off, _ = starts(rig, tmp_path, "off", "cache", off="moves", **sampling)
    assert len(pictures(off)) == 4
    for kept in (tmp_path / "cache").glob("prompts-*"):
        kept.unlink()
    unknown, moves = starts(rig, tmp_path, "unknown", "cache", **sampling)
    assert [line for line in moves if "AutoencoderKL" in line] == [
        "AutoencoderKL: float16 cpu -> float32 cpu"
    ]
    assert "CLIPTextModel: float16 cpu -> bfloat16 cpu" in moves
    known, moves = starts(rig, tmp_path, "known", "cache", **sampling)
    assert all(line.endswith("meta") for line in moves if "CLIP" in line), moves
    stays = {**ALL_ON, "free_text_encoders": False}
    ours, moves = starts(rig, tmp_path, "ours", "cache", switches=stays, **sampling)
    stock, _ = starts(rig, tmp_path, "stock", "cache", switches=ALL_OFF, off="moves", **sampling)
    assert any("CLIPTextModel:" in line for line in moves)
    for ended in (unknown, known, ours, stock):
        assert pictures(ended) == pictures(off)
        assert losses(ended) == losses(off)
        assert ended.weights() == off.weights()
