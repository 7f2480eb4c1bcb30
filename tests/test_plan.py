"""Plans: what wins, where it comes from, what the trainer will read, and what a stored plan may not do."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.errors import InputError, UsageError
from launcher.files import write_json
from launcher.install.accelerate import child_variables
from launcher.machine import Fact, Gpu, Machine
from launcher.paths import Paths, RunPaths
from launcher.plan import (
    Request,
    check_name,
    continue_plan,
    make_name,
    plan_from_json,
    plan_to_json,
    render_argv,
    render_dataset_toml,
    render_train_toml,
    resolve,
    survey,
)
from launcher.plan.cards import choose_cards
from launcher.plan.changes import change_plan
from launcher.plan.command import SHIM, make_argv
from launcher.plan.resolver import without_cache_info
from launcher.plan.tomlout import write_toml
from launcher.preset import Setting, Settings, list_presets
from launcher.trainers import load_options, load_trainer
from launcher.trainers.switches import BOOSTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NO_CARD = Machine(
    os="Linux", cores=4, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="no NVIDIA driver answers",
    has_bf16=Fact(value=True, reason="no NVIDIA card: torch computes bf16 on the CPU"),
)  # fmt: skip


def machine_with(name, capability, total_mib=8192):
    gpu = Gpu(
        name=name, capability=capability, total_mib=total_mib, free_mib=total_mib - 1000, driver="551.23"
    )
    can = capability >= (8, 0)
    reason = f"{name} has compute capability {capability[0]}.{capability[1]}; bf16 needs 8.0"
    return replace(NO_CARD, gpus=(gpu,), gpu_note="", has_bf16=Fact(value=can, reason=reason))


@pytest.fixture
def paths(paths, tmp_path):
    """As the shipped product, but with environments of this test (here: none)."""
    return Paths(root=tmp_path / "root", home=paths.home, shipped=paths.shipped)


@pytest.fixture(autouse=True)
def no_allocator(monkeypatch):
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF", raising=False)


@pytest.fixture
def data(tmp_path):
    return make_images(tmp_path / "猫 'n' dogs", 3)


def make_images(folder, count, suffix=".txt", captions=None):
    """Files that are images by name; the plan never opens them."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").touch()
        if captions is None or number < captions:
            (folder / f"{number}{suffix}").write_text("a cat")
    return folder


def plan_for(paths, data, *words, machine=NO_CARD, **request):
    return resolve(
        paths,
        Request(preset=request.pop("preset", "style-8gb"), data=data, settings=words, **request),
        machine,
    )


def own_settings(paths, text):
    paths.user_settings.parent.mkdir(parents=True, exist_ok=True)
    paths.user_settings.write_text(text, encoding="utf-8")


# Precedence


def test_precedence_preset_then_settings_then_answers_then_command_line(paths, data):
    own_settings(paths, "[options]\nseed = 1\nnetwork_dim = 1\nnetwork_alpha = 1\n")
    answers = {"network_dim": 2, "network_alpha": 2.0}
    options = plan_for(paths, data, "network_alpha=3", answers=answers).options
    assert (options["train_batch_size"].value, options["train_batch_size"].source) == (
        1,
        "presets/sdxl-fp8.toml:27",
    )
    assert (options["seed"].value, options["seed"].source) == (1, "user/settings.toml:2")
    assert (options["network_dim"].value, options["network_dim"].source) == (2, "answer")
    assert (options["network_alpha"].value, options["network_alpha"].source) == (3.0, "--set")


def test_data_and_trainer_may_come_from_the_settings(paths, data):
    own_settings(paths, f"[defaults]\ndata = {json.dumps(str(data))}\ntrainer = 'rehearsal'\n")
    plan = resolve(paths, Request(preset="style-8gb"), NO_CARD)
    assert plan.data == data
    assert plan.machine["trainer"].reason == "user/settings.toml:3"


def test_a_plan_without_data_names_the_flag(paths):
    with pytest.raises(UsageError) as caught:
        resolve(paths, Request(preset="style-8gb"), NO_CARD)
    assert "--data" in caught.value.fix


def test_combinations_are_refused_when_the_command_line_makes_them(paths, data):
    with pytest.raises(InputError) as caught:
        plan_for(paths, data, "shuffle_caption=true", "mixed_precision=no")
    assert [problem.where for problem in caught.value.problems] == [
        "--set (options.shuffle_caption)",
        "presets/sdxl-fp8.toml:17 (options.fp8_base)",
    ]


def test_every_value_has_a_source(paths, data):
    plan = plan_for(paths, data)
    assert all(setting.source for setting in plan.options.values())
    assert plan.options["caption_extension"].source == "data folder: 3 of 3 images have one"


def test_a_bare_preset_gets_what_a_run_must_have(paths, data, tmp_path):
    preset = tmp_path / "bare.toml"
    preset.write_text("[preset]\ntitle = 'Bare'\n")
    plan = plan_for(paths, data, preset=preset)
    assert plan.options["seed"].value == 42
    assert plan.train["resolution"] == "1024,1024"
    assert plan.total_steps == 1600
    assert plan.train["seed"] == 42


# Trainer


def test_automatic_trainer_says_that_it_is_a_rehearsal(paths, data):
    plan = plan_for(paths, data)
    assert plan.trainer == "rehearsal"
    assert plan.machine["trainer"].reason.startswith("automatic")
    assert any(
        "rehearses preset and images" in note and "no NVIDIA driver answers" in note for note in plan.notes
    )
    assert any("sdpa" in note for note in plan.notes if "Without effect" in note)


def test_asked_for_trainer(paths, data):
    plan = plan_for(paths, data, trainer="rehearsal", model=Path("model.safetensors"))
    assert plan.machine["trainer"].reason == "--trainer"
    assert not any("rehearses preset and images" in note for note in plan.notes)
    assert any("base model is not used" in note for note in plan.notes)
    with pytest.raises(InputError, match="no trainer called 'rehersal'"):
        plan_for(paths, data, trainer="rehersal")


# Machine


def record_torch(paths, torch_set, cuda):
    folder = paths.trainer("rehearsal")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "ready.json", {"v": 1, "torch_set": torch_set, "cuda": cuda})


def test_bf16_becomes_fp16_on_an_old_card(paths, data):
    record_torch(paths, "cu121", "12.1")
    plan = plan_for(
        paths, data, "full_bf16=true", "no_half_vae=false", machine=machine_with("GTX 1070", (6, 1))
    )
    assert plan.options["mixed_precision"].value == "fp16"
    assert "compute capability 6.1" in plan.options["mixed_precision"].source
    assert "instead of bf16, presets/sdxl-fp8.toml:18" in plan.options["mixed_precision"].source
    assert plan.train["full_fp16"] is True
    assert "full_bf16" not in plan.train
    assert plan.env["ACCELERATE_MIXED_PRECISION"] == "fp16"
    assert any("compute capability" in note for note in plan.notes)


def test_fp16_brings_the_full_vae(paths, data, tmp_path):
    preset = tmp_path / "bare.toml"
    preset.write_text("[preset]\ntitle = 'Bare'\n[options]\nmixed_precision = 'bf16'\n")
    plan = plan_for(paths, data, preset=preset, machine=machine_with("GTX 1070", (6, 1)))
    assert plan.train["no_half_vae"] is True


def test_bf16_stays_on_a_new_card_and_on_the_cpu(paths, data):
    for machine in (machine_with("RTX 3060 Ti", (8, 6)), NO_CARD):
        plan = plan_for(paths, data, machine=machine)
        assert plan.options["mixed_precision"].source == "presets/sdxl-fp8.toml:18"


def test_what_was_typed_is_kept_with_a_note(paths, data):
    plan = plan_for(paths, data, "mixed_precision=bf16", machine=machine_with("GTX 1070", (6, 1)))
    assert plan.options["mixed_precision"] == Setting(value="bf16", source="--set")
    assert any("is kept because you asked for it" in note for note in plan.notes)


def test_an_old_card_does_not_matter_to_a_cpu_build_of_torch(paths, data):
    record_torch(paths, "cpu", None)
    plan = plan_for(paths, data, machine=machine_with("GTX 1070", (6, 1)))
    assert plan.machine["device"].value == "cpu"
    assert "CPU build of torch" in plan.machine["device"].reason
    assert plan.options["mixed_precision"].value == "bf16"
    assert plan.machine["threads"].value == 1


def test_fp16_becomes_bf16_on_the_cpu(paths, data, tmp_path):
    preset = tmp_path / "half.toml"
    preset.write_text("[preset]\ntitle = 'Half'\nextends = 'sdxl-fp8'\n[options]\nmixed_precision = 'fp16'\n")
    assert plan_for(paths, data, preset=preset).options["mixed_precision"].value == "bf16"


def test_threads_beside_a_card(paths, data):
    record_torch(paths, "cu121", "12.1")
    assert plan_for(paths, data, machine=machine_with("RTX 4060", (8, 9))).machine["threads"].value == 4


# Data


def test_plain_folder(paths, data):
    plan = plan_for(paths, data, "dataset.num_repeats=4", "dataset.class_tokens=cat")
    (dataset,) = plan.dataset["datasets"]
    assert dataset["subsets"] == [
        {"image_dir": data.as_posix(), "num_repeats": 4, "caption_extension": ".txt", "class_tokens": "cat"}
    ]
    assert dataset["resolution"] == 1024
    assert plan.data == data


def test_folders_named_for_their_repeats(paths, tmp_path):
    root = tmp_path / "parent"
    make_images(root / "10_cat", 2)
    make_images(root / "3_dog's life", 1)
    make_images(root / "rest", 1)
    plan = plan_for(paths, root, "dataset.num_repeats=7", "max_train_epochs=2")
    subsets = plan.dataset["datasets"][0]["subsets"]
    assert [(Path(s["image_dir"]).name, s["num_repeats"], s["class_tokens"]) for s in subsets] == [
        ("10_cat", 10, "cat"), ("3_dog's life", 3, "dog's life")
    ]  # fmt: skip
    assert plan.total_steps == 2 * (2 * 10 + 3)
    assert any("rest" in note for note in plan.notes)


def test_one_folder_of_that_kind_named_itself(paths, tmp_path):
    folder = make_images(tmp_path / "10_cat", 2)
    assert plan_for(paths, folder).dataset["datasets"][0]["subsets"][0]["num_repeats"] == 10
    said = plan_for(paths, folder, "dataset.num_repeats=2")
    assert said.dataset["datasets"][0]["subsets"][0]["num_repeats"] == 2


def test_caption_suffix_is_what_most_images_have(tmp_path):
    folder = make_images(tmp_path / "x", 5, ".caption")
    (folder / "0.txt").write_text("notes")
    assert survey(folder).caption_suffix == ".caption"
    assert survey(make_images(tmp_path / "y", 5, captions=0)).caption_suffix is None


def test_hidden_and_other_files_are_no_images(tmp_path):
    folder = make_images(tmp_path / "x", 1)
    for name in ("._0.png", "b.gif", "c.png.part", "D.JPG"):
        (folder / name).touch()
    (folder / "folder.png").mkdir()
    assert survey(folder).folders[0].images == ("0.png", "D.JPG")


def test_a_missing_folder_makes_a_plan_for_preflight_to_judge(paths, tmp_path):
    plan = plan_for(paths, tmp_path / "nowhere", "max_train_epochs=3")
    assert plan.total_steps is None


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ((), 1000),
        (("max_train_steps=20",), 20),
        (("max_train_epochs=4",), 12),
        (("max_train_epochs=4", "gradient_accumulation_steps=2"), 8),
        (("max_train_epochs=4", "train_batch_size=2"), None),
        (("max_train_epochs=4", "train_batch_size=2", "enable_bucket=false"), 8),
    ],
)
def test_total_steps(paths, data, words, steps):
    assert plan_for(paths, data, *words).total_steps == steps


# What the trainer reads


def test_the_two_files_and_the_command(paths, data, tmp_path):
    plan = plan_for(
        paths, data, "resolution=768,512", "min_bucket_reso=256", "log_with=tensorboard", name="訓練 1"
    )
    run = RunPaths(folder=tmp_path / "a'; echo foo {run}")
    train = tomllib.loads(render_train_toml(plan, run))
    assert train["resolution"] == "768,512"
    assert train["output_dir"] == run.output.as_posix()
    assert train["logging_dir"] == (run.output / "logs").as_posix()
    assert train["output_name"] == "訓練 1"
    assert isinstance(train["network_alpha"], float)
    dataset = tomllib.loads(render_dataset_toml(plan))
    assert dataset == plan.dataset
    assert dataset["datasets"][0]["resolution"] == [768, 512]
    argv = render_argv(plan, run)
    assert argv[argv.index("--run") + 1] == str(run.folder)
    assert argv[-4:] == ("--config_file", str(run.train_toml), "--dataset_config", str(run.dataset_toml))
    assert argv[:2] == (str(paths.trainer_python("rehearsal")), str(SHIM))


def test_one_process_is_started_directly_with_what_accelerate_would_give_it(paths, data):
    plan = plan_for(paths, data)
    assert "accelerate.commands.launch" not in plan.argv
    found = {name: value for name, value in plan.env.items() if name.startswith("ACCELERATE_") and value}
    found["OMP_NUM_THREADS"] = plan.env["OMP_NUM_THREADS"]
    assert found == child_variables("", mixed_precision="bf16", threads=plan.machine["threads"].value)
    assert not any("launch=" in word for word in plan.argv)


def test_the_long_way_is_a_switch(paths, data):
    plan = plan_for(paths, data, "launcher.launch=accelerate")
    assert plan.argv[3:5] == ("-m", "accelerate.commands.launch")
    assert plan.env["ACCELERATE_MIXED_PRECISION"] is None
    assert "OMP_NUM_THREADS" not in plan.env
    assert not any("launch=" in word for word in plan.argv)
    assert change_plan(paths, plan, ["launcher.launch=direct"]).options["launcher.launch"].value == "direct"


def test_everything_accelerate_would_guess_is_said(paths, data):
    argv = plan_for(paths, data, "launcher.launch=accelerate").argv
    launch = argv[: argv.index("--run")]
    said = {flag: launch[launch.index(flag) + 1] for flag in launch if flag.startswith("--")}
    assert said == {
        "--config_file": str(paths.accelerate_config("rehearsal")), "--mixed_precision": "bf16", "--num_processes": "1",
        "--num_machines": "1", "--dynamo_backend": "no", "--num_cpu_threads_per_process": "1",
    }  # fmt: skip


def test_the_cache_is_shared_by_runs_on_the_same_images_and_lies_outside_of_them(paths, data, tmp_path):
    first = Path(plan_for(paths, data).env["LAUNCHER_CACHE_DIR"])
    assert first == Path(plan_for(paths, data, "seed=3", name="other").env["LAUNCHER_CACHE_DIR"])
    assert first.is_relative_to(paths.home)
    assert not first.is_relative_to(data)
    other = Path(plan_for(paths, tmp_path / "x" / data.name).env["LAUNCHER_CACHE_DIR"])
    assert other != first


def test_environment_forces_utf8_and_forgets_other_tools(paths, data):
    env = plan_for(paths, data).env
    assert env["PYTHONUTF8"] == "1"
    assert env["HF_HUB_OFFLINE"] == "1"
    assert env["ACCELERATE_TORCH_DEVICE"] is None
    assert env["PYTHONPATH"] is None


def test_resolving_touches_nothing(paths, data):
    before = sorted(path.name for path in data.iterdir())
    plan_for(paths, data)
    assert sorted(path.name for path in data.iterdir()) == before
    assert list(paths.home.iterdir()) == []


# Names


@pytest.mark.parametrize(
    "name",
    [
        "", "  ", "a/b", "a\\b", "..", ".", "../x", ".hidden", "-rf", "a\nb", "a\x00b", "a\x7f", "a\u202eb", "CON", "con.txt", "LPT1",
        "nul .x", "a:b", "a*", "a?", 'a"b', "a<b", "a|b", "end.", "end ", " begin", "x" * 81, "訓" * 27, "\ud800",
    ],
)  # fmt: skip
def test_refused_names(paths, data, name):
    with pytest.raises(UsageError) as caught:
        plan_for(paths, data, name=name)
    assert caught.value.exit_code == 2
    assert caught.value.fix


@pytest.mark.parametrize(
    "name", ["cat", "訓練 データ", "a'; echo foo", "v1.2", "console", "x" * 80, "👩\u200d🎨"]
)
def test_accepted_names(name):
    assert check_name(name) is None


@given(st.lists(st.text(), max_size=3))
@settings(deadline=None)
def test_made_names_are_always_accepted(parts):
    assert check_name(make_name(*parts)) is None


@pytest.mark.parametrize("path", ["a\nb", "bad\udcff"])
def test_data_paths_that_cannot_be_written_down(paths, path):
    with pytest.raises(UsageError, match="--data"):
        plan_for(paths, Path("/tmp") / path)


# Storing


def test_a_plan_survives_json(paths, data):
    plan = plan_for(
        paths,
        data,
        "optimizer_args=a=1 b=2",
        model=Path("m.safetensors"),
        machine=machine_with("RTX 4060", (8, 9)),
    )
    assert plan_from_json(plan_to_json(plan)) == plan
    assert plan_from_json(json.loads(plan_to_json(plan))) == plan


HOSTILE = [
    ("v", 2), ("v", True), ("name", "../../x"), ("name", 3), ("name", None), ("argv", "rm -rf"), ("argv", [1]), ("env", []),
    ("env", {"A": 1}), ("train", None), ("train", {"x": None}), ("dataset", {"x": float("nan")}), ("options", {"a": 1}),
    ("options", {"a": {"value": 1}}), ("options", {"a": {"value": 1, "source": "x", "more": 1}}), ("machine", {"a": {}}),
    ("total_steps", "many"), ("total_steps", 1.5), ("data", None), ("script", "a\0b"), ("notes", {}), ("parent", 1), ("model", []),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), HOSTILE)
def test_stored_plans_are_not_believed(paths, data, field, value):
    stored = json.loads(plan_to_json(plan_for(paths, data)))
    with pytest.raises(InputError):
        plan_from_json({**stored, field: value})


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"v": 1}', "[" * 100_000, b"\xff\xfe", '"x"', " " * 5_000_000]
)
def test_files_that_are_no_plans(text):
    with pytest.raises(InputError):
        plan_from_json(text)


def test_unknown_and_missing_fields_are_refused(paths, data):
    stored = json.loads(plan_to_json(plan_for(paths, data)))
    with pytest.raises(InputError, match="damaged"):
        plan_from_json({**stored, "shell": "x"})
    del stored["env"]
    with pytest.raises(InputError, match="damaged"):
        plan_from_json(stored)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=9), x),
    )
)
@settings(deadline=None)
def test_no_value_whatsoever_raises_anything_but_input_errors(value):
    with pytest.raises(InputError):
        plan_from_json(value)


# Going on


def test_continued_plan_keeps_the_options_and_gets_a_state(paths, data):
    plan = plan_for(paths, data)
    state = Path("/runs/a/states/step00000010")
    again = continue_plan(paths, plan, parent="20261123-a", state=state)
    assert again.argv == (*plan.argv, "--resume", str(state), "--skip_until_initial_step")
    assert (again.parent, again.resume_state) == ("20261123-a", state)
    assert (again.options, again.train, again.dataset, again.env) == (
        plan.options,
        plan.train,
        plan.dataset,
        plan.env,
    )
    third = continue_plan(paths, again, parent="b", state=None)
    assert third.argv == plan.argv


def test_a_stored_plan_cannot_start_programs(paths, data):
    plan = plan_for(paths, data)
    evil = replace(
        plan,
        argv=("/bin/sh", "-c", "boom"),
        env={"LD_PRELOAD": "/tmp/x.so"},
        script=Path("/tmp/evil.py"),
        cwd=Path("/tmp"),
    )
    assert continue_plan(paths, evil, parent="a", state=None) == replace(plan, parent="a")
    with pytest.raises(InputError, match="no trainer"):
        continue_plan(paths, replace(plan, trainer="evil"), parent="a", state=None)
    options = {**plan.options, "output_dir": Setting(value="/etc", source="x")}
    with pytest.raises(InputError, match="set by the launcher"):
        continue_plan(paths, replace(plan, options=options), parent="a", state=None)


# The full trainers


def standing(paths, trainer="sd-scripts", torch_set="cu121", attention="sdpa"):
    """What `trainer_ready` looks for: a proved environment, without what is in it."""
    folder = paths.trainer(trainer)
    python = paths.trainer_python(trainer)
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
    (folder / "accelerate.yaml").write_text("", encoding="utf-8")
    ready = {"v": 3, "torch_set": torch_set, "cuda": None, "accelerate_config": "", "attention": attention}
    write_json(folder / "ready.json", ready)


CARD = machine_with("RTX 3060 Ti", (8, 6))


def test_automatic_means_sd_scripts_where_it_stands_and_a_card_is_there(paths, data):
    standing(paths)
    plan = plan_for(paths, data, machine=CARD)
    assert plan.trainer == "sd-scripts"
    assert plan.machine["trainer"].reason.startswith("automatic: it is installed")
    assert plan.trainer_commit == "ae72efb92babe89ff8e70f057e42db68440e8d61"
    assert not any("rehears" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("torch_set", "machine", "note"),
    [
        ("cu121", NO_CARD, "no NVIDIA driver answers. A LoRA for SDXL needs an NVIDIA card"),
        (None, CARD, "sd-scripts is not installed. `python setup_env.py install sd-scripts`"),
        ("cpu", CARD, "the torch of sd-scripts is a build for processors. `python setup_env.py install sd-scripts`"),
    ],
)  # fmt: skip
def test_where_it_cannot_train_a_rehearsal_says_why_and_what_to_do(paths, data, torch_set, machine, note):
    if torch_set:
        standing(paths, torch_set=torch_set)
    plan = plan_for(paths, data, machine=machine)
    assert plan.trainer == "rehearsal"
    assert any(note in found for found in plan.notes)


def test_the_command_of_the_full_trainer(paths, data, tmp_path):
    plan = plan_for(paths, data, trainer="sd-scripts", model=tmp_path / "base.safetensors", machine=CARD)
    words = plan.argv
    assert words[words.index("--script") + 1] == str(
        paths.trainer_code("sd-scripts") / "sdxl_train_network.py"
    )
    assert words[words.index("--trainer-class") + 1] == "SdxlNetworkTrainer"
    assert plan.train["pretrained_model_name_or_path"] == (tmp_path / "base.safetensors").as_posix()
    assert plan.train["tokenizer_cache_dir"] == paths.tokenizers.as_posix()
    switched = [words[number + 1] for number, word in enumerate(words) if word == "--switch"]
    assert dict(word.split("=") for word in switched) == {
        "exact_resume": "true", "state_every_minutes": "15.0", "keep_states": "3", "states_budget_gib": "0.0", "stop_on_nan": "10",
        "cache_images": "folder", "lean_load": "true", "free_text_encoders": "true", "vae_encode": "rows", "vae_decode": "rows",
        "sample_unet": "autocast", "offload_mib": "0", "allocator": "expandable", "boosts": "rounding", "keep_mib": "0",
        **{f"boost_{name}": "auto" for name in BOOSTS},
    }  # fmt: skip
    assert words.index("--switch") < words.index("--")
    assert not any("." in name for name in plan.train)


def test_a_resume_says_skip_only_where_the_trainer_knows_it(paths, data):
    state = Path("/runs/a/states/x")
    for trainer, words in (("sd-scripts", ("--skip_until_initial_step",)), ("sd-scripts-fp8", ())):
        plan = plan_for(paths, data, trainer=trainer, machine=CARD)
        again = continue_plan(paths, plan, parent="a", state=state)
        assert again.argv == (*plan.argv, "--resume", str(state), *words)


def test_words_are_checked_by_the_table_of_the_trainer_in_use(paths, data):
    plan_for(paths, data, "loss_type=huber", trainer="sd-scripts")
    with pytest.raises(UsageError, match="loss_type is not an option of the trainer in use") as caught:
        plan_for(paths, data, "loss_type=huber", trainer="sd-scripts-fp8")
    assert "--trainer sd-scripts" in caught.value.fix
    with pytest.raises(UsageError, match="lr_warmup_steps needs a whole number"):
        plan_for(paths, data, "lr_warmup_steps=0.1", trainer="sd-scripts-fp8")
    with pytest.raises(UsageError, match="text_encoder_lr needs a number"):
        plan_for(paths, data, "text_encoder_lr=1e-5 2e-5", trainer="sd-scripts-fp8")


def fork_plan(paths, data, tmp_path, lines, *words):
    preset = tmp_path / "mine.toml"
    preset.write_text(
        f"[preset]\ntitle = 'Mine'\nextends = 'style-8gb'\n[options]\n{lines}\n", encoding="utf-8"
    )
    return plan_for(paths, data, *words, preset=preset, trainer="sd-scripts-fp8", machine=CARD)


def test_what_the_fork_does_not_know_is_left_out_where_nothing_is_lost(paths, data, tmp_path):
    lines = "metadata_usage_hint = 'x'\nhighvram = true\nloss_type = 'l2'\nhuber_c = 0.2\nvalidation_split = 0.0\ntext_encoder_lr = [1e-5]"
    plan = fork_plan(paths, data, tmp_path, lines)
    assert not {"metadata_usage_hint", "highvram", "loss_type", "huber_c", "validation_split"} & set(
        plan.train
    )
    (note,) = (note for note in plan.notes if note.startswith("Left out"))
    assert note.endswith("highvram, huber_c, metadata_usage_hint.")
    assert plan.train["text_encoder_lr"] == 1e-5
    assert set(plan.train) <= set(load_options(paths, "sd-scripts-fp8"))


def test_fp8_of_the_unet_alone_is_the_forks_fp8_when_the_texts_are_cached(paths, data, tmp_path):
    plan = fork_plan(paths, data, tmp_path, "fp8_base = false\nfp8_base_unet = true")
    assert plan.train["fp8_base"] is True
    assert "fp8_base_unet" not in plan.train
    with pytest.raises(InputError, match="does not know fp8_base_unet"):
        plan_for(paths, data, preset="style-8gb-te", trainer="sd-scripts-fp8", machine=CARD)


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("loss_type = 'huber'", "loss_type"),
        ("masked_loss = true", "masked_loss"),
        ("validation_split = 0.1", "validation_split"),
        ("enable_wildcard = true", "enable_wildcard"),
        ("text_encoder_lr = [1e-5, 2e-5]", "text_encoder_lr"),
        ("lr_warmup_steps = 0.1", "lr_warmup_steps"),
    ],
)
def test_what_the_fork_cannot_leave_out_is_refused(paths, data, tmp_path, lines, name):
    with pytest.raises(InputError) as caught:
        fork_plan(paths, data, tmp_path, lines)
    assert name in caught.value.what
    assert "mine.toml:5" in caught.value.where
    assert caught.value.fix


def test_every_shipped_preset_makes_a_plan_and_the_forks_one_for_the_fork(paths, data):
    for preset in list_presets(paths):
        plan = plan_for(
            paths,
            data,
            preset=preset.name,
            trainer=None if preset.name == "demo" else "sd-scripts",
            machine=CARD,
        )
        assert plan.total_steps
        assert set(plan.train) <= set(load_options(paths))
    assert plan_for(paths, data, preset="fork-style-8gb", machine=CARD).trainer == "sd-scripts-fp8"


# Switches


def test_switches_come_from_preset_settings_and_words(paths, data, tmp_path):
    preset = tmp_path / "mine.toml"
    preset.write_text(
        "[preset]\ntitle = 'Mine'\nextends = 'style-8gb'\n[launcher]\noffload_mib = 512 # why\nkeep_states = 5\nlean_load = false\n",
        encoding="utf-8",
    )
    own_settings(paths, "[launcher]\nkeep_states = 7\n")
    plan = plan_for(paths, data, "launcher.lean_load=yes", preset=preset, trainer="sd-scripts", machine=CARD)
    found = {
        name: plan.options[f"launcher.{name}"]
        for name in ("offload_mib", "keep_states", "lean_load", "vae_encode")
    }
    assert (found["offload_mib"].value, found["offload_mib"].why) == (512, "why")
    assert found["offload_mib"].source.endswith("mine.toml:5")
    assert (found["keep_states"].value, found["keep_states"].source) == (7, "user/settings.toml:2")
    assert found["lean_load"] == Setting(value=True, source="--set")
    assert found["vae_encode"].source == "launcher: default"
    again = continue_plan(paths, plan_from_json(plan_to_json(plan)), parent="a", state=None)
    assert again.argv == plan.argv


def test_a_rehearsal_has_only_the_switches_that_it_obeys(paths, data):
    plan = plan_for(paths, data, "launcher.offload_mib=100")
    assert {name for name in plan.options if name.startswith("launcher.")} == {
        "launcher.state_every_minutes", "launcher.keep_states", "launcher.states_budget_gib", "launcher.stop_on_nan",
        "launcher.hold_above_c", "launcher.continue_below_c", "launcher.on_battery", "launcher.on_low_disk",
        "launcher.offload_mib", "launcher.launch",
    }  # fmt: skip
    assert any("launcher.offload_mib" in note for note in plan.notes if note.startswith("Without effect"))


@pytest.mark.parametrize(
    ("word", "what", "fix"),
    [
        ("launcher.lean_lod=true", "launcher.lean_lod is not known", "launcher.lean_load"),
        ("lean_load=true", "lean_load belongs to the launcher", "--set launcher.lean_load"),
        ("launcher.vae_encode=tiles", 'vae_encode cannot be "tiles"', "rows"),
        ("launcher.offload_mib=-1", "offload_mib cannot be negative", "0 or more"),
        ("launcher.keep_states=0", "keep_states must be at least 1", "keep_states = 1"),
        ("launcher.output_dir=x", "launcher.output_dir is not known", "exact_resume"),
    ],
)
def test_wrong_switches(paths, data, word, what, fix):
    with pytest.raises(UsageError) as caught:
        plan_for(paths, data, word)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_a_stored_plan_cannot_bring_unknown_switches(paths, data):
    plan = plan_for(paths, data)
    for name in ("launcher.nothing", "launcher.keep_states; rm", "launcher."):
        options = {**plan.options, name: Setting(value=1, source="x")}
        with pytest.raises(InputError, match="not known"):
            continue_plan(paths, replace(plan, options=options), parent="a", state=None)


@pytest.mark.parametrize(
    ("system", "words", "told"),
    [("Linux 6.1", (), "expandable_segments:True"), ("Windows 11", (), None), ("Linux 6.1", ("launcher.allocator=stock",), None)],
)  # fmt: skip
def test_the_allocator_is_told_where_it_can_do_it(paths, data, system, words, told):
    plan = plan_for(paths, data, *words, trainer="sd-scripts", machine=replace(CARD, os=system))
    assert plan.env.get("PYTORCH_CUDA_ALLOC_CONF") == told
    assert any("on Linux only" in note for note in plan.notes) == system.startswith("Windows")
    assert continue_plan(paths, plan, parent="a", state=None).env == plan.env
    assert "PYTORCH_CUDA_ALLOC_CONF" not in plan_for(paths, data, trainer="sd-scripts").env


def test_xformers_give_way_where_the_environment_has_none(paths, data):
    standing(paths)
    own_settings(paths, "[options]\nxformers = true\n")
    plan = plan_for(paths, data, machine=CARD)
    assert "xformers" not in plan.train
    assert plan.train["sdpa"] is True
    assert any("without xformers" in note for note in plan.notes)
    typed = plan_for(paths, data, "xformers=true", machine=CARD)
    assert typed.train["xformers"] is True
    standing(paths, attention="xformers")
    assert plan_for(paths, data, machine=CARD).train["xformers"] is True


# Cards

TWO = replace(CARD, gpus=(*CARD.gpus, replace(CARD.gpus[0], name="GTX 1070", capability=(6, 1))))


def test_two_cards_train_together(paths, data):
    plan = plan_for(paths, data, "max_train_epochs=4", trainer="sd-scripts", gpus="0, 1", machine=TWO)
    launch = plan.argv[: plan.argv.index("--run")]
    assert launch[launch.index("--num_processes") + 1] == "2"
    assert launch[launch.index("--gpu_ids") + 1] == "0,1"
    assert "--multi_gpu" in launch
    ports = {
        render_argv(plan, RunPaths(folder=paths.home))[launch.index("--main_process_port") + 1]
        for _ in range(2)
    }
    assert all(1024 < int(port) < 65536 for port in ports)
    assert plan.env["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert plan.machine["gpus"] == Fact(value="0,1", reason="RTX 3060 Ti, GTX 1070")
    assert plan.total_steps == 4 * 2  # three images: two batches for one card, one for the other
    assert any("each step sees 2 × 1 images" in note for note in plan.notes)
    assert plan.train["mixed_precision"] == "fp16"  # what the weaker one can do
    again = continue_plan(paths, plan_from_json(plan_to_json(plan)), parent="a", state=None)
    assert (again.argv, again.env) == (plan.argv, plan.env)


def test_the_second_card_alone(paths, data):
    plan = plan_for(paths, data, trainer="sd-scripts", gpus="1", machine=TWO)
    assert plan.env["CUDA_VISIBLE_DEVICES"] == "1"
    assert "--multi_gpu" not in plan.argv
    assert plan.train["mixed_precision"] == "fp16"
    assert not any("cards train together" in note for note in plan.notes)


def test_cards_may_come_from_the_settings(paths, data):
    own_settings(paths, "[defaults]\ngpus = 'all'\n")
    plan = plan_for(paths, data, trainer="sd-scripts", machine=TWO)
    assert plan.machine["gpus"].value == "0,1"
    assert plan_for(paths, data, trainer="sd-scripts", gpus="0", machine=TWO).machine["gpus"].value == "0"


@pytest.mark.parametrize(
    ("gpus", "machine", "what", "fix"),
    [
        ("2", TWO, "there is no card 2", "0 (RTX 3060 Ti), 1 (GTX 1070)"),
        ("0", NO_CARD, "there is no card 0", "leave --gpus out"),
        ("0;1", TWO, "no list of cards", "0,1"),
        ("-1", TWO, "no list of cards", "0,1"),
    ],
)
def test_cards_that_are_not_there(paths, gpus, machine, what, fix):
    with pytest.raises(UsageError) as caught:
        plan_for(paths, paths.home, trainer="sd-scripts", gpus=gpus, machine=machine)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.where == "--gpus"


def test_a_rehearsal_takes_one_card(paths, data):
    with pytest.raises(UsageError, match="uses one card, not 2"):
        plan_for(paths, data, trainer="rehearsal", gpus="0,1", machine=TWO)


def test_processes_without_cards(paths):
    """For the tests with two processes on the CPU."""
    words = make_argv(
        paths,
        load_trainer(paths, "sd-scripts"),
        mixed_precision="no",
        threads=1,
        resume_state=None,
        processes=2,
    )
    assert words[words.index("--num_processes") + 1] == "2"
    assert "--multi_gpu" in words
    assert "--gpu_ids" not in words


@given(st.text(max_size=12) | st.from_regex(r"[0-9, ]{1,8}"))
@settings(deadline=None)
def test_no_word_for_cards_raises_anything_but_usage_errors(text):
    request = Request(preset="x", gpus=text)
    try:
        numbers = choose_cards(request, Settings(), TWO)
    except UsageError:
        return
    assert set(numbers) <= {0, 1}
    assert len(set(numbers)) == len(numbers)


# TOML


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.text()
        | st.lists(st.text())
        | st.integers()
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False),
    )
)
@settings(deadline=None)
def test_written_toml_is_read_back(table):
    assert tomllib.loads(write_toml({"datasets": [{"subsets": [table, table]}], "general": {}})) == {
        "datasets": [{"subsets": [table, table]}], "general": {}
    }  # fmt: skip


@pytest.mark.parametrize("value", [None, float("inf"), "\ud800", [None], object()])
def test_what_toml_cannot_hold(value):
    with pytest.raises(ValueError, match=r"."):
        write_toml({"x": value})


def test_windows_paths_are_written_as_literals():
    """toml 0.10.2 turns "C:\\new" into a line break; in 'single quotes' it does not."""
    assert write_toml({"x": "C:\\new\\test"}) == "x = 'C:\\new\\test'\n"


def test_a_stored_dataset_cannot_make_upstream_write_beside_images():
    stored = {
        "general": {"cache_info": True},
        "datasets": [{"cache_info": True, "subsets": [{"image_dir": "/x", "cache_info": True}]}],
    }
    assert without_cache_info(stored) == {"general": {}, "datasets": [{"subsets": [{"image_dir": "/x"}]}]}
