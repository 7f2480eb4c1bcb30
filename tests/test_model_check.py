"""The base model is recognised by its header alone, and everything else is refused by name, whatever the file says."""

import hashlib
import json
import os
import struct
import time

import pytest

from launcher.checkpoint import full_hash, known_hash, quick_print
from launcher.checkpoint.header import MOST_HEADER_BYTES, HeaderError, read_header
from launcher.checkpoint.recognise import recognise
from launcher.errors import Severity
from launcher.machine import Fact, Machine
from launcher.paths import Paths
from launcher.plan import Plan
from launcher.plan.evidence import follow_model
from launcher.preflight.describe import describe_model
from launcher.preflight.model import check_files, check_model, why_no_checkpoint
from launcher.preset import Setting

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="none", has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip
U, V, T1, T2 = (
    "model.diffusion_model.",
    "first_stage_model.",
    "conditioner.embedders.0.transformer.",
    "conditioner.embedders.1.model.",
)
FIRST = f"{U}input_blocks.0.0.weight"
ATTENTION = f"{U}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
OLD = f"{U}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
SDXL = {
    FIRST: (320, 4, 3, 3), ATTENTION: (640, 2048), f"{U}label_emb.0.0.weight": (1280, 2816),
    f"{T1}text_model.final_layer_norm.weight": (768,), f"{T2}ln_final.weight": (1280,), f"{V}decoder.conv_in.weight": (512, 4, 3, 3),
}  # fmt: skip
SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F8_E4M3": 1, "I8": 1}


def header_of(shapes, *, dtype="F16", metadata=None):
    table, at = ({"__metadata__": metadata} if metadata else {}), 0
    for name, shape in shapes.items():
        count = SIZES[dtype]
        for side in shape:
            count *= side
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + count]}
        at += count
    return json.dumps(table).encode(), at


def write(path, shapes, *, dtype="F16", metadata=None, cut=0, more=0):
    """A file with the header of such a model; its tensors are a hole, which takes no room on the disk."""
    raw, size = header_of(shapes, dtype=dtype, metadata=metadata)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(raw)) + raw)
        stream.truncate(8 + len(raw) + size - cut + more)
    return path


def plan_of(model, tmp_path, **options):
    return Plan(
        name="x", preset="p", preset_sha256="", trainer="sd-scripts", trainer_commit=None, script=tmp_path, trainer_class="T",
        argv=(), env={}, cwd=None, train={}, dataset={}, machine={}, notes=(), total_steps=None, min_vram_gib=None, parent=None,
        resume_state=None, model=model, data=tmp_path, options={name: Setting(value=value, source="test") for name, value in options.items()},
    )  # fmt: skip


@pytest.fixture
def check(tmp_path):
    paths = Paths(root=tmp_path, home=tmp_path, shipped=tmp_path)

    def problems(model, **options):
        return list(check_model(paths, plan_of(model, tmp_path, **options), MACHINE))

    return problems


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model 訓練.safetensors"


# --- SDXL


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_sdxl_is_taken(check, path, dtype):
    assert check(write(path, SDXL, dtype=dtype)) == []


def test_sdxl_of_the_real_trainer_is_taken(tmp_path, check):
    """The shrunken checkpoint that the trainer's own code writes has every key of a real one."""
    import subprocess
    from pathlib import Path

    envs = os.environ.get("LAUNCHER_REAL_ENVS")
    code = os.environ.get("LAUNCHER_SD_SCRIPTS")
    if not envs or not code:
        pytest.skip("LAUNCHER_REAL_ENVS and LAUNCHER_SD_SCRIPTS name no trainer")
    here = Path(__file__).parent / "real"
    env = {**os.environ, "PYTHONPATH": str(here / "shrink"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    python = Path(envs) / "sd-scripts" / "1" / "venv" / "bin" / "python"
    subprocess.run(
        [python, here / "material.py", code, tmp_path / "m"], env=env, check=True, capture_output=True
    )
    header = read_header(tmp_path / "m" / "tiny.safetensors")
    assert len(header.shapes) > 500
    assert recognise(header).is_base


def test_fp8_checkpoint_is_taken_with_a_warning(check, path):
    (problem,) = check(write(path, SDXL, dtype="F8_E4M3"))
    assert problem.severity is Severity.WARNING
    assert "fp8" in problem.what


@pytest.mark.parametrize(
    ("shapes", "name", "words"),
    [
        ({FIRST: (320, 4, 3, 3), OLD: (320, 768), "cond_stage_model.transformer.text_model.x": (1,), f"{V}x": (1,)}, "sd1", "1.x"),
        ({FIRST: (320, 9, 3, 3), OLD: (320, 768), f"{V}x": (1,)}, "sd1", "1.x"),
        ({FIRST: (320, 4, 3, 3), OLD: (320, 1024), "cond_stage_model.model.ln_final.weight": (1024,)}, "sd2", "2.x"),
        ({f"{U}joint_blocks.0.x_block.attn.qkv.weight": (9, 9), f"{V}x": (1,)}, "sd3", "Stable Diffusion 3"),
        ({f"{U}double_blocks.0.img_attn.qkv.weight": (9, 9)}, "flux", "FLUX"),
        ({"double_blocks.0.img_attn.qkv.weight": (9, 9)}, "flux", "FLUX"),
        ({"lora_unet_input_blocks_4_1_proj_in.lora_down.weight": (4, 640)}, "lora", "a LoRA"),
        ({"unet.down_blocks.1.attentions.0.proj_in.lora_A.weight": (4, 640)}, "lora", "a LoRA"),
        ({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": (4, 640)}, "lora", "a LoRA"),
        ({"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}, "vae", "a VAE"),
        ({f"{V}decoder.conv_in.weight": (512, 4, 3, 3)}, "vae", "a VAE"),
        ({"text_model.encoder.layers.0.mlp.fc1.weight": (9, 9)}, "text-encoder", "text encoder"),
        ({"encoder.block.0.layer.0.SelfAttention.q.weight": (9, 9), "shared.weight": (9, 9)}, "text-encoder", "text encoder"),
        ({name: shape for name, shape in SDXL.items() if name.startswith(U)}, "unet", "only the U-Net"),
        ({"down_blocks.1.attentions.0.proj_in.weight": (640, 640)}, "unet", "only the U-Net"),
        ({name: shape for name, shape in SDXL.items() if not name.startswith(V)}, "no-vae", "without its VAE"),
        ({"clip_g": (8, 1280), "clip_l": (8, 768)}, "embedding", "embedding"),
        ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "controlnet", "ControlNet"),
        ({"image_proj.proj.weight": (9, 9), "ip_adapter.1.to_k_ip.weight": (9, 9)}, "ip-adapter", "IP-Adapter"),
        ({**SDXL, f"{U}input_blocks.1.0.in_layers.2.scale_weight": (1,)}, "scaled", "quantised"),
        ({FIRST: (384, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1280,), f"{V}x": (1,)}, "refiner", "refiner"),
        ({**SDXL, FIRST: (320, 9, 3, 3)}, "inpainting", "inpainting"),
        ({**SDXL, FIRST: (320, 8, 3, 3)}, "edit", "editing"),
        ({"a": (8,)}, "unknown", "other names"),
    ],
)  # fmt: skip
def test_what_is_no_sdxl_is_named(check, path, shapes, name, words):
    write(path, shapes)
    assert recognise(read_header(path)).name == name
    (problem,) = check(path)
    assert problem.severity is Severity.ERROR
    assert words in problem.what
    assert problem.fix
    assert problem.where == str(path)


# --- v-prediction


def test_v_prediction_is_told(check, path):
    write(path, {**SDXL, "v_pred": (0,), "ztsnr": (0,)})
    (problem,) = check(path)
    assert problem.severity is Severity.WARNING
    assert problem.fix == "--set v_parameterization=true --set zero_terminal_snr=true"
    assert check(path, v_parameterization=True) == []
    assert "zero_terminal_snr" not in check(path, zero_terminal_snr=True)[0].fix


def test_v_prediction_by_metadata_and_by_name(check, path, tmp_path):
    write(path, SDXL, metadata={"modelspec.prediction_type": "v"})
    assert "predicts v" in check(path)[0].what
    write(path, SDXL, metadata={"modelspec.prediction_type": "epsilon"})
    assert check(path) == []
    assert "predicts noise" in check(path, v_parameterization=True)[0].what
    named = write(tmp_path / "NoobAI-V-Pred-1.0.safetensors", SDXL)
    (note,) = check(named)
    assert note.severity is Severity.NOTE
    assert check(named, v_parameterization=True) == []


def make_pipe(path):
    """A pipe that nobody writes to; where there is none (Windows), nothing."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)


def followed(model, **options):
    """The options after the model has had its say, and the notes."""
    settings = {name: Setting(value=value, source="a.toml:3") for name, value in options.items()}
    notes = follow_model(settings, model)
    return {name: setting.value for name, setting in settings.items()}, notes, settings


def test_evidence_sets_what_nobody_has_decided(path):
    write(path, {**SDXL, "v_pred": (0,), "ztsnr": (0,)})
    values, notes, settings = followed(path, noise_offset=0.03, v_pred_like_loss=0.5)
    assert values == {"v_parameterization": True, "zero_terminal_snr": True, "noise_offset": 0.03}
    assert settings["v_parameterization"].source == "base model: it holds the mark `v_pred`"
    said = "\n".join(notes)
    assert all(name in said for name in ("v_parameterization", "zero_terminal_snr", "noise_offset", "v_pred_like_loss"))  # fmt: skip
    assert followed(write(path, {**SDXL, "v_pred": (0,)}))[0] == {"v_parameterization": True}
    assert followed(write(path, SDXL, metadata={"modelspec.prediction_type": "v"}))[0] == {"v_parameterization": True}  # fmt: skip


def test_the_users_own_word_wins_over_evidence(check, path):
    write(path, {**SDXL, "v_pred": (0,), "ztsnr": (0,)})
    assert followed(path, v_parameterization=False)[:2] == ({"v_parameterization": False}, [])
    assert "predicts v" in check(path, v_parameterization=False)[0].what
    values, _, _ = followed(path, zero_terminal_snr=False)
    assert values == {"v_parameterization": True, "zero_terminal_snr": False}


def test_without_evidence_nothing_is_changed(path, tmp_path):
    for shapes in (SDXL, {"v_pred": (0,), "a": (4,)}):
        assert followed(write(path, shapes)) == ({}, [], {})
    path.write_bytes(b"PK\x03\x04")
    make_pipe(tmp_path / "pipe.safetensors")
    for model in (None, path, tmp_path / "nowhere", tmp_path / "pipe.safetensors", tmp_path):
        assert followed(model) == ({}, [], {})


def test_a_diffusers_folder_says_it_in_its_scheduler(tmp_path):
    (tmp_path / "scheduler").mkdir()
    config = tmp_path / "scheduler" / "scheduler_config.json"
    config.write_text('{"prediction_type": "v_prediction", "rescale_betas_zero_snr": true}')
    assert followed(tmp_path)[0] == {"v_parameterization": True, "zero_terminal_snr": True}
    config.write_text("[" * 100_000)
    assert followed(tmp_path)[0] == {}


# --- the same file again


def test_the_print_tells_one_file_from_another(tmp_path):
    one = write(tmp_path / "1.safetensors", SDXL)
    copy = write(tmp_path / "2.safetensors", SDXL)
    os.utime(copy, (1, 1))
    assert quick_print(one) == quick_print(copy)
    titled = write(tmp_path / "3.safetensors", SDXL, metadata={"modelspec.title": "mine"})
    assert quick_print(one) == quick_print(titled)
    other = write(tmp_path / "4.safetensors", SDXL, dtype="BF16")
    assert quick_print(one) != quick_print(other)
    with copy.open("r+b") as stream:
        stream.seek(-copy.stat().st_size // 4, os.SEEK_END)
        stream.write(b"x" * 99_000)
    assert quick_print(one) != quick_print(copy)
    assert quick_print(tmp_path) != quick_print(one)
    make_pipe(tmp_path / "pipe")
    with pytest.raises(OSError, match="no file"):
        quick_print(tmp_path / "pipe")


def test_the_whole_hash_is_computed_once(tmp_path):
    paths = Paths(root=tmp_path, home=tmp_path, shipped=tmp_path)
    path = tmp_path / "a 訓練.safetensors"
    path.write_bytes(os.urandom(3_000_000))
    heard = []
    found = full_hash(paths, path, tell=lambda done, total: heard.append((done, total)))
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    assert heard[-1] == (3_000_000, 3_000_000)
    heard.clear()
    assert full_hash(paths, path, tell=lambda *done: heard.append(done)) == found == known_hash(paths, path)  # fmt: skip
    assert heard == []
    path.write_bytes(b"another")
    assert known_hash(paths, path) is None
    paths.model_notes.write_text("[" * 100_000)
    assert known_hash(paths, path) is None
    assert full_hash(paths, path) == hashlib.sha256(b"another").hexdigest()


def test_a_file_is_described(tmp_path, path):
    paths = Paths(root=tmp_path, home=tmp_path, shipped=tmp_path)
    write(path, {**SDXL, "v_pred": (0,), "ztsnr": (0,)}, metadata={"modelspec.title": "Noob\x1b[31m"})
    found = describe_model(paths, path)
    assert (found.kind, found.is_base, found.precision, found.title) == ("sdxl", True, "fp16", "Noob[31m")
    assert found.prediction.startswith("v (it holds the mark `v_pred`; its noise ends")
    assert json.loads(json.dumps(found.as_json))["print"] == quick_print(path)
    assert dict(found.facts)["kind"] == "an SDXL checkpoint"
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight"
    write(path, {name: (4, 768)}, dtype="F32")
    found = describe_model(paths, path)
    assert (found.kind, found.base, found.precision, found.problems[0].check) == ("lora", "Stable Diffusion 1.x", "fp32", "")  # fmt: skip
    path.write_bytes(b"PK\x03\x04" + bytes(99))
    found = describe_model(paths, path)
    assert (found.kind, found.is_base) == ("", False)
    assert "pickle" in found.what
    assert "not there" in describe_model(paths, tmp_path / "nowhere").what


@pytest.mark.parametrize(
    ("option", "shapes", "words"),
    [
        ("vae", {"decoder.conv_in.weight": (512, 4, 3, 3)}, ""),
        ("vae", {"lora_unet_x.lora_down.weight": (4, 640)}, "needs a VAE"),
        ("network_weights", {"lora_unet_x_attn2_to_k.lora_down.weight": (4, 2048)}, ""),
        ("network_weights", {"lora_unet_x_attn2_to_k.lora_down.weight": (4, 768)}, "Stable Diffusion 1.x"),
        ("network_weights", SDXL, "needs a LoRA"),
        ("base_weights", None, "pickle"),
    ],
)
def test_weights_that_options_name(tmp_path, path, option, shapes, words):
    if shapes is None:
        path.write_bytes(b"\x80\x02}q\x00." + bytes(99))
    else:
        write(path, shapes)
    plan = plan_of(None, tmp_path, **{option: [str(path)] if option == "base_weights" else str(path)})
    problems = list(check_files(None, plan, MACHINE))
    assert [words in problem.what for problem in problems] == [True] * bool(words)
    assert all(problem.severity is Severity.ERROR and problem.fix for problem in problems)


# --- files that are none


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (bytes(5000), "only zeros"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>" * 20, "web page"),
        (b"\n  <html lang=en>" * 20, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:31e3\nsize 6938078334\n", "git LFS"),
        (b"PK\x03\x04" + bytes(900), "pickle"),
        (b"\x80\x02}q\x00." + bytes(900), "pickle"),
        (b"GGUF" + bytes(900), "GGUF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(900), "image"),
        (b"Rar!\x1a\x07" + bytes(900), "RAR"),
        (b"\xff" * 900, "not a safetensors file"),
        (struct.pack("<Q", 900), "not a safetensors file"),
        (struct.pack("<Q", 7) + b"[1,2,3]" + bytes(50), "damaged"),
        (struct.pack("<Q", 2) + b"{}" + bytes(50), "no tensor"),
        (struct.pack("<Q", 9) + b'{"a":null}'[:9] + bytes(50), "damaged"),
    ],
)  # fmt: skip
def test_other_files_are_named(check, path, raw, words):
    path.write_bytes(raw)
    (problem,) = check(path)
    assert problem.severity is Severity.ERROR
    assert words in problem.what
    assert problem.fix
    assert why_no_checkpoint(path)


def test_pickle_is_refused_with_its_reason(check, tmp_path):
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"PK\x03\x04" + bytes(900))
    (problem,) = check(path)
    assert "can run a program" in problem.what
    assert ".safetensors" in problem.fix


def test_cut_and_joined_downloads(check, path):
    assert "interrupted" in check(write(path, SDXL, cut=1))[0].what
    assert "download finish" in check(write(path, SDXL, cut=100_000))[0].fix
    assert "behind its end" in check(write(path, SDXL, more=10))[0].what


def test_missing_file_and_folder(check, tmp_path):
    assert "not there" in check(tmp_path / "gone.safetensors")[0].what
    assert "no model_index.json" in check(tmp_path)[0].what
    assert "no base model" in check(None)[0].what


def test_name_and_links(check, tmp_path):
    real = write(tmp_path / "real.safetensors", SDXL)
    wrong = write(tmp_path / "model.ckpt", SDXL)
    (problem,) = check(wrong)
    assert "rename it to model.safetensors" in problem.fix
    upper = write(tmp_path / "MODEL.SAFETENSORS", SDXL)
    assert check(upper) == []
    absolute = tmp_path / "absolute.safetensors"
    absolute.symlink_to(real)
    assert check(absolute) == []
    relative = tmp_path / "relative.safetensors"
    relative.symlink_to("real.safetensors")
    (problem,) = check(relative)
    assert str(real) in problem.fix


# --- hostile headers


def raw_file(path, header, *, body=64):
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(body))
    return path


def entry(shape="[16]", offsets="[0,32]", dtype='"F16"'):
    return f'{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}'.encode()


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":' + entry() + b',"a":' + entry() + b"}",  # a name twice
        b'{"a":' + entry(offsets="[0,999]") + b"}",  # outside
        b'{"a":' + entry(offsets="[32,0]") + b"}",
        b'{"a":' + entry(offsets="[-32,0]") + b"}",
        b'{"a":' + entry(offsets="[0.0,32.0]") + b"}",
        b'{"a":' + entry(offsets="[0]") + b"}",
        b'{"a":' + entry(offsets="[4,36]") + b"}",  # a gap
        b'{"a":' + entry(shape="[-4,-4]") + b"}",
        b'{"a":' + entry(shape="[true]", offsets="[0,2]") + b"}",
        b'{"a":' + entry(shape="[17]") + b"}",  # the shape does not fit
        b'{"a":' + entry(shape='"16"') + b"}",
        b'{"a":' + entry(shape="[1e400]") + b"}",
        b'{"a":' + entry(shape="[" + "9" * 5000 + "]") + b"}",
        b'{"a":[],"__metadata__":3}',
        b'{"__metadata__":[],"a":' + entry() + b"}",
        b'{"a":' + b"[" * 100_000 + b"}",  # deep
        b'{"a":' + b'{"a":' * 100_000 + b"}",
        b"{" + b" " * 1000,
        '{"a": "\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
    ids=range(19),
)  # fmt: skip
def test_hostile_headers_are_refused(path, header):
    with pytest.raises(HeaderError):
        read_header(raw_file(path, header))


def test_absurd_lengths_cost_nothing(path):
    for length in (2**63, 2**64 - 1, MOST_HEADER_BYTES + 1, 99_000_000):
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", length) + b"{")
            stream.truncate(120_000_000)  # a hole
        started = time.perf_counter()
        with pytest.raises(HeaderError):
            read_header(path)
        assert time.perf_counter() - started < 1


def test_many_tensors_are_read(path):
    write(path, {**SDXL, **{f"{U}x.{number}": (1,) for number in range(5000)}})
    assert len(read_header(path).shapes) == 5006


# --- diffusers folders


def diffusers(folder, *, kind="StableDiffusionXLPipeline", suffix="", unet=None):
    for part, stem in (("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model"), ("text_encoder_2", "model")):  # fmt: skip
        (folder / part).mkdir(parents=True)
        write(folder / part / f"{stem}{suffix}.safetensors", {"a": (4,)})
    (folder / "tokenizer_2").mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    config = {"cross_attention_dim": 2048, "in_channels": 4, **(unet or {})}
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    return folder


def test_diffusers_folder_is_taken_with_a_note(check, tmp_path):
    (note,) = check(diffusers(tmp_path / "model"))
    assert note.severity is Severity.NOTE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "StableDiffusionPipeline"}, "not an SDXL model"),
        ({"unet": {"cross_attention_dim": 1280}}, "not SDXL's"),
        ({"unet": {"in_channels": 9}}, "9 channels"),
        ({"suffix": ".fp16"}, "mixed_precision=fp16 alone"),
    ],
)
def test_diffusers_folders_that_will_not_do(check, tmp_path, options, words):
    folder = diffusers(tmp_path / "model", **options)
    problems = check(folder, mixed_precision="bf16")
    assert problems[0].severity is Severity.ERROR
    assert words in problems[0].what


def test_diffusers_folder_with_parts_missing(check, tmp_path):
    folder = diffusers(tmp_path / "model")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "text_encoder" / "model.safetensors").rename(folder / "text_encoder" / "pytorch_model.bin")
    (folder / "tokenizer_2").rmdir()
    found = " ".join(problem.what for problem in check(folder))
    assert "vae in this diffusers folder cannot be used: its weights are missing" in found
    assert "pickle" in found
    assert "tokenizer_2 is missing" in found
    half = diffusers(tmp_path / "half", suffix=".fp16")
    assert [problem.severity for problem in check(half, mixed_precision="fp16")] == [Severity.NOTE]
