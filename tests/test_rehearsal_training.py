"""The rehearsal really trains, and a resumed training is bit for bit the one that was never interrupted.

Every run here is a process of its own in the training environment. The resume tests use a narrower U-Net
(LAUNCHER_REHEARSAL_WIDTH): the same code and the same 722 modules, less arithmetic.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.process import run

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "launcher" / "trainers" / "rehearsal" / "script.py"
IMAGES = ROOT / "launcher" / "demo" / "images"
PROBE = ROOT / "tests" / "rehearsal_probe.py"

pytestmark = pytest.mark.training


@dataclass(frozen=True)
class Trained:
    output: Path
    log: str
    cache: Path

    def tensors(self, name="it"):
        """Names, types, places and bytes of a LoRA file, without its metadata (that holds the time of day)."""
        header, body = read_safetensors(self.output / f"{name}.safetensors")
        header.pop("__metadata__", None)
        return header, body

    def state(self, step):
        return self.output / f"it-step{step:08d}-state"


def read_safetensors(path):
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def train(python, folder, *, images, width=8, code=0, dataset="", **options):
    """One training process; returns its output folder and log."""
    folder.mkdir(parents=True)
    output, cache = folder / "output", folder / "cache"
    values = {
        "output_dir": str(output), "output_name": "it", "network_train_unet_only": True, "fp8_base": True,
        "mixed_precision": "bf16", "cache_latents": True, "cache_latents_to_disk": True, "network_dim": 4,
        "network_alpha": 4.0, "learning_rate": 0.01, "lr_scheduler": "cosine", "seed": 7, **options,
    }  # fmt: skip
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    (folder / "train.toml").write_text("[options]\n" + "\n".join(lines), encoding="utf-8")
    (folder / "dataset.toml").write_text(
        "[[datasets]]\nresolution = 512\nenable_bucket = true\nmax_bucket_reso = 1024\n"
        f"[[datasets.subsets]]\nimage_dir = {json.dumps(str(images))}\ncaption_extension = '.txt'\n{dataset}",
        encoding="utf-8",
    )
    argv = [
        python,
        SCRIPT,
        "--config_file",
        folder / "train.toml",
        "--dataset_config",
        folder / "dataset.toml",
    ]
    env = {"LAUNCHER_CACHE_DIR": str(cache), "LAUNCHER_REHEARSAL_WIDTH": str(width), "PYTHONPATH": None}
    finished = run(argv, cwd=folder, env=env, timeout_s=240)
    assert finished.code == code, finished.output
    return Trained(output, finished.output, cache)


def probe(python, *words):
    finished = run([python, PROBE, *words], timeout_s=240)
    assert finished.code == 0, finished.output
    return json.loads(finished.output.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def five_images(tmp_path_factory):
    """Three buckets, five batches an epoch: with accumulation 2 the last step of an epoch has one batch."""
    folder = tmp_path_factory.mktemp("訓練 データ")
    for stem in ("01_morning", "02_dusk", "05_autumn", "06_winter", "08_dawn"):
        for path in IMAGES.glob(f"{stem}.*"):
            shutil.copy(path, folder)
    return folder


CHANCE = {"network_dropout": 0.2, "save_every_n_steps": 1, "save_state": True, "lr_warmup_steps": 2}
FLIPS = "flip_aug = true\nshuffle_caption = true\nkeep_tokens = 1\n"


@pytest.fixture(scope="session")
def control(training_python, five_images, tmp_path_factory):
    """Never interrupted: 12 steps, 5 an epoch, with everything in it that chance decides."""
    folder = tmp_path_factory.mktemp("control") / "run"
    return train(training_python, folder, images=five_images, max_train_steps=12, dataset=FLIPS, **CHANCE)


def test_three_resumes_in_a_chain_are_exact(training_python, five_images, control, tmp_path):
    before = control
    for number, step in enumerate((3, 5, 9)):  # inside an epoch, at an epoch's end, inside another
        state = before.state(step)
        before = train(
            training_python, tmp_path / f"resume {number}", images=five_images, max_train_steps=12,
            dataset=FLIPS, resume=str(state), skip_until_initial_step=True, **CHANCE,
        )  # fmt: skip
        assert before.tensors() == control.tensors(), f"resumed at {step}"
        names = {path.name for path in before.output.glob("it-step*.safetensors")}
        assert names == {f"it-step{later:08d}.safetensors" for later in range(step + 1, 13)}
        for later in range(step + 1, 13):
            assert before.tensors(f"it-step{later:08d}") == control.tensors(f"it-step{later:08d}")
    state = json.loads((before.state(11) / "train_state.json").read_text(encoding="utf-8"))
    assert state == {"current_epoch": 3, "current_step": 11}


def test_state_at_the_last_step_trains_nothing_and_saves(training_python, five_images, control, tmp_path):
    done = train(
        training_python, tmp_path / "run", images=five_images, max_train_steps=12, dataset=FLIPS,
        resume=str(control.state(12)), skip_until_initial_step=True, **CHANCE,
    )  # fmt: skip
    assert done.tensors() == control.tensors()
    assert "loss" not in done.log
    assert not list(done.output.glob("it-step*"))


def test_control_has_states_as_upstream_writes_them(control):
    assert {path.name for path in control.state(3).iterdir()} == {
        "train_state.json", "model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl",
    }  # fmt: skip
    header, body = read_safetensors(control.state(3) / "model.safetensors")
    header.pop("__metadata__", None)
    assert (header, body) == control.tensors("it-step00000003")


def test_weights_change_from_step_to_step(control):
    bodies = {control.tensors(f"it-step{step:08d}")[1] for step in range(1, 13)}
    assert len(bodies) == 12  # else the comparisons above would compare nothing


def test_resume_with_accumulation_is_exact(training_python, five_images, tmp_path):
    options = {**CHANCE, "gradient_accumulation_steps": 2, "max_train_steps": 6}
    whole = train(training_python, tmp_path / "whole", images=five_images, dataset=FLIPS, **options)
    assert whole.log.count(" loss ") == 10  # two epochs of three steps are ten batches, not twelve
    for step in (2, 3):  # inside an epoch, at its end
        part = train(
            training_python, tmp_path / f"part {step}", images=five_images, dataset=FLIPS,
            resume=str(whole.state(step)), skip_until_initial_step=True, **options,
        )  # fmt: skip
        assert part.tensors() == whole.tensors(), f"resumed at {step}"


@pytest.fixture(scope="session")
def lesson(training_python, tmp_path_factory):
    """The real width, as the demo trains it, with samples."""
    folder = tmp_path_factory.mktemp("lesson")
    prompts = folder / "prompts.txt"
    prompts.write_text("flathills style, dusk --w 512 --h 768 --d 3 --s 2\n", encoding="utf-8")
    return train(
        training_python, folder / "run", images=IMAGES, width=32, max_train_steps=20, network_dim=8,
        network_alpha=8.0, cache_text_encoder_outputs=True, cache_text_encoder_outputs_to_disk=True,
        gradient_checkpointing=True, sample_prompts=str(prompts), sample_every_n_steps=10,
        save_precision="fp16", min_snr_gamma=5.0, noise_offset=0.03,
        pretrained_model_name_or_path="none.safetensors", v_parameterization=True,
    )  # fmt: skip


def test_loss_falls_against_an_untrained_control(training_python, lesson):
    losses = probe(training_python, "evaluate", str(lesson.output / "it.safetensors"), str(IMAGES))
    assert losses["trained"] < 0.95 * losses["untrained"], losses


def test_lora_file_is_kohyas(lesson):
    header, _ = read_safetensors(lesson.output / "it.safetensors")
    metadata = header.pop("__metadata__")
    modules = {name.partition(".")[0] for name in header}
    assert len(modules) == 722
    assert len(header) == 3 * 722
    assert {entry["dtype"] for entry in header.values()} == {"F16"}
    for name in (
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight",
        "lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_0_proj.lora_up.weight",
        "lora_unet_middle_block_1_proj_in.alpha",
        "lora_unet_output_blocks_5_1_transformer_blocks_1_attn2_to_out_0.alpha",
    ):
        assert name in header
    assert metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["ss_steps"] == "20"
    assert metadata["ss_network_dim"] == "8"
    assert metadata["ss_fp8_base"] == "True"
    assert metadata["ss_num_batches_per_epoch"] == "10"
    assert json.loads(metadata["ss_tag_frequency"])["images"]["flathills style"] == 10
    assert len(metadata["sshs_model_hash"]) == 64


def test_samples_and_caches_lie_where_they_belong(lesson):
    names = {path.name for path in (lesson.output / "sample").iterdir()}
    assert names == {"it_000010_00_3.png", "it_000020_00_3.png"}
    assert len(list(lesson.cache.glob("latents-*.safetensors"))) == 10
    assert len(list(lesson.cache.glob("text-*.safetensors"))) >= 10
    assert {path.suffix for path in IMAGES.iterdir()} == {".png", ".jpg", ".txt"}


def test_options_without_effect_are_named(lesson):
    lines = [line for line in lesson.log.splitlines() if "without effect" in line]
    assert lines == ["WARNING without effect in a rehearsal: v_parameterization"]


def test_gradients_are_right_under_fp8_and_checkpointing(training_python):
    seen = probe(training_python, "gradients")
    assert seen["fp8_share"] > 0.95
    assert seen["modules"] == 722
    assert seen["nonzero"] == 1444
    assert seen["same_as_dequantised"]
    assert seen["same_checkpointed"]
    assert seen["cosine_to_float32"] > 0.99
    assert seen["base_unchanged"]
    assert seen["own_folders_on_path"] == []
    assert not seen["root_on_path"]  # else the launcher's own libraries would be offered to the training
    assert seen["interface"]


def test_prompt_files_in_three_forms(training_python, tmp_path):
    (tmp_path / "a.txt").write_text(
        "# no\na hill -- far --n night, dark --w 640 --h 384 --s 4 --l 3.5 --d 9\n\n訓練\n", "utf-8"
    )
    (tmp_path / "b.toml").write_text(
        "[prompt]\nwidth = 640\n[[prompt.subset]]\nprompt = 'one'\nseed = 2\n[[prompt.subset]]\nprompt = 'two'\n",
        "utf-8",
    )
    assert probe(training_python, "prompts", str(tmp_path / "a.txt")) == [
        ["a hill -- far", "night, dark", 640, 384, 4, 3.5, 9],
        ["訓練", "", 512, 512, 30, 7.5, None],
    ]
    assert probe(training_python, "prompts", str(tmp_path / "b.toml")) == [
        ["one", "", 640, 512, 30, 7.5, 2],
        ["two", "", 640, 512, 30, 7.5, None],
    ]


def test_damaged_state_is_one_sentence_and_exit_code_4(training_python, five_images, control, tmp_path):
    state = tmp_path / "state"
    shutil.copytree(control.state(3), state)
    optimizer = (state / "optimizer.bin").read_bytes()
    (state / "optimizer.bin").write_bytes(optimizer[: len(optimizer) // 2])
    ended = train(
        training_python, tmp_path / "run", images=five_images, max_train_steps=12, resume=str(state), code=4
    )
    last = next(line for line in ended.log.splitlines() if line.startswith("ERROR"))
    assert "cannot be resumed" in last
    assert "Traceback" not in ended.log
    assert not list(ended.output.glob("*.safetensors"))


def test_truncated_image_is_one_sentence_and_exit_code_4(training_python, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    whole = (IMAGES / "05_autumn.jpg").read_bytes()
    (images / "half.jpg").write_bytes(whole[: len(whole) // 2])
    ended = train(training_python, tmp_path / "run", images=images, max_train_steps=1, code=4)
    last = ended.log.strip().splitlines()[-1]
    assert last.startswith("ERROR ")
    assert "half.jpg is damaged" in last
    assert "Traceback" not in ended.log
