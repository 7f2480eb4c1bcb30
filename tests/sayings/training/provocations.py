"""What can be done wrong with a training on a CPU: one function each, which prepares it and gives the arguments.

The first line of a function's docstring becomes the recording's `how`.
"""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PROVOCATIONS: list[Provocation] = []
RESOLUTION = 128


@dataclass(frozen=True)
class Provocation:
    name: str
    expect: str
    prepare: Callable
    needs_model: bool
    phase: str
    before: Callable | None
    env: dict


@dataclass
class Bench:
    folder: Path
    tokenizers: Path
    tiny: Path | None
    pin: str
    mounted: list = field(default_factory=list)

    @property
    def images(self):
        return self.folder / "images"

    def small_drive(self, name, size, options=""):
        path = self.folder / name
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", path], check=True)
        self.mounted.append(path)
        return path


def provocation(expect, *, needs_model=False, phase="", before=None, **env):
    def register(prepare):
        name = prepare.__name__.replace("_", "-")
        PROVOCATIONS.append(Provocation(name, expect, prepare, needs_model, phase, before, env))
        return prepare

    return register


def picture(path, size=(RESOLUTION, RESOLUTION)):
    from PIL import Image

    Image.effect_noise(size, 60).convert("RGB").save(path)


def good_images(bench, count=3):
    bench.images.mkdir()
    for number in range(count):
        picture(bench.images / f"pic{number}.png")
        (bench.images / f"pic{number}.txt").write_text("a river", encoding="utf-8")


def good(bench, *more, model=None, images=True, dataset=""):
    """The arguments of a sound small training."""
    if images and not bench.images.exists():
        good_images(bench)
    bench.images.mkdir(exist_ok=True)
    toml = bench.folder / "dataset.toml"
    toml.write_text(
        f"[[datasets]]\nresolution = {RESOLUTION}\nbatch_size = 1\nenable_bucket = true\nmin_bucket_reso = 64\n"
        f"max_bucket_reso = 256\nbucket_reso_steps = 64\n{dataset}\n[[datasets.subsets]]\n"
        f'image_dir = "{bench.images}"\ncaption_extension = ".txt"\nnum_repeats = 1\n'
    )
    (bench.folder / "output").mkdir(exist_ok=True)
    return [
        "--pretrained_model_name_or_path", model or bench.tiny or bench.folder / "model.safetensors",
        "--dataset_config", toml, "--output_dir", bench.folder / "output", "--output_name", "lora",
        "--tokenizer_cache_dir", bench.tokenizers, "--network_module", "networks.lora", "--network_dim", "4",
        "--network_train_unet_only", "--max_train_steps", "4", "--seed", "1", "--learning_rate", "1e-4",
        "--mixed_precision", "no", "--max_data_loader_n_workers", "0", "--save_model_as", "safetensors",
        "--cache_latents", "--no_half_vae", *more,
    ]  # fmt: skip


def safetensors(path, shapes, *, cut=0, metadata=None, dtype="F16"):
    size = 2 if dtype in {"F16", "BF16"} else 4
    header, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, shape in shapes.items():
        count = size
        for side in shape:
            count *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + count]}
        at += count
    raw = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(raw)) + raw)
        stream.truncate(8 + len(raw) + at - cut)
    return path


# --- the command line and the data: before any model is loaded


@provocation("unknown-option")
def option_unknown(bench):
    """an option that it does not have"""
    return good(bench, "--no_such_option", "3")


@provocation("no-images")
def no_images(bench):
    """an empty folder"""
    return good(bench, images=False)


@provocation("tokenizer")
def tokenizer_offline(bench):
    """no tokenizers, HF_HUB_OFFLINE=1"""
    argv = good(bench)
    argv[argv.index("--tokenizer_cache_dir") + 1] = bench.folder / "nowhere"
    return argv


@provocation("empty-caption")
def caption_empty(bench):
    """a caption file without a word"""
    good_images(bench)
    (bench.images / "pic1.txt").write_text("")
    return good(bench)


@provocation("caption-encoding")
def caption_shift_jis(bench):
    """a caption in Shift-JIS"""
    good_images(bench)
    (bench.images / "pic1.txt").write_bytes("夕方の川".encode("shift_jis"))
    return good(bench)


@provocation("image-unreadable")
def image_of_zeros(bench):
    """a .png of zeros"""
    good_images(bench)
    (bench.images / "pic1.png").write_bytes(bytes(5000))
    return good(bench)


@provocation("refused")
def bucket_steps(bench):
    """bucket_reso_steps = 40"""
    argv = good(bench)
    toml = bench.folder / "dataset.toml"
    toml.write_text(toml.read_text().replace("bucket_reso_steps = 64", "bucket_reso_steps = 40"))
    return argv


@provocation("refused")
def color_aug(bench):
    """color_aug together with cached latents"""
    return good(bench, "--color_aug")


@provocation("refused")
def dropout_with_cached_text(bench):
    """caption_dropout_rate together with cached text encoder outputs"""
    return good(bench, "--cache_text_encoder_outputs", "--caption_dropout_rate", "0.1")


@provocation("refused")
def full_fp16(bench):
    """full_fp16 without mixed_precision fp16"""
    path = bench.folder / "model.safetensors"
    return good(bench, "--full_fp16", model=safetensors(path, {"a": (4,)}))


@provocation("refused")
def no_resolution(bench):
    """a dataset without a resolution"""
    argv = good(bench)
    toml = bench.folder / "dataset.toml"
    toml.write_text(toml.read_text().replace(f"resolution = {RESOLUTION}", ""))
    return argv


@provocation("dataset-file")
def dataset_toml_unknown_key(bench):
    """a dataset TOML with a key that it does not know"""
    return good(bench, dataset="no_such_key = 3")


@provocation("dataset-file")
def dataset_toml_broken(bench):
    """a dataset TOML that is none"""
    return good(bench, dataset="this is = = no toml")


# --- the base model


@provocation("model-missing")
def model_missing(bench):
    """a model path that does not exist"""
    return good(bench, model=bench.folder / "gone.safetensors")


SD15 = {
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
}


@provocation("wrong-model", phase="load_models")
def model_sd15(bench):
    """a checkpoint with keys of SD 1.5"""
    return good(bench, model=safetensors(bench.folder / "model.safetensors", SD15))


@provocation("wrong-model", phase="load_models")
def model_is_a_lora(bench):
    """a LoRA as the base model"""
    keys = {"lora_unet_input_blocks_4_1_proj_in.lora_down.weight": (4, 640)}
    return good(bench, model=safetensors(bench.folder / "model.safetensors", keys))


@provocation("wrong-model", phase="load_models")
def model_is_a_vae(bench):
    """a VAE as the base model"""
    keys = {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}
    return good(bench, model=safetensors(bench.folder / "model.safetensors", keys))


@provocation("model-damaged", phase="load_models")
def model_truncated(bench):
    """a checkpoint without its end"""
    return good(bench, model=safetensors(bench.folder / "model.safetensors", SD15, cut=1000))


@provocation("model-damaged", phase="load_models")
def model_is_html(bench):
    """a web page saved as .safetensors"""
    path = bench.folder / "model.safetensors"
    path.write_text("<!DOCTYPE html><html><body>Please log in</body></html>" * 9)
    return good(bench, model=path)


@provocation("model-damaged", phase="load_models")
def model_is_lfs_pointer(bench):
    """the pointer of git LFS instead of the file"""
    path = bench.folder / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:31e35c80fc\nsize 6938078334\n")
    return good(bench, model=path)


@provocation("model-damaged", phase="load_models")
def model_empty(bench):
    """a file of no bytes"""
    path = bench.folder / "model.safetensors"
    path.write_bytes(b"")
    return good(bench, model=path)


@provocation("model-damaged", phase="load_models")
def model_text_ckpt(bench):
    """a web page saved as .ckpt"""
    path = bench.folder / "model.ckpt"
    path.write_text("<!DOCTYPE html><html><body>Please log in</body></html>" * 9)
    return good(bench, model=path)


@provocation("wrong-model", phase="load_models")
def model_pickle(bench):
    """a .ckpt that holds something else"""
    path = bench.folder / "model.ckpt"
    import torch

    torch.save({"state_dict": {"a": torch.zeros(2)}}, path)
    return good(bench, model=path)


@provocation("model-missing", phase="load_models")
def model_folder_without_model(bench):
    """a folder that is no diffusers model"""
    (bench.folder / "folder").mkdir()
    return good(bench, model=bench.folder / "folder")


@provocation("package-missing")
def wandb_missing(bench):
    """log_with wandb, which is not installed"""
    return good(bench, "--log_with", "wandb", "--logging_dir", bench.folder / "logs")


# --- with a loaded (small) model


@provocation("cache-damaged", needs_model=True, phase="cache_latents")
def npz_empty(bench):
    """an empty .npz of latents beside an image"""
    good_images(bench)
    for name in ("pic1_0128x0128_sdxl.npz", "pic1.npz"):
        (bench.images / name).write_bytes(b"")
    return good(bench, "--cache_latents_to_disk")


@provocation("cache-damaged", needs_model=True, phase="cache_latents")
def npz_cut(bench):
    """half an .npz of latents beside an image"""
    good_images(bench)
    for name in ("pic1_0128x0128_sdxl.npz", "pic1.npz"):
        (bench.images / name).write_bytes(b"PK\x03\x04" + bytes(300))
    return good(bench, "--cache_latents_to_disk")


@provocation("image-unreadable", needs_model=True, phase="cache_latents")
def image_cut(bench):
    """a .png without its second half"""
    good_images(bench)
    path = bench.images / "pic1.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return good(bench)


def _with_nan_vae(bench):
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(bench.tiny)
    name = next(key for key in weights if key.startswith("first_stage_model.encoder.conv_in"))
    weights[name] = torch.full_like(weights[name], float("nan"))
    path = bench.folder / "nan.safetensors"
    save_file(weights, path)
    return path


@provocation("nan-latents", needs_model=True, phase="cache_latents")
def latents_nan(bench):
    """a VAE that gives NaN (v0.10.1 trains on to avr_loss=nan and exit code 0: there the launcher's caching says it)"""
    return good(bench, model=_with_nan_vae(bench))


@provocation("none", needs_model=True)
def fine_prompts_missing(bench):
    """a file of sample prompts that is not there: it says so and trains without samples"""
    gone = bench.folder / "gone.txt"
    return good(bench, "--sample_prompts", gone, "--sample_at_first", "--cache_text_encoder_outputs")


@provocation("prompt-file", needs_model=True, phase="sample_images")
def prompts_broken(bench):
    """a .json of sample prompts that is none"""
    path = bench.folder / "prompts.json"
    path.write_text("a river\n")
    return good(bench, "--sample_prompts", path, "--sample_at_first", "--sample_every_n_steps", "2")


@provocation("optimizer-unknown", needs_model=True)
def optimizer_unknown(bench):
    """optimizer_type NoSuchOptimizer"""
    return good(bench, "--optimizer_type", "NoSuchOptimizer")


@provocation("package-missing", needs_model=True)
def optimizer_dadapt(bench):
    """optimizer_type DAdaptAdam without its package"""
    return good(bench, "--optimizer_type", "DAdaptAdam")


@provocation("package-missing", needs_model=True)
def xformers_missing(bench):
    """xformers, which is not installed"""
    return good(bench, "--xformers")


@provocation("package-missing", needs_model=True)
def network_module_missing(bench):
    """network_module lycoris.kohya without LyCORIS"""
    argv = good(bench)
    argv[argv.index("networks.lora")] = "lycoris.kohya"
    return argv


@provocation("refused", needs_model=True)
def warmup_with_constant(bench):
    """lr_warmup_steps with the constant scheduler"""
    return good(bench, "--lr_scheduler", "constant", "--lr_warmup_steps", "2")


@provocation("network-weights", needs_model=True)
def network_weights_missing(bench):
    """network_weights that are not there"""
    return good(bench, "--network_weights", bench.folder / "gone.safetensors")


@provocation("disk-full", needs_model=True, phase="train_loop")
def disk_full_lora(bench):
    """a drive of 64 KB for the output"""
    return good(bench, "--output_dir", bench.small_drive("small", "64k"))


@provocation("disk-full", needs_model=True, phase="train_loop")
def disk_full_state(bench):
    """a drive that is full before the second save"""
    drive = bench.small_drive("small", "1100k")
    return good(bench, "--output_dir", drive, "--save_every_n_steps", "2", "--save_state")


@provocation("read-only", needs_model=True, phase="train_loop")
def drive_read_only(bench):
    """an output folder on a drive mounted read-only"""
    return good(bench, "--output_dir", bench.small_drive("small", "1m", ",ro"))


def _train_once(script, bench):
    """A state to go on from, made in a process of its own: the trainer cannot train twice in one."""
    import os

    from record import run_script

    child = os.fork()
    if child == 0:
        run_script(script, [str(word) for word in good(bench, "--save_state")])
        os._exit(0)
    os.waitpid(child, 0)


@provocation("resume-finished", needs_model=True, before=_train_once)
def resume_finished(bench):
    """--resume of a state that has all its steps"""
    if bench.pin == "sd-scripts-fp8":
        return None  # it does not look: it trains anew from step 0
    return good(
        bench,
        "--resume",
        bench.folder / "output" / "lora-state",
        "--max_train_steps",
        "4",
        "--skip_until_initial_step",
    )


@provocation("state-does-not-fit", needs_model=True, before=_train_once)
def resume_other_dim(bench):
    """--resume of a state with another network_dim"""
    return good(
        bench,
        "--resume",
        bench.folder / "output" / "lora-state",
        "--network_dim",
        "8",
        "--max_train_steps",
        "9",
    )


@provocation("state-damaged", needs_model=True)
def resume_empty_folder(bench):
    """--resume of an empty folder"""
    (bench.folder / "state").mkdir()
    return good(bench, "--resume", bench.folder / "state")


def _kill_workers(script, _bench):
    import os

    import torch

    whole = script.train_util.BaseDataset.__getitem__

    def getitem(dataset, index):
        if torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), 9)
        return whole(dataset, index)

    script.train_util.BaseDataset.__getitem__ = getitem


@provocation("worker-died", needs_model=True, phase="train_loop", before=_kill_workers)
def worker_killed(bench):
    """a dataloader worker ended by SIGKILL"""
    return good(bench, "--max_data_loader_n_workers", "1")


def _little_memory(_script, _bench):
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    size = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size + (24 << 20), size + (24 << 20)))


@provocation("ram", needs_model=True, phase="load_models", before=_little_memory)
def memory_short(bench):
    """24 MB of address space left (ulimit -v)"""
    return good(bench)


@provocation("fp8-unsupported", needs_model=True, phase="train_loop")
def fp8_on_cpu(bench):
    """fp8_base on a processor"""
    argv = good(bench, "--fp8_base")
    argv[argv.index("--mixed_precision") + 1] = "bf16"
    return argv


@provocation("fp8-unsupported", needs_model=True)
def fp8_without_mixed_precision(bench):
    """fp8_base with mixed_precision no"""
    return good(bench, "--fp8_base")
