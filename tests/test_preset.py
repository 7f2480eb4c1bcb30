"""Presets: what a user may get wrong in a TOML file, and what she is told."""

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from launcher.errors import InputError, Severity, UsageError
from launcher.paths import Paths
from launcher.preset import (
    BrokenPreset,
    Preset,
    Setting,
    check_combinations,
    fit_options,
    lay_over,
    list_presets,
    load_preset,
    load_settings,
    settings_from_answers,
    settings_from_words,
)
from launcher.preset.lines import find_lines
from launcher.preset.owned import INSTEAD, MEANT
from launcher.preset.schema import OPTIMIZERS, SCHEDULERS, WrongValueError, check_value
from launcher.trainers import TRAINERS, load_options, load_trainer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
HEAD = '[preset]\ntitle = "Test"\n'


def write(folder, text, name="mine.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(paths, text, name="mine.toml"):
    """(line, what, fix) of everything that is wrong in a file."""
    path = write(paths.home / "files", text, name)
    with pytest.raises(InputError) as caught:
        load_preset(paths, path)
    assert caught.value.exit_code == 4
    found = []
    for problem in caught.value.problems:
        assert problem.what
        assert problem.fix, f"{problem.what}: nothing to do about it"
        place = problem.where.split(" ")[0]
        found.append((int(place.rpartition(":")[2]), problem.what, problem.fix))
    return found


def only_problem(paths, text):
    (found,) = problems_of(paths, text)
    return found


# The shipped presets


SHIPPED = (
    "character-8gb", "concept-8gb", "demo", "fork-style-8gb", "quick-768", "sdxl-12gb", "sdxl-16gb", "sdxl-24gb", "sdxl-4gb",
    "sdxl-6gb", "sdxl-fp8", "sdxl-style", "style-8gb", "style-8gb-te", "turing-8gb",
)  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets_are_sound(paths, name):
    preset = load_preset(paths, name)
    assert preset.is_shipped
    assert preset.title
    assert preset.purpose
    assert not preset.warnings
    for option, setting in preset.options.items():
        assert setting.why, f"{option} in {setting.source} does not say why"


def test_shipped_presets_are_all_listed(paths):
    assert {entry.name for entry in list_presets(paths) if isinstance(entry, Preset)} == set(SHIPPED)
    bases = {name for name in SHIPPED if load_preset(paths, name).is_base}
    assert bases == {"sdxl-fp8", "sdxl-style"}
    assert not load_preset(paths, "style-8gb").is_base


def test_style_8gb_is_the_recipe_of_the_guides(paths):
    preset = load_preset(paths, "style-8gb")
    wanted = {
        "resolution": "1024,1024", "train_batch_size": 1, "network_train_unet_only": True, "fp8_base": True,
        "gradient_checkpointing": True, "cache_latents_to_disk": True, "cache_text_encoder_outputs_to_disk": True,
        "sdpa": True, "optimizer_type": "AdamW8bit", "learning_rate": 1e-4, "network_dim": 32, "network_alpha": 16.0,
        "mixed_precision": "bf16", "max_train_steps": 1000,
    }  # fmt: skip
    assert {name: preset.options[name].value for name in wanted} == wanted
    assert preset.min_vram_gib == 8
    assert preset.peak_mib == 5066
    assert "5066" in preset.measured
    assert preset.options["sample_every_n_steps"].value == 200


def test_values_name_their_file_and_line(paths):
    preset = load_preset(paths, "style-8gb")
    lines = (paths.presets / "sdxl-fp8.toml").read_text(encoding="utf-8").splitlines()
    name, _, line = preset.options["fp8_base"].source.rpartition(":")
    assert name == "presets/sdxl-fp8.toml"
    assert lines[int(line) - 1].startswith("fp8_base = true")
    assert [path.stem for path in preset.chain] == ["style-8gb", "sdxl-style", "sdxl-fp8"]


# One mistake, one sentence, one line


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("network_dimm = 8", "network_dimm is not an option", "perhaps you meant network_dim"),
        ("lr = 1e-4", "lr is not an option", "perhaps you meant learning_rate"),
        ("base-fp8 = true", "base-fp8 is not an option", "perhaps you meant fp8_base"),
        ("qwertzuiop = 1", "qwertzuiop is not an option", "remove it"),
        ('max_train_steps = "100"', 'not the text "100"', "write max_train_steps = 100"),
        ("max_train_steps = 1e3", "needs a whole number", "write max_train_steps = 1000"),
        ("max_train_steps = true", "needs a whole number, not true or false", "write max_train_steps = 1"),
        ('fp8_base = "true"', "fp8_base needs true or false", "write fp8_base = true"),
        ('fp8_base = "off"', "fp8_base needs true or false", "write fp8_base = false"),
        ('learning_rate = "fast"', "learning_rate needs a number", "write learning_rate = 1.0"),
        ("learning_rate = inf", "not a finite number", "write"),
        ("learning_rate = 2024-01-01", "not a date", "write"),
        ("optimizer_type = 8", "optimizer_type needs a text", 'write optimizer_type = "8"'),
        ('optimizer_args = "weight_decay=0.1"', "optimizer_args is a list", 'optimizer_args = ["weight_decay=0.1"]'),
        ("optimizer_args = [1]", "needs a text in quotes", "write"),
        ("network_dim = [8]", "takes one value", "write network_dim = 1"),
        ("network_dim = {a = 1}", "takes one value", "write network_dim = 1"),
        ("network_dim = 0", "must be at least 1", "write network_dim = 1"),
        ("learning_rate = -1.0", "cannot be negative", "0 or more"),
        ("network_dropout = 1.5", "a share between 0 and 1", "0.1"),
        ("seed = 4294967296", "cannot be larger", "smaller"),
        (f"seed = 0x{'f' * 5000}", "far too large", "smaller"),
        ('mixed_precision = "bf17"', 'cannot be "bf17"', 'perhaps you meant "bf16"'),
        ('lr_scheduler = "cosin"', 'cannot be "cosin"', 'perhaps you meant "cosine"'),
        ('optimizer_type = "AdamW8bits"', "AdamW8bits", 'perhaps you meant "AdamW8bit"'),
        ("resolution = [1024, 5]", "resolution cannot be", '"1024,1024"'),
        ('resolution = "big"', "resolution cannot be", '"1024,1024"'),
        ("resolution = 0", "resolution cannot be", '"1024,1024"'),
        ("num_repeats = 10", "belongs to the dataset", "[dataset]"),
        ("output_dir = 'x'", "output_dir is set by the launcher", "runs/"),
        ("resume = 'x'", "resume is set by the launcher", "setup_env.py resume"),
        ("pretrained_model_name_or_path = 'x'", "set by the launcher", "--model"),
        ("use_8bit_adam = true", "set by the launcher", "AdamW8bit"),
        ("wandb_api_key = 'x'", "set by the launcher", "WANDB_API_KEY"),
    ],
)  # fmt: skip
def test_one_wrong_option(paths, line, what, fix):
    found = only_problem(paths, f"{HEAD}\n[options]\nsdpa = true\n{line}\n")
    assert found[0] == 6
    assert what in found[1]
    assert fix in found[2]


@pytest.mark.parametrize(
    ("text", "line", "what", "fix"),
    [
        ("[options]\n", 1, "no title", "title"),
        ("[preset]\ntitel = 'x'\n", 2, "titel is not a key", "perhaps you meant title"),
        ("[preset]\ntitle = 3\n", 2, "title needs a text", 'title = "text"'),
        (f"{HEAD}min_vram_gib = '8'\n", 3, "needs a number of GiB", "min_vram_gib = 8"),
        (f"{HEAD}min_vram_gib = nan\n", 3, "needs a number of GiB", "min_vram_gib = 8"),
        (f"{HEAD}base = 1\n", 3, "base needs true or false", "base = true"),
        (f"{HEAD}trainer = 'sd-script'\n", 3, "no trainer called sd-script", '"sd-scripts"'),
        (f"{HEAD}trainer = 'rehersal'\n", 3, "no trainer called rehersal", '"rehearsal"'),
        (f"{HEAD}extends = 'sdxl-fp9'\n", 3, "no preset called sdxl-fp9", "perhaps you meant sdxl-fp8"),
        (f"{HEAD}[option]\nsdpa = true\n", 3, "option is not a table", "perhaps you meant [options]"),
        (f"options = 3\n{HEAD}", 1, "options is a table", "[options]"),
        (f"sdpa = true\n{HEAD}", 1, "stands outside of every table", "[options]"),
        (f"{HEAD}[dataset]\nnum_repeat = 3\n", 4, "not a key of [dataset]", "perhaps you meant num_repeats"),
        (f"{HEAD}[dataset]\nnum_repeats = 0\n", 4, "at least 1", "num_repeats = 1"),
        (f"{HEAD}[dataset]\nsdpa = true\n", 4, "not a key of [dataset]", "[options]"),
        (
            f"{HEAD}[launcher]\nlean_lode = true\n",
            4,
            "not a key of [launcher]",
            "perhaps you meant lean_load",
        ),
        (f"{HEAD}[launcher]\nlean_load = 1\n", 4, "lean_load needs true or false", "lean_load = true"),
        (f"{HEAD}[launcher]\nvae_encode = 'tiles'\n", 4, 'vae_encode cannot be "tiles"', "rows"),
        (f"{HEAD}[launcher]\noffload_mib = -1\n", 4, "cannot be negative", "0 or more"),
        (f"{HEAD}[launcher]\nsdpa = true\n", 4, "not a key of [launcher]", "[options]"),
        (f"{HEAD}[launcher]\nnum_repeats = 1\n", 4, "not a key of [launcher]", "[dataset]"),
        (f"{HEAD}[options]\nlean_load = true\n", 4, "lean_load belongs to the launcher", "[launcher]"),
        (f"lean_load = true\n{HEAD}", 1, "stands outside of every table", "[launcher]"),
        (f"launcher = 3\n{HEAD}", 1, "launcher is a table", "[launcher]"),
        (f"{HEAD}proposed = 1\n", 3, "proposed needs true or false", "proposed = true"),
        (f"{HEAD}peak_mib = 0.5\n", 3, "peak_mib needs a whole number", "peak_mib = 5000"),
        (
            f"{HEAD}trainer = 'sd-scripts-fp8'\n[options]\nloss_type = 'huber'\n",
            5,
            "sd-scripts-fp8 does not know loss_type",
            "remove loss_type",
        ),
    ],
)
def test_one_wrong_line_elsewhere(paths, text, line, what, fix):
    found = only_problem(paths, text)
    assert found[0] == line
    assert what in found[1]
    assert fix in found[2]


def test_all_errors_of_a_file_come_at_once_in_its_order(paths):
    text = f"{HEAD}[options]\nnetwork_dimm = 1\nseed = -1\noutput_dir = 'x'\n[dataset]\nnum_repeats = true\n[extra]\n"
    assert [line for line, _, _ in problems_of(paths, text)] == [4, 5, 6, 8, 9]


def test_errors_of_the_parent_come_too(paths):
    write(paths.user_presets, f"{HEAD}[options]\nsed = 1\n", "parent.toml")
    child = write(paths.user_presets, f"{HEAD}extends = 'parent'\n[options]\nlr = 1\n", "child.toml")
    with pytest.raises(InputError) as caught:
        load_preset(paths, child)
    places = [problem.where.split(" ")[0] for problem in caught.value.problems]
    assert places == ["user/presets/child.toml:5", "user/presets/parent.toml:4"]


# Files that are no presets


@pytest.mark.parametrize(
    ("raw", "what", "fix"),
    [
        (b"this is a text about trees", "is not TOML", "copy of a shipped one"),
        (b"[options]\nfp8_base = True\n", "line 2", "small letters"),
        (b'[options]\nvae = "C:\\my\\vae.safetensors"\n', "line 2", "single quotes"),
        (b"[options]\nlr_scheduler = cosine\n", "line 2", '"cosine"'),
        (b"[options]\nsdpa = true\nsdpa = false\n", "line 3", "stands twice"),
        ("[preset]\ntitle = 'x'\n".encode("utf-16"), "UTF-16", "UTF-8"),
        ("[preset]\ntitle = '猫'\n".encode("cp932"), "line 2", "UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary", "this is the file"),
        (b"#" * (1024 * 1024 + 1), "larger than 256 KiB", "this is the file"),
        (b"x = " + b"[" * 50_000, "nests", "mine.toml"),
        (b"x = " + b"9" * 50_000, "is not TOML", ""),
    ],
)  # fmt: skip
def test_files_that_are_no_presets(paths, raw, what, fix):
    path = write(paths.home / "files", raw)
    with pytest.raises(InputError) as caught:
        load_preset(paths, path)
    assert what in caught.value.what
    assert fix in caught.value.fix + caught.value.where
    assert caught.value.problems


def test_a_folder_and_a_missing_file_are_no_presets(paths):
    with pytest.raises(InputError, match="is a folder"):
        load_preset(paths, paths.home)
    with pytest.raises(InputError, match="there is no file"):
        load_preset(paths, paths.home / "nothing.toml")
    with pytest.raises(InputError, match="no preset called stile-8gb") as caught:
        load_preset(paths, "stile-8gb")
    assert caught.value.fix == "perhaps you meant style-8gb"


def test_byte_order_mark_and_windows_lines_are_no_trouble(paths):
    path = write(
        paths.home / "files", b"\xef\xbb\xbf" + f"{HEAD}[options]\nseed = 7\n".replace("\n", "\r\n").encode()
    )
    setting = load_preset(paths, path).options["seed"]
    assert setting.value == 7
    assert setting.source.endswith("mine.toml:4")


# Inheritance


def test_child_wins_and_keeps_the_parents_rest(paths):
    write(
        paths.user_presets, f"{HEAD}min_vram_gib = 6\n[options]\nseed = 1\nnetwork_dim = 4\n", "parent.toml"
    )
    write(paths.user_presets, f"{HEAD}extends = 'parent'\n[options]\nseed = 2\n", "child.toml")
    preset = load_preset(paths, "child")
    assert (preset.options["seed"].value, preset.options["network_dim"].value) == (2, 4)
    assert preset.min_vram_gib == 6
    assert preset.options["seed"].source == "user/presets/child.toml:5"


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_extends_in_a_circle(paths, names):
    for name, parent in zip(names, [*names[1:], names[0]], strict=True):
        write(paths.user_presets, f"{HEAD}extends = '{parent}'\n", f"{name}.toml")
    with pytest.raises(InputError, match="in a circle") as caught:
        load_preset(paths, "a")
    assert " → ".join([*names, "a"]) in caught.value.what
    assert caught.value.where.startswith(f"user/presets/{names[-1]}.toml:3")


def test_extends_may_name_a_file_beside(paths):
    write(paths.home / "files", f"{HEAD}[options]\nseed = 5\n", "base.toml")
    path = write(paths.home / "files", f"{HEAD}extends = './base.toml'\n", "child.toml")
    assert load_preset(paths, path).options["seed"].value == 5


def test_a_preset_can_leave_out_what_it_extends(paths):
    write(
        paths.user_presets, f"{HEAD}[options]\nseed = 5\nnetwork_dim = 8\nlr_warmup_steps = 3\n", "base.toml"
    )
    middle = f"{HEAD}extends = 'base'\nwithout = ['seed', 'network_dim']\n[options]\nnetwork_dim = 4\n"
    write(paths.user_presets, middle, "middle.toml")
    write(paths.user_presets, f"{HEAD}extends = 'middle'\nwithout = ['lr_warmup_steps']\n", "child.toml")
    options = load_preset(paths, "child").options
    assert {name: setting.value for name, setting in options.items()} == {"network_dim": 4}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("'seed'", "without needs a list of option names"),
        ("[1]", "without needs a list of option names"),
        ("['sed']", "without: sed is not an option of the trainer"),
    ],
)
def test_what_is_left_out_must_be_options(paths, value, what):
    line, found, _ = only_problem(paths, f"{HEAD}extends = 'style-8gb'\nwithout = {value}\n")
    assert (line, found) == (4, what)


def test_a_windows_path_stays_what_it_is_on_every_system(paths):
    path = write(paths.home / "files", f"{HEAD}[options]\nvae = 'D:\\models\\vae.safetensors'\n")
    assert load_preset(paths, path).options["vae"].value == "D:\\models\\vae.safetensors"


def test_sha256_changes_with_any_file_of_the_chain(paths):
    parent = write(paths.user_presets, f"{HEAD}[options]\nseed = 1\n", "parent.toml")
    write(paths.user_presets, f"{HEAD}extends = 'parent'\n", "child.toml")
    before = load_preset(paths, "child").sha256
    parent.write_text(f"{HEAD}[options]\nseed = 2\n", encoding="utf-8")
    assert load_preset(paths, "child").sha256 != before


def test_own_preset_of_a_shipped_name_is_refused_and_shadows_nothing(paths):
    own = write(paths.user_presets, f"{HEAD}[options]\nseed = 1\n", "sdxl-fp8.toml")
    with pytest.raises(InputError, match="two presets are called sdxl-fp8") as caught:
        load_preset(paths, "sdxl-fp8")
    assert "my-sdxl-fp8.toml" in caught.value.fix
    assert load_preset(paths, "style-8gb").options["seed"].value == 42  # shipped ones extend shipped ones
    assert load_preset(paths, own).options["seed"].value == 1  # a path is no guess


def test_broken_files_are_listed_with_their_error(paths):
    write(paths.user_presets, "nonsense", "broken.toml")
    (paths.user_presets / "folder.toml").mkdir()
    (broken,) = [entry for entry in list_presets(paths) if isinstance(entry, BrokenPreset)]
    assert broken.name == "broken"
    assert "not TOML" in broken.error.what


def test_file_options_lie_beside_the_preset(paths):
    assert load_preset(paths, "demo").options["sample_prompts"].value == str(
        paths.presets / "prompts" / "demo.txt"
    )


# Combinations


def options_of(**values):
    return {
        name: Setting(value=value, source=f"here:{line}")
        for line, (name, value) in enumerate(values.items(), 1)
    }


CACHED = {"cache_text_encoder_outputs": True, "network_train_unet_only": True}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"cache_text_encoder_outputs_to_disk": True}, "network_train_unet_only"),
        ({**CACHED, "shuffle_caption": True}, "shuffle_caption"),
        ({**CACHED, "caption_dropout_rate": 0.1}, "caption_dropout_rate"),
        ({**CACHED, "caption_tag_dropout_rate": 0.1}, "caption_tag_dropout_rate"),
        ({**CACHED, "token_warmup_step": 5.0}, "token_warmup_step"),
        ({"cache_latents": True, "color_aug": True}, "color_aug"),
        ({"cache_latents_to_disk": True, "random_crop": True}, "random_crop"),
        ({"fp8_base": True}, "mixed_precision"),
        ({"fp8_base_unet": True, "mixed_precision": "no"}, "mixed_precision"),
        ({"full_bf16": True, "mixed_precision": "fp16", "no_half_vae": True}, "full_bf16"),
        ({"full_fp16": True}, "full_fp16"),
        ({"enable_bucket": True, "bucket_reso_steps": 48}, "bucket_reso_steps"),
        ({"enable_bucket": True, "resolution": "512,768", "min_bucket_reso": 600}, "min_bucket_reso"),
        ({"enable_bucket": True, "resolution": "512,768", "max_bucket_reso": 704}, "max_bucket_reso"),
        ({"enable_bucket": True, "resolution": "1280,1280"}, "max_bucket_reso"),
        ({"enable_bucket": True, "face_crop_aug_range": "3"}, "two numbers"),
        ({"enable_bucket": True, "face_crop_aug_range": "3,2"}, "smaller first"),
        ({"lr_warmup_steps": 10}, "lr_warmup_steps"),
        ({"lr_warmup_steps": 10, "lr_scheduler": "cosine", "lr_scheduler_type": "StepLR"}, "StepLR"),
        ({"lr_warmup_steps": 10, "lr_scheduler": "cosine", "optimizer_type": "Adafactor"}, "relative_step"),
        ({"lr_scheduler": "adafactor", "optimizer_type": "Adafactor", "optimizer_args": ["relative_step=False"]}, "relative_step"),
        ({"lr_scheduler": "cosine_with_min_lr"}, "lr_scheduler_min_lr_ratio"),
        ({"lr_scheduler": "piecewise_constant"}, "step_rules"),
        ({"optimizer_args": ["weight_decay"]}, "weight_decay"),
        ({"optimizer_args": ["weight_decay=heavy"]}, "quotes"),
        ({"lr_scheduler_args": ["=3"]}, "lr_scheduler_args"),
        ({"network_args": ["conv_dim 4"]}, "key=value"),
        ({"network_args": ["block_dims=4,4,4"]}, "23 numbers, not 3"),
        ({"network_args": ["conv_block_alphas=" + ",".join(["x"] * 23)]}, "conv_block_alphas"),
        ({"network_module": "networks.control_net_lllite"}, "networks.lora"),
        ({"text_encoder_lr": [1e-5, 1e-5, 1e-5]}, "two text encoders"),
        ({"lr_warmup_steps": 0.1, "lr_scheduler": "constant"}, "constant_with_warmup"),
        ({"lr_scheduler": "adafactor"}, "Adafactor"),
        ({"fused_backward_pass": True}, "Adafactor"),
        ({"fused_backward_pass": True, "optimizer_type": "Adafactor", "gradient_accumulation_steps": 2}, "accumulation"),
        ({"adaptive_noise_scale": 0.1}, "noise_offset"),
        ({"scale_v_pred_loss_like_noise_pred": True}, "v_parameterization"),
        ({"v_pred_like_loss": 0.1, "v_parameterization": True}, "v_parameterization"),
        ({"min_timestep": 500, "max_timestep": 400}, "min_timestep"),
        ({"cpu_offload_checkpointing": True, "gradient_checkpointing": True}, "cpu_offload_checkpointing"),
        ({"persistent_data_loader_workers": True, "max_data_loader_n_workers": 0}, "worker"),
        ({"network_train_unet_only": True, "network_train_text_encoder_only": True}, "network_train_text_encoder_only"),
        ({"v2": True}, "SDXL"),
        ({"save_model_as": "ckpt"}, "safetensors"),
        ({"save_last_n_steps": 100}, "save_every_n_steps"),
        ({"save_last_n_epochs_state": 2}, "save_every_n_epochs"),
        ({"max_train_steps": 10, "max_train_epochs": 10}, "max_train_epochs"),
    ],
)  # fmt: skip
def test_impossible_combinations(values, named):
    (problem,) = check_combinations(options_of(**values))
    assert problem.severity is Severity.ERROR
    assert named in problem.what + problem.fix
    assert problem.fix
    assert problem.where.startswith("here:")


@pytest.mark.parametrize(
    "values",
    [
        {"lowram": True},
        {"fp8_base": True, "mixed_precision": "bf16"},
        {"enable_bucket": False, "resolution": "1024,1024"},
        {"optimizer_type": "DAdaptAdam"},
        {"optimizer_type": "AdamWScheduleFree", "lr_scheduler": "cosine"},
        {"optimizer_type": "RAdamScheduleFree", "lr_warmup_steps": 10},
        {"optimizer_type": "Adafactor", "fused_backward_pass": True},
        {"network_module": "lycoris.kohya"},
        {"log_with": "wandb"},
        {"zero_terminal_snr": True},
        {"clip_skip": 2},
        {**CACHED, "caption_prefix": "aki, "},
        {"sdpa": True, "xformers": True},
        {"mixed_precision": "fp16"},
        {"save_state": True},
        {"sample_every_n_steps": 10},
        {"sample_every_n_steps": 10, "sample_every_n_epochs": 1, "sample_prompts": "x"},
    ],
)
def test_doubtful_combinations_only_warn(values):
    (problem,) = check_combinations(options_of(**values))
    assert problem.severity is Severity.WARNING


def test_sound_combinations_are_silent():
    sound = {
        "lr_warmup_steps": 10, "lr_scheduler": "cosine", "cache_latents": True, "enable_bucket": True, "resolution": "1024,1024",
        "fp8_base_unet": True, "mixed_precision": "bf16", "full_bf16": True, "shuffle_caption": True, "sdpa": True,
    }  # fmt: skip
    assert check_combinations(options_of(**sound)) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"enable_bucket": True, "bucket_reso_steps": 32}, "multiple of 64"),
        ({"weighted_captions": True}, "weighted_captions"),
        ({"lr_scheduler": "inverse_sqrt"}, "inverse_sqrt"),
        ({"optimizer_type": "AdamWScheduleFree"}, "AdamWScheduleFree"),
        ({"optimizer_type": "Prodigy"}, "prodigyopt"),
        ({"optimizer_type": "Lion"}, "lion-pytorch"),
        ({"v_parameterization": True}, "v-prediction"),
        ({"network_args": ["block_dims=" + ",".join(["4"] * 23)]}, "25 numbers"),
        (
            {
                "fp8_base": True,
                "mixed_precision": "bf16",
                "sample_every_n_steps": 9,
                "sample_prompts": "x",
                "launcher.sample_unet": "stock",
            },
            "fp8 weights",
        ),
    ],
)
def test_what_only_the_fork_refuses(values, named):
    options = options_of(**values)
    (problem,) = check_combinations(options, trainer="sd-scripts-fp8")
    assert named in problem.what
    assert problem.fix
    known = [found for found in check_combinations(options) if "block_dims" not in found.what]
    assert all("8 bits" in found.what for found in known)


def test_what_only_the_newer_trainer_refuses():
    options = options_of(fp8_base=True, mixed_precision="bf16", shuffle_caption=True)
    assert check_combinations(options, trainer="sd-scripts-fp8") == []
    assert len(check_combinations(options)) == 1


def test_impossible_combination_in_a_preset_names_its_line(paths):
    line, what, _ = only_problem(paths, f"{HEAD}extends = 'sdxl-fp8'\n[options]\nshuffle_caption = true\n")
    assert line == 5
    assert "shuffle_caption" in what


def test_switches_are_inherited_one_by_one(paths):
    write(paths.user_presets, f"{HEAD}[launcher]\nkeep_states = 5\noffload_mib = 100\n", "parent.toml")
    write(
        paths.user_presets, f"{HEAD}extends = 'parent'\n[launcher]\noffload_mib = 200 # more\n", "child.toml"
    )
    switches = load_preset(paths, "child").switches
    assert {name: setting.value for name, setting in switches.items()} == {
        "keep_states": 5,
        "offload_mib": 200,
    }
    assert switches["offload_mib"].why == "more"


def test_advice_on_captions_is_inherited(paths):
    child = write(paths.home / "files", f"{HEAD}extends = 'style-8gb'\n")
    assert "no trigger word" in load_preset(paths, child).captions
    assert "made-up name" in load_preset(paths, "character-8gb").captions
    assert load_preset(paths, "demo").captions == ""


def test_measured_numbers_are_not_inherited(paths):
    child = write(paths.home / "files", f"{HEAD}extends = 'style-8gb'\n[options]\nnetwork_dim = 64\n")
    preset = load_preset(paths, child)
    assert load_preset(paths, "style-8gb").peak_mib
    assert (preset.measured, preset.peak_mib, preset.is_proposed) == ("", None, False)


OPTIONS = load_options(Paths(root=ROOT, home=ROOT, shipped=ROOT))
VALUES = {
    "flag": st.booleans(), "int": st.integers(-5, 3000), "float": st.floats(-1, 5000) | st.integers(-1, 9), "path": st.text(max_size=9),
    "int_or_float": st.integers(0, 900) | st.floats(0, 1), "str": st.text(max_size=20) | st.sampled_from(["a=1", "block_dims=1,2", "=", "x=y=z"]),
}  # fmt: skip


@st.composite
def valid_options(draw):
    """Any options that are right one by one."""
    found = {}
    for name in draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=25)):
        option = OPTIONS[name]
        kind = (
            st.sampled_from(option.choices)
            if option.choices and option.type == "str"
            else VALUES[option.type]
        )
        if name in {"optimizer_type", "lr_scheduler"}:
            kind = st.sampled_from(OPTIMIZERS if name == "optimizer_type" else SCHEDULERS)
        value = draw(st.lists(kind, max_size=3) if option.many else kind)
        with suppress(WrongValueError):
            found[name] = Setting(value=check_value(option, value), source="here:1")
    return found


@given(valid_options(), st.sampled_from(sorted(TRAINERS)))
@settings(deadline=None, max_examples=200)
def test_rules_and_fitting_have_a_sentence_and_a_remedy_for_whatever_there_is(options, trainer):
    paths = Paths(root=ROOT, home=ROOT, shipped=ROOT)
    fitted = fit_options(paths, options, trainer, load_trainer(paths, trainer).options)
    assert set(fitted.options) <= set(load_trainer(paths, trainer).options)
    for problem in [*fitted.problems, *check_combinations(fitted.options, trainer=trainer)]:
        assert problem.what
        assert problem.fix


def test_misspelled_option_is_not_reported_as_missing_too(paths):
    text = f"{HEAD}[options]\ncache_text_encoder_outputs = true\nnetwork_train_unet_onli = true\n"
    line, what, _ = only_problem(paths, text)
    assert (line, what) == (5, "network_train_unet_onli is not an option of the trainer")


# Tables of data


def test_every_refused_option_exists_and_every_hint_leads_somewhere(paths):
    options = load_options(paths)
    assert set(INSTEAD) <= set(options)
    assert set(MEANT.values()) <= set(options) - set(INSTEAD)


# Layers


def test_later_layers_win_value_by_value():
    low, high = options_of(seed=1, network_dim=4), options_of(seed=2)
    assert {name: setting.value for name, setting in lay_over(low, high).items()} == {
        "seed": 2,
        "network_dim": 4,
    }


def test_steps_over_epochs_switch_the_epochs_off():
    merged = lay_over(options_of(max_train_epochs=10), options_of(max_train_steps=20))
    assert set(merged) == {"max_train_steps"}
    assert set(lay_over(options_of(sdpa=True), options_of(xformers=True))) == {"xformers"}
    assert set(lay_over(options_of(sdpa=True), options_of(xformers=False))) == {"sdpa", "xformers"}


# --set, answers and the user's settings


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("network_dim=16", "network_dim", 16),
        ("--network-dim=16", "network_dim", 16),
        ("options.network_dim = 16", "network_dim", 16),
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        ("network_alpha=8", "network_alpha", 8.0),
        ("fp8_base=yes", "fp8_base", True),
        ("fp8_base=False", "fp8_base", False),
        ("optimizer_type=prodigy", "optimizer_type", "Prodigy"),
        ("optimizer_type=my.own.Optimizer", "optimizer_type", "my.own.Optimizer"),
        (
            "optimizer_args=weight_decay=0.1 betas=0.9,0.99",
            "optimizer_args",
            ["weight_decay=0.1", "betas=0.9,0.99"],
        ),
        ('optimizer_args=["a=1", "b=2"]', "optimizer_args", ["a=1", "b=2"]),
        ("text_encoder_lr=1e-5 2e-5", "text_encoder_lr", [1e-5, 2e-5]),
        ("resolution=768", "resolution", "768,768"),
        ("resolution=1024, 768", "resolution", "1024,768"),
        ("lr_warmup_steps=0.1", "lr_warmup_steps", 0.1),
        ("metadata_title=a=b", "metadata_title", "a=b"),
    ],
)
def test_words_are_read_by_the_options_type(paths, word, name, value):
    setting = settings_from_words(paths, [word]).options[name]
    assert setting.value == value
    assert type(setting.value) is type(value)
    assert setting.source == "--set"


def test_words_for_the_dataset(paths):
    assert settings_from_words(paths, ["dataset.num_repeats=10"]).dataset["num_repeats"].value == 10


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("network_dim", "has no value"),
        ("network_dimm=3", "not an option"),
        ("network_dim=abc", "whole number"),
        ("dataset.seed=3", "not known"),
        ("num_repeats=3", "belongs to the dataset"),
        ("output_dir=x", "set by the launcher"),
        ("=", "not an option"),
    ],
)
def test_wrong_words(paths, word, what):
    with pytest.raises(UsageError, match=what) as caught:
        settings_from_words(paths, [word])
    assert caught.value.fix


def test_all_wrong_words_at_once(paths):
    with pytest.raises(UsageError) as caught:
        settings_from_words(paths, ["a=1", "network_dim=x", "seed=5"])
    assert "network_dim" in caught.value.fix


def test_answers_are_values(paths):
    layer = settings_from_answers(paths, {"max_train_steps": 20, "dataset.num_repeats": 3})
    assert layer.options["max_train_steps"] == Setting(value=20, source="answer")
    assert layer.dataset["num_repeats"].value == 3
    with pytest.raises(UsageError):
        settings_from_answers(paths, {"max_train_steps": "20"})


def test_user_settings(paths):
    assert load_settings(paths).options == {}
    write(
        paths.user_settings.parent,
        "[options]\nseed = 3\n[defaults]\ndata = 'images'\ntrainer = 'rehearsal'\n",
        "settings.toml",
    )
    own = load_settings(paths)
    assert own.options["seed"] == Setting(value=3, source="user/settings.toml:2")
    assert own.defaults["data"].value == str(paths.user_settings.parent / "images")


def test_wrong_user_settings(paths):
    write(paths.user_settings.parent, "[options]\nsed = 3\n[defaults]\nmodell = 'x'\n", "settings.toml")
    with pytest.raises(InputError) as caught:
        load_settings(paths)
    assert [problem.where.split(" ")[0] for problem in caught.value.problems] == [
        "user/settings.toml:2",
        "user/settings.toml:4",
    ]


# Lines


def test_lines_of_every_way_to_write_a_key():
    text = '''# head
top = 1
[ a . "b c" ]   # table
x = """
[not.a.table]
y = 2
"""            # multi
'quoted key' = 'C:\\new' # literal
dotted.inner.leaf = [ # list
  "]", '[', # ]
  { deep = 1 },
]
inline = { one = 1, two = { three = "}" } }
s = """a\\"""b""""  # ends with a quote
last = 1979-05-27T07:32:00Z

# why

# because
# of this
[[many]]
n = 1
# reason
m = 2
'''
    tomllib.loads(text)
    found = find_lines(text)
    expected = {
        ("top",): 2, ("a", "b c"): 3, ("a", "b c", "x"): 4, ("a", "b c", "quoted key"): 8,
        ("a", "b c", "dotted", "inner", "leaf"): 9, ("a", "b c", "dotted"): 9, ("a", "b c", "inline"): 13,
        ("a", "b c", "inline", "two", "three"): 13, ("a", "b c", "s"): 14, ("a", "b c", "last"): 15,
        ("many",): 21, ("many", "n"): 22, ("many", "m"): 24,
    }  # fmt: skip
    assert {keys: found.line_of(*keys) for keys in expected} == expected
    assert found.line_of("a", "b c", "unknown") == 3
    assert found.line_of("unknown") == 1
    assert found.comment_of("a", "b c", "x") == "multi"
    assert found.comment_of("many", "m") == "reason"
    assert found.comment_of("many", "n") == ""


TOML_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), TOML_VALUES, max_size=6), st.randoms())
@settings(deadline=None)
def test_lines_of_generated_tables(table, random):
    """Every key that the parser finds is found on the line where it was written."""
    lines, expected = [], {}
    for key, value in table.items():
        lines += [random.choice(["", "# comment ] \" ' ="])] * random.randrange(3)
        lines.append(f"{toml_string(key)} = {toml_value(value)} # why")
        expected[key] = len(lines)
    text = "\n".join(lines)
    assert tomllib.loads(text) == table
    found = find_lines(text)
    assert {key: found.line_of(key) for key in table} == expected
    assert all(found.comment_of(key) == "why" for key in table)


def toml_string(text):
    return (
        json.dumps(text).replace("\x7f", "\\u007f")
        if text.isascii()
        else '"' + "".join(f"\\U{ord(char):08X}" for char in text) + '"'
    )


def toml_value(value):
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{toml_string(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return toml_string(value) if isinstance(value, str) else json.dumps(value)


# Anything at all


FRAGMENTS = st.sampled_from(
    [
        "[preset]\n", "[options]\n", "[dataset]\n", "[[options]]\n", "title = 'x'\n", "seed = 1\n", "extends = 'sdxl-fp8'\n", "x = {",
        "fp8_base = true\n", "resolution = [1,2]\n", "a.b.c = 1\n", '"', "'", '"""', "]", "=", "#", "\n", "options = 3\n", "preset = []\n",
        "learning_rate = nan\n", "seed = 0xffffffffffffffffffffff\n", "base_weights = ['a', 1]\n", "title = 1979-05-27\n", "\r", "\x00", "\ufeff",
    ]
)  # fmt: skip


@given(st.lists(FRAGMENTS | st.text(max_size=10), max_size=12).map("".join) | st.binary(max_size=200))
@example("[preset]\ntitle = 'x'\nextends = '../../../../etc/passwd.toml'\n")
@example("[preset]\ntitle = 'x'\nextends = '\\u0000.toml'\n")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_whatsoever_raises_anything_but_input_errors(paths, content):
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path = write(paths.home / "files", raw, "any.toml")
    own = replace(paths, home=paths.home / "elsewhere")
    write(own.user_settings.parent, raw, "settings.toml")
    for read in (lambda: load_preset(paths, path), lambda: load_settings(own)):
        error = refusal_of(read)
        assert error is None or (error.problems and all(problem.what for problem in error.problems))


def refusal_of(read):
    """The InputError of a call, if there is one; any other exception fails the test."""
    try:
        read()
    except InputError as error:
        return error
    return None
