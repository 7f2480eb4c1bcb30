"""The metadata of trained LoRA files becomes the preset that made them: what sd-scripts writes, and what it never would."""

import argparse
import ast
import json
import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import InputError
from launcher.importer.importing import make, understand, write
from launcher.importer.tools.lora_keys import OF_DATASET, OF_SUBSET, OPTIMIZERS, OTHER_NAMES, PLAIN
from launcher.machine import Fact, Gpu, Machine
from launcher.paths import Paths
from launcher.plan import Request, resolve
from launcher.preset import load_preset
from launcher.trainers import load_options, load_trainer

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "launcher" / "demo" / "images"
CARD = Machine(
    os="Windows 10", cores=8, ram_mib=32_000, free_ram_mib=20_000, gpu_note="",
    gpus=(Gpu(name="NVIDIA GeForce RTX 3060 Ti", capability=(8, 6), total_mib=8192, free_mib=7600, driver="551.23"),),
    has_bf16=Fact(value=True, reason="compute capability 8.6"),
)  # fmt: skip
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.toml"))
UNET = ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight", (4, 2048))
TEXT = ("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", (4, 768))
CLASSES = {name: whole for whole, name in OPTIMIZERS.items()}


def lora(path, metadata, tensors=(UNET,), kind="F16"):
    """A whole LoRA file with some tensors."""
    at, entries = 0, {}
    for name, shape in tensors:
        size = shape[0] * shape[1] * (2 if kind != "F32" else 4)
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(at))
    return path


def as_sd_scripts_writes(args, datasets):
    """`ss_*` of a training. As train_network.py 1003-1212 of v0.10.1 makes them of its arguments."""
    values = {f"ss_{name}": getattr(args, name) for name in PLAIN if name not in OF_CONFIGLESS}
    values |= {
        "ss_text_encoder_lr": args.text_encoder_lr,
        "ss_debiased_estimation": bool(args.debiased_estimation_loss),
        "ss_v2": False,
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_num_epochs": 3,
        "ss_sd_model_name": "base.safetensors",
        "ss_datasets": json.dumps(datasets),
    }
    name = args.optimizer_type or "AdamW"
    words = [word.partition("=") for word in args.optimizer_args or ()]
    given_args = ",".join(f"{key}={ast.literal_eval(value)}" for key, _, value in words)
    values["ss_optimizer"] = CLASSES[name] + (f"({given_args})" if given_args else "")
    if args.network_args:
        table = dict(word.partition("=")[::2] for word in args.network_args)
        table.setdefault("dropout", args.network_dropout)
        values["ss_network_args"] = json.dumps(table)
    return {key: str(value) for key, value in values.items()}


OF_CONFIGLESS = frozenset({"resolution", "color_aug", "flip_aug", "random_crop", "shuffle_caption", "enable_bucket", "bucket_no_upscale", "min_bucket_reso", "max_bucket_reso", "keep_tokens"})  # fmt: skip


def arguments(paths, train):
    """All options as sd-scripts' parser would hand them on."""
    table = load_options(paths)
    return argparse.Namespace(**{name: train.get(name, option.default) for name, option in table.items()})


def datasets_of(args):
    """`ss_datasets` of one folder: what the launcher's dataset file says comes from the same options."""
    width, height = (int(side) for side in args.resolution.split(","))
    subset = {key: getattr(args, key) for key in OF_SUBSET}
    return [
        {
            "is_dreambooth": True, "batch_size_per_device": args.train_batch_size, "num_train_images": 8, "num_reg_images": 0,
            "resolution": [width, height], "enable_bucket": args.enable_bucket, "min_bucket_reso": args.min_bucket_reso,
            "max_bucket_reso": args.max_bucket_reso, "tag_frequency": {}, "bucket_info": None,
            "subsets": [{"img_count": 8, "num_repeats": 1, "image_dir": "img", "class_tokens": None, "is_reg": False, **subset}],
        }
    ]  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("further", [(), ("network_args=['conv_dim=4', 'conv_alpha=1']", "optimizer_args=['weight_decay=0.01', 'betas=0.9,0.95']", "seed=11")])  # fmt: skip
def test_a_plan_comes_back_from_what_its_lora_holds(paths, tmp_path, preset, further):
    """Plan → metadata → import → preset → plan: every option that the metadata holds is the same."""
    settings_ = [] if preset == "demo" and further else list(further)
    request = Request(preset=preset, data=IMAGES, trainer="sd-scripts", model=ROOT / "none.safetensors", settings=tuple(settings_))  # fmt: skip
    plan = resolve(paths, request, CARD)
    train = {name: item.value for name, item in plan.options.items()}
    if (
        train.get("max_train_epochs") is not None
    ):  # sd-scripts puts the steps that it computes in place (train_network.py 890)
        train["max_train_steps"] = 321
    args = arguments(paths, train)
    tensors = (UNET,) if args.network_train_unet_only else (UNET, TEXT)
    kind = {"fp16": "F16", "bf16": "BF16"}.get(args.save_precision, "F32")
    path = lora(tmp_path / "mine.safetensors", as_sd_scripts_writes(args, datasets_of(args)), tensors, kind)

    found = understand(paths, path)
    (outcome,) = found.outcomes
    assert not outcome.unread
    made = make(paths, found)
    problems, _ = write(paths, made, "mine")
    assert not problems
    again = load_preset(paths, made[0].path)
    table = load_options(paths)
    for name in outcome.launch.says - {"max_train_epochs", "output_name"}:
        wanted = getattr(args, name)
        if name == "optimizer_type":
            wanted = wanted or "AdamW"  # what sd-scripts takes then
        option = again.options.get(name)
        value = table[name].default if option is None else option.value
        assert (value or None) == (wanted or None) or float(value) == float(wanted), name


def test_everything_that_is_held_is_told(paths, tmp_path):
    meta = {
        "ss_output_name": "mila", "ss_learning_rate": "0.0001", "ss_text_encoder_lr": "[5e-05, 1e-05]", "ss_unet_lr": "None",
        "ss_network_module": "lycoris.kohya", "ss_network_dim": "8", "ss_network_alpha": "4.0", "ss_network_dropout": "0.1",
        "ss_network_args": '{"algo": "lokr", "factor": "8", "dropout": 0.1}', "ss_mixed_precision": "bf16", "ss_full_fp16": "False",
        "ss_optimizer": "prodigyopt.prodigy.Prodigy(d_coef=2.0,betas=(0.9, 0.99),decouple=True)", "ss_lr_warmup_steps": "0.1",
        "ss_max_train_steps": "900", "ss_num_epochs": "9", "ss_gradient_checkpointing": "True", "ss_resolution": "(1024, 1024)",
        "ss_shuffle_caption": "True", "ss_batch_size_per_device": "4", "ss_sd_model_name": "pony.safetensors", "ss_vae_name": "v.safetensors",
        "ss_dataset_dirs": '{"10_mila": {"n_repeats": 10, "img_count": 25}}', "ss_reg_dataset_dirs": '{"1_girl": {"n_repeats": 1, "img_count": 99}}',
        "ss_min_snr_gamma": "5.0", "ss_zero_terminal_snr": "maybe", "ss_base_model_version": "sdxl_base_v1-0", "ss_training_comment": "token=hf_SECRETSECRETSECRET",
    }  # fmt: skip
    found = understand(paths, lora(tmp_path / "m.safetensors", meta, (UNET, TEXT), "BF16"))
    (outcome,) = found.outcomes
    assert {name: item.value for name, item in outcome.options.items()} == {
        "learning_rate": 0.0001, "text_encoder_lr": [5e-05, 1e-05], "network_module": "lycoris.kohya", "network_dim": 8,
        "network_alpha": 4.0, "network_dropout": 0.1, "network_args": ["algo=lokr", "factor=8"], "mixed_precision": "bf16",
        "optimizer_type": "Prodigy", "optimizer_args": ["d_coef=2.0", "betas=0.9,0.99", "decouple=True"], "lr_warmup_steps": 0.1,
        "max_train_steps": 900, "gradient_checkpointing": True, "resolution": "1024,1024", "shuffle_caption": True,
        "train_batch_size": 4, "min_snr_gamma": 5.0, "save_precision": "bf16", "training_comment": "token=hf_SECRETSECRETSECRET",
    }  # fmt: skip
    assert outcome.name.value == "mila"
    assert outcome.options["network_dim"].where == "m.safetensors:ss_network_dim"
    assert {item.name for item in outcome.unread} == {"ss_zero_terminal_snr"}
    said = " ".join(note.text for note in found.notes)
    for text in ("10_mila, 10 repeats, 25 images", "1_girl, 1 repeat, 99", "pony.safetensors", "v.safetensors", "9 epochs", "does not say caption_extension"):  # fmt: skip
        assert text in said, text
    assert (
        "cache_text_encoder_outputs" in outcome.launch.says
    )  # with shuffled captions it cannot have been on


def test_folders_that_differ_and_minimal_metadata_are_told(paths, tmp_path):
    subset = {"num_repeats": 1, "is_reg": False, "img_count": 3, "shuffle_caption": True, "keep_tokens": 1}
    meta = {
        "ss_network_module": "networks.lora", "ss_network_dim": "8", "ss_network_alpha": "4", "ss_v2": "False",
        "ss_datasets": json.dumps([{"resolution": [512, 512], "subsets": [subset, {**subset, "keep_tokens": 2}]}]),
    }  # fmt: skip
    found = understand(paths, lora(tmp_path / "m.safetensors", meta))
    (outcome,) = found.outcomes
    assert {item.name for item in outcome.unread} == {"keep_tokens"}
    assert outcome.options["resolution"].value == "512,512"
    assert any("--no_metadata" in note.text for note in found.notes)


@pytest.mark.parametrize(
    ("metadata", "tensors", "says"),
    [
        (
            {"ss_base_model_version": "sd_v1", "ss_network_dim": "4"},
            (UNET,),
            "a LoRA for Stable Diffusion 1.x",
        ),
        ({"ss_base_model_version": "flux1", "ss_network_dim": "4"}, (UNET,), "a LoRA for FLUX"),
        ({"ss_v2": "True", "ss_network_dim": "4"}, (UNET,), "a LoRA for Stable Diffusion 2.x"),
        ({"format": "pt"}, (UNET,), "holds no training settings"),
        ({"ss_network_dim": "4"}, (("clip_l", (2, 768)),), "is an embedding"),
    ],
)
def test_other_files_are_called_by_their_names(paths, tmp_path, metadata, tensors, says):
    with pytest.raises(InputError) as caught:
        understand(paths, lora(tmp_path / "m.safetensors", metadata, tensors))
    assert says in caught.value.what


def test_damaged_headers_are_refused(paths, tmp_path):
    whole = lora(tmp_path / "m.safetensors", {"ss_network_dim": "4"}).read_bytes()
    for name, raw in (
        ("cut", whole[:-5]), ("none", b"{" * 200), ("huge", struct.pack("<Q", 2**40) + whole[8:]), ("empty", b""),
        ("deep", struct.pack("<Q", 20_000) + b'{"a":' + b"[" * 20_000), ("zero", bytes(100)),
    ):  # fmt: skip
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(raw)
        with pytest.raises(InputError):
            understand(paths, path)


VALUES = ["None", "True", "", "-1", "1e999", "nan", "[1, 2", "[" * 5000, '{"a": {"b": 1}}', "é\ud7ff", "x" * 5000, "--seed=5", "9" * 400, "[]", "{}",
          '[{"subsets": 3}, 4]', '[{"subsets": [{"is_reg": []}]}]', '{"algo": ["-x", {}]}', "torch.optim.(((", "a.b(c=1,d=(2", "\u202e"]  # fmt: skip
KEYS = [f"ss_{name}" for name in PLAIN] + [*OTHER_NAMES, "ss_text_encoder_lr", "ss_network_args", "ss_optimizer", "ss_datasets", "ss_dataset_dirs", "ss_reg_dataset_dirs", "ss_num_epochs", "ss_sd_model_name", "ss_vae_name"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text(max_size=12), min_size=1, max_size=12))  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_metadata_crashes_the_import(paths, tmp_path, metadata):
    path = lora(tmp_path / "m.safetensors", {**metadata, "ss_base_model_version": "sdxl"})
    found = understand(paths, path)
    (made,) = make(paths, found)
    made.text.encode("utf-8")


def test_the_keys_are_those_that_sd_scripts_writes():
    """Against the real train_network.py."""
    if not os.environ.get("LAUNCHER_REAL_ENVS"):
        pytest.skip("no training environment: set LAUNCHER_REAL_ENVS")
    script = load_trainer(Paths(root=ROOT, home=ROOT, shipped=ROOT), "sd-scripts").script.with_name("train_network.py")  # fmt: skip
    written = {
        node.value for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }  # fmt: skip
    assert {f"ss_{name}" for name in PLAIN} | OTHER_NAMES.keys() | OF_DATASET.keys() | set(
        OF_SUBSET
    ) <= written


def test_the_rehearsals_own_file_comes_back(paths, tmp_path, training_python):
    """Metadata by the rehearsal trainer's own function, the file by the safetensors library."""
    if not os.environ.get("LAUNCHER_REAL_ENVS"):
        pytest.skip("torch takes 19 s to import here: set LAUNCHER_REAL_ENVS")
    request = Request(
        preset="style-8gb", data=IMAGES, trainer="sd-scripts", model=ROOT / "none.safetensors", name="r"
    )
    plan = resolve(paths, request, CARD)
    args = arguments(paths, {name: item.value for name, item in plan.options.items()})
    args.output_name = "r"
    path = tmp_path / "r.safetensors"
    code = (
        "import argparse, json, sys, torch\nfrom safetensors.torch import save_file\n"
        "from launcher.trainers.rehearsal.metadata import training_metadata\n"
        "args = argparse.Namespace(**json.loads(sys.argv[1]))\n"
        "totals = {'batches_per_epoch': 1, 'epochs': 2, 'total_steps': 77}\n"
        "meta = training_metadata(args, (), totals, 'torch.optim.adamw.AdamW(weight_decay=0.1)', 1.0)\n"
        f"save_file({{{UNET[0]!r}: torch.zeros({UNET[1]}, dtype=torch.float16)}}, sys.argv[2], meta)\n"
    )
    command = [str(training_python), "-c", code, json.dumps(vars(args)), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    (outcome,) = understand(paths, path).outcomes
    options = {name: item.value for name, item in outcome.options.items()}
    assert options["max_train_steps"] == 77
    assert options["optimizer_args"] == ["weight_decay=0.1"]
    for name in ("network_dim", "unet_lr", "mixed_precision", "fp8_base", "min_snr_gamma"):
        assert options.get(name, load_options(paths)[name].default) == getattr(args, name), name
