"""The real sd-scripts at both pins, its own train loop around a shrunken model on the CPU: exact resume, and what it saves.

Never part of the normal suite. It wants LAUNCHER_REAL_ENVS: a folder like `vendor/`, with the installed environments
`sd-scripts/<n>` and `sd-scripts-fp8/<n>` (python setup_env.py setup), and the tokenizers of SDXL in `tokenizers/` there or
where LAUNCHER_TOKENIZERS says. Without them it skips, saying so.

LAUNCHER_KILLS: how many random kills (default 2). LAUNCHER_KILL_SEED: to see the same ones again.
LAUNCHER_KILL_EVERYWHERE=1: before, in and behind every single act of writing, not only some.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from launcher.states import list_states, verify_state
from tests.real.rig import HERE, NAME, Rig
from tests.real.story import assert_same, difference, live

PINNED = {
    "sd-scripts": "ae72efb92babe89ff8e70f057e42db68440e8d61",
    "sd-scripts-fp8": "100f852b5858462070831d4135fee7b7080de592",
}
KILLS = int(os.environ.get("LAUNCHER_KILLS", "2"))
SEED = int(os.environ.get("LAUNCHER_KILL_SEED", "20261124"))
EVERYWHERE = bool(os.environ.get("LAUNCHER_KILL_EVERYWHERE"))
BATCHES = 7  # of an epoch: seven images

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(3600)]

STATES = {"save_every_n_steps": 3}  # twelve steps are no whole number of epochs of seven
CHANCE = {  # everything that chance decides, and worker processes that decide it
    "train": {
        **STATES, "cache_latents": None, "max_data_loader_n_workers": 2, "persistent_data_loader_workers": True,
        "noise_offset": 0.05, "noise_offset_random_strength": True, "ip_noise_gamma": 0.05, "lr_scheduler": "linear",
    },
    "subset": {
        "shuffle_caption": True, "flip_aug": True, "color_aug": True, "caption_dropout_rate": 0.2,
        "caption_tag_dropout_rate": 0.2, "token_warmup_min": 1, "token_warmup_step": 6, "random_crop": True,
    },
}  # fmt: skip
FORK_LACKS = ("noise_offset_random_strength",)
SHAPES = {
    "plain": {"train": STATES},
    "accumulation 2": {
        "train": {**STATES, "gradient_accumulation_steps": 2, "max_train_epochs": 3}
    },  # 4 steps each
    "accumulation 3": {
        "train": {"save_every_n_steps": 2, "gradient_accumulation_steps": 3, "max_train_steps": 8}
    },
    "epochs": {"train": {"save_every_n_epochs": 1, "max_train_epochs": 3, "max_train_steps": None}},
    "two images a batch": {
        "train": STATES,
        "dataset": {"batch_size": 2},
    },  # 2 + 2 + 1 batches: half full ones too
    "chance": CHANCE,
    "text encoders": {"train": {**STATES, "network_train_unet_only": None, "text_encoder_lr": 0.001}},
    "bf16, outputs cached": {
        "train": {**STATES, "mixed_precision": "bf16", "cache_text_encoder_outputs": True}
    },
}


@pytest.fixture(scope="module")
def envs():
    place = os.environ.get("LAUNCHER_REAL_ENVS")
    if not place:
        pytest.skip("LAUNCHER_REAL_ENVS names no folder with the real trainers' environments")
    return Path(place)


@pytest.fixture(scope="module", params=PINNED)
def rig(request, envs, tmp_path_factory):
    rig = Rig(envs, request.param, tmp_path_factory.mktemp(request.param))
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def control(rig, tmp_path_factory):
    """Never interrupted, trained with the shim, once for each shape."""
    known = {}

    def trained(shape):
        if shape not in known:
            known[shape] = live(rig, tmp_path_factory.mktemp("control"), **SHAPES[shape])
        return known[shape]

    return trained


UNCACHED = {
    "train": {**STATES, "cache_latents": None}
}  # our caches draw latents from a generator of their own


def test_first_run_is_stocks_but_for_the_order_of_images(rig, control, tmp_path):
    """The same number of steps, names, metadata and learning rates."""
    stock = rig.train(tmp_path / "stock", shim=False, **SHAPES["plain"])
    ours = control("plain").last
    assert ours.files == stock.files
    assert difference(ours.record(), stock.record(), ("epoch", "step", "lr")) is None
    mine, theirs = ours.lora(), stock.lora()
    assert mine[1].keys() == theirs[1].keys()
    assert mine[0].keys() == theirs[0].keys()
    assert mine[0]["ss_steps"] == theirs[0]["ss_steps"] == "12"
    for epoch in (0, 1):  # stock shows some twice in an epoch and others not at all (facts/sd-scripts.md 2.2)
        seen = [line["images"][0] for line in ours.record() if line["epoch"] == epoch]
        assert len(set(seen)) == len(seen)


def test_without_exact_resume_the_first_run_is_stocks_to_the_bit(rig, tmp_path):
    """Loading lean too. The VAE in rows rounds otherwise: the same images, noise and timesteps, losses within rounding."""
    stock = rig.train(tmp_path / "stock", shim=False, **UNCACHED)
    plain = {"exact_resume": False, "vae_encode": "stock"}
    ours = rig.train(tmp_path / "ours", switches=plain, **UNCACHED)
    assert difference(ours.record(), stock.record()) is None
    assert ours.weights() == stock.weights()
    rows = rig.train(tmp_path / "rows", switches={"exact_resume": False}, **UNCACHED)
    assert (
        difference(rows.record(), stock.record(), ("images", "pixels", "noise", "t", "context", "y", "lr"))
        is None
    )
    pairs = zip(rows.record(), stock.record(), strict=True)
    assert all(abs(float.fromhex(a["loss"]) / float.fromhex(b["loss"]) - 1) < 1e-4 for a, b in pairs)


def test_the_second_start_reads_no_model_for_its_hash(rig, tmp_path):
    """... and the LoRA says the same as stock's, which reads all of it at each start."""
    short = {"train": {"max_train_steps": 1}}
    env = {"LAUNCHER_NOTES_DIR": tmp_path / "notes"}
    first, second = (rig.train(tmp_path / name, env=env, **short) for name in ("first", "second"))
    stock = rig.train(tmp_path / "stock", shim=False, **short)
    told = [[one for one in run.events("phase") if one["name"] == "hash_model"] for run in (first, second)]
    assert [len(events) for events in told] == [2, 0]
    for key in ("ss_sd_model_hash", "ss_new_sd_model_hash", "ss_sd_model_name"):
        assert first.lora()[0][key] == second.lora()[0][key] == stock.lora()[0][key]
    assert first.weights() == second.weights()


def test_without_exact_resume_steps_are_counted_on(rig, tmp_path):
    """Stock trains what it trains; what is told of it, and the names of states, are absolute."""
    switches = {"exact_resume": False}
    first = rig.train(tmp_path / "first", switches=switches, **SHAPES["plain"])
    assert [event["step"] for event in first.events("step")] == [*range(1, 13)]
    assert first.events("totals")[0]["total_steps"] == 12
    rest = rig.train(tmp_path / "rest", switches=switches, resume=first.state(6), **SHAPES["plain"])
    steps = [event["step"] for event in rest.events("step")]
    assert steps == [*range(7, 7 + len(steps))]
    assert steps[-1] == 18 if rig.name == "sd-scripts-fp8" else steps[-1] >= 12
    assert rest.events("totals")[0]["total_steps"] == (18 if rig.name == "sd-scripts-fp8" else 12)
    states = list_states(rest.run)
    assert {verify_state(state) for state in states} == {None}
    assert states[0].name == f"step{steps[-1]:08d}"
    assert rest.events("end")[0]["status"] == "SUCCEEDED"


def test_a_pause_at_an_epochs_last_step_leaves_its_samples(rig, tmp_path):
    """Step 7 ends an epoch of seven images; the end is that of a training without a pause."""
    (tmp_path / "prompts.txt").write_text("a cat --w 64 --h 64 --s 1 --d 3\n", encoding="utf-8")
    drawing = {
        "train": {**STATES, "sample_every_n_epochs": 1, "sample_prompts": str(tmp_path / "prompts.txt")}
    }
    whole = live(rig, tmp_path / "whole", **drawing)
    story = live(rig, tmp_path / "paused", parts=[{"REAL_PAUSE_AT": "6:{run}/pause"}], **drawing)
    assert story.starts == [None, 7]
    assert_same(story, whole)
    drawn = [len(list(part.run.output.glob("sample/*.png"))) for part in (whole.last, *story.parts)]
    assert drawn == [2, 1, 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_same_training_twice_is_the_same(rig, control, shape, tmp_path):
    """Else the comparisons below would compare nothing."""
    assert_same(live(rig, tmp_path, **SHAPES[shape]), control(shape))
    losses = {line["loss"] for line in control(shape).record()}
    assert len(losses) > 4


@pytest.mark.parametrize("shape", SHAPES)
def test_three_resumes_in_a_chain(rig, control, shape, tmp_path):
    """Paused, killed, paused: inside an epoch, right behind a state, at an epoch's end."""
    whole = control(shape)
    total = whole.record()[-1]["step"]
    pause, kill = "{run}/pause", "step:{step}"
    parts = [
        {"REAL_PAUSE_AT": f"{total // 4}:{pause}"},
        {"REAL_KILL": kill.format(step=total * 5 // 8)},
        {"REAL_PAUSE_AT": f"{total * 3 // 4}:{pause}"},
    ]
    story = live(rig, tmp_path, parts=parts, **SHAPES[shape])
    assert len(story.parts) == 4
    assert_same(story, whole)


def test_killed_at_random_moments(rig, control, tmp_path):
    chance = random.Random(SEED)
    for number in range(KILLS):
        shape = chance.choice(list(SHAPES))
        whole = control(shape)
        batches = len(whole.record())
        parts = [{"REAL_KILL": f"batch:{chance.randint(1, batches)}"} for _ in range(chance.randint(1, 3))]
        story = live(rig, tmp_path / str(number), parts=parts, **SHAPES[shape])
        print(
            f"{rig.name}, {shape}: {[part.get('REAL_KILL') for part in parts]}, resumed at {story.starts[1:]}"
        )
        assert_same(story, whole)


def test_killed_in_the_middle_of_writing(rig, control, tmp_path):
    """Before, in and behind acts of writing: of LoRA files, of states' parts, of renames."""
    noted = rig.train(tmp_path / "noted", env={"REAL_WRITES": tmp_path / "writes.tsv"}, **SHAPES["plain"])
    lines = (tmp_path / "writes.tsv").read_text(encoding="utf-8").splitlines()
    assert noted.weights() == control("plain").last.weights()
    kinds = {line.split("\t")[1] for line in lines}
    assert {"torch.save", "save_file"} <= kinds
    moments = [(number, how) for number in range(1, len(lines) + 1) for how in ("before", "half", "after")]
    if not EVERYWHERE:
        moments = random.Random(SEED).sample(moments, min(len(moments), 2 * KILLS))
    for number, how in moments:
        story = live(
            rig,
            tmp_path / f"{number} {how}",
            parts=[{"REAL_KILL": f"write:{number}:{how}"}],
            **SHAPES["plain"],
        )
        assert story.parts[0].code == -9
        assert_same(story, control("plain"))
        leftovers = [path for part in story.parts for path in part.run.folder.rglob(".tmp-*")]
        assert leftovers == [], (number, how)


def test_killed_between_the_last_state_and_the_final_lora(rig, control, tmp_path):
    """The training is done; what is missing is written from the state, no step is trained again."""
    noted = rig.train(tmp_path / "noted", env={"REAL_WRITES": tmp_path / "writes.tsv"}, **SHAPES["plain"])
    assert noted.files
    lines = [line.split("\t") for line in (tmp_path / "writes.tsv").read_text(encoding="utf-8").splitlines()]
    last = max(int(number) for number, act, _ in lines if act == "save_file")
    story = live(rig, tmp_path / "killed", parts=[{"REAL_KILL": f"write:{last}:half"}], **SHAPES["plain"])
    assert story.starts == [None, 12]
    assert story.last.record() == []
    assert NAME + ".safetensors" not in story.parts[0].files
    assert_same(story, control("plain"))


def test_states_are_verified_and_few(rig, control):
    run = control("plain").last.run
    states = list_states(run)
    assert [state.name for state in states] == ["step00000012", "step00000009", "step00000006"]
    assert [verify_state(state) for state in states] == [None, None, None]
    said = json.loads((states[0] / "train_state.json").read_text(encoding="utf-8"))
    assert said["current_step"] == 12


def test_damaged_newest_state_falls_back_to_the_one_before(rig, control, tmp_path):
    story = live(rig, tmp_path / "a", parts=[{"REAL_KILL": "step:10"}], **SHAPES["plain"])
    assert story.starts == [None, 9]
    killed = rig.train(tmp_path / "b" / "part0", env={"REAL_KILL": "step:10"}, code=-9, **SHAPES["plain"])
    os.truncate(killed.state(9) / "optimizer.bin", 100)
    assert verify_state(killed.state(9))
    assert verify_state(killed.state(6)) is None
    rest = live(rig, tmp_path / "b" / "rest", resume=killed.state(6), **SHAPES["plain"])
    assert rest.last.weights() == control("plain").last.weights()


def test_through_accelerate_launch_it_is_the_same(rig, control, tmp_path):
    """No forks, no imports before: as a user's computer does it."""
    launched = rig.launch(tmp_path / "launched", **SHAPES["plain"])
    assert difference(launched.record(), control("plain").record()) is None
    assert launched.weights() == control("plain").last.weights()


SHARED = {"train": {**STATES, "max_train_steps": 10}}  # four batches an epoch on each of two


def test_two_processes(rig, tmp_path):
    whole = rig.launch(tmp_path / "whole", processes=2, **SHARED)
    first, second = whole.record(0), whole.record(1)
    assert [line["step"] for line in first] == [line["step"] for line in second] == [*range(1, 11)]
    assert not {line["noise"] for line in first} & {line["noise"] for line in second}
    for epoch in (0, 1):
        seen = [line["images"][0] for line in (*first, *second) if line["epoch"] == epoch]
        assert len(seen) == 8
        assert len(set(seen)) == BATCHES  # the eighth fills up
    assert [event["step"] for event in whole.events("step")] == [*range(1, 11)]
    assert len(whole.events("start")) == len(whole.events("end")) == 1
    metadata, _, _ = whole.lora()
    assert metadata["ss_steps"] == "10"
    paused = rig.launch(
        tmp_path / "p", processes=2, env={"REAL_PAUSE_AT": f"4:{tmp_path / 'p' / 'pause'}"}, **SHARED
    )
    assert paused.events("end")[-1]["status"] == "PAUSED"
    [state] = [state for state in list_states(paused.run) if state.name.endswith("5")]
    assert verify_state(state) is None
    rest = rig.launch(tmp_path / "rest", processes=2, resume=state, **SHARED)
    for rank in (0, 1):
        told = paused.record(rank)[:5] + rest.record(rank)
        assert difference(told, whole.record(rank)) is None
    assert rest.weights() == whole.weights()


def test_produced_lora_loads_in_diffusers(rig, control, tmp_path):
    """Its own key conversion, on its own U-Net: the same prediction as sd-scripts' own network on its own U-Net."""
    path = control("text encoders").last.run.output / f"{NAME}.safetensors"
    words = [rig.python, HERE / "reader.py", rig.code, rig.material / "tiny.safetensors", path]
    finished = subprocess.run(words, env=rig.environment(), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    seen = json.loads(finished.stdout.splitlines()[-1])
    assert seen["unread"] == []
    assert seen["unet_modules"] == 132
    assert seen["text_modules"] == {"text_encoder": 72, "text_encoder_2": 18}
    assert seen["change"] > 100 * seen["error"], seen
    metadata, _, _ = control("text encoders").last.lora()
    assert metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["ss_sd_scripts_commit_hash"] == PINNED[rig.name]  # not that of the repository around it
    assert metadata["ss_network_module"] == "networks.lora"
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "2.0")
    assert metadata["ss_steps"] == metadata["ss_max_train_steps"] == "12"
    assert metadata["ss_output_name"] == NAME
    assert json.loads(metadata["ss_tag_frequency"])["images"]["pic0"] == 1
