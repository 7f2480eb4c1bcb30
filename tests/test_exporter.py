"""Export and import are each other's reverse: a plan as a script, read back, is the same plan; hostile texts stay texts."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from launcher.cli import execute
from launcher.errors import InputError, LauncherError
from launcher.events import Status
from launcher.exporter import LANGUAGES, export, write
from launcher.history import read_state, write_state
from launcher.importer import importing
from launcher.machine import Fact, Gpu, Machine
from launcher.paths import Paths
from launcher.plan import Request, check_name, continue_plan, resolve
from launcher.run import create_run
from launcher.trainers import load_options
from launcher.trainers.switches import PREFIX, SWITCHES

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "launcher" / "demo" / "images"
CARD = Machine(
    os="Windows 10", cores=8, ram_mib=32_000, free_ram_mib=20_000, gpu_note="",
    gpus=(Gpu(name="NVIDIA GeForce RTX 3060 Ti", capability=(8, 6), total_mib=8192, free_mib=7600, driver="551.23"),),
    has_bf16=Fact(value=True, reason="compute capability 8.6"),
)  # fmt: skip
OWN = {"output_dir", "logging_dir", "tokenizer_cache_dir"}  # folders of the run, or of the installation
SPOKEN = ["ps1", "bat", "sh", "accelerate"]
EACH = pytest.mark.parametrize("language", SPOKEN)


@pytest.fixture
def paths(paths, tmp_path):
    return Paths(root=tmp_path / "root", home=paths.home, shipped=paths.shipped)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "out 訓練"
    place.mkdir()
    return place


def planned(paths, *words, preset="style-8gb", data=IMAGES, model="/models/sd xl.safetensors", **more):
    request = Request(
        preset=preset, trainer="sd-scripts", data=data, model=Path(model), settings=words, **more
    )
    return resolve(paths, request, CARD)


def passed(plan):
    """The trainer's options that differ from what it takes anyway; no list is an empty list."""
    table = load_options(Paths(root=ROOT, home=ROOT, shipped=ROOT))
    return {
        name: value
        for name, value in plan.train.items()
        if name not in OWN and value not in (None, []) and not same(value, table[name].default)
    }


def same(value, default):
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def switches(plan):
    return {name: item.value for name, item in plan.options.items() if name.startswith(PREFIX)}


def there_and_back(paths, plan, language, folder):
    """Write the script, import it, and resolve what the import says to type."""
    exported = export(paths, plan, language, folder)
    write(exported)
    found = importing.understand(paths, exported.path, CARD)
    (outcome,) = found.outcomes
    assert not outcome.unread
    assert not found.unreadable
    (made,) = importing.make(paths, found, folder)
    problems, _ = importing.write(paths, [made], found.source.label)
    assert not problems
    return resolve(paths, request_of(made, plan.trainer), CARD)


def request_of(made, trainer):
    """What `train` makes of the words that the import prints."""
    words = dict(zip(made.train[2::2], made.train[3::2], strict=True))
    return Request(
        preset=made.path, model=Path(words["--model"]), data=(words["--data"],), name=words["--name"],
        gpus=words.get("--gpus"), trainer=None if trainer == "sd-scripts-fp8" else trainer,
    )  # fmt: skip


def assert_same(one, other):
    assert passed(other) == passed(one)
    assert other.dataset == one.dataset
    assert switches(other) == switches(one)
    assert (other.trainer, other.total_steps) == (one.trainer, one.total_steps)


# ---------------------------------------------------------------------- the way there and back


@EACH
@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "presets").glob("*.toml")))
def test_every_shipped_preset_comes_back(paths, tmp_path, preset, language):
    if preset == "demo":
        pytest.skip("a preset for the rehearsal")
    trainer = "sd-scripts-fp8" if preset.startswith("fork") else "sd-scripts"
    plan = resolve(
        paths, Request(preset=preset, trainer=trainer, data=IMAGES, model=Path("/m.safetensors")), CARD
    )
    assert_same(plan, there_and_back(paths, plan, language, tmp_path))


# The private planes 15 and 16 stay out: the readers of batch and shell mark places with them (importer/scripts/marks.py).
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("'`$%!^&|<>()[]{};,#~*?@=+-\\/ \u2018\u2019\u201c\u201d訓練é😀\u00a0\ufeff"),
        st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters='"', max_codepoint=0xEFFFF),
    ),
    max_size=30,
)  # fmt: skip
HOSTILE = [
    "$(calc)", "`whoami`", "${env:PATH}", "%PATH%", "%~dp0", "!PATH!", "a & calc", "a|b>c<d", "'; calc; '", "' + (calc) + '",
    "\u2019; calc; \u2018", "^", "#comment", "--seed=1", "-", "@words", "@(calc)", "a, b", "$words", "$$", "\\\\", "a\\'b", "%%x",
    "100%", "rem", "<#", "#>", "~", "*", "[x]", "{0}", "訓練 データ", "$env:PATH", "$model", "%MODEL%", "EOF", "\u201c$x\u201d",
]  # fmt: skip
ITEMS = st.one_of(TEXTS, st.sampled_from(HOSTILE))
FREE = ("training_comment", "metadata_title", "metadata_description", "caption_prefix", "wandb_run_name")
LISTS = ("network_args", "optimizer_args", "lr_scheduler_args")


@st.composite
def option_sets(draw):
    """Random options of the trainer, most of them free texts, and switches of the launcher."""
    table = load_options(Paths(root=ROOT, home=ROOT, shipped=ROOT))
    values = {name: draw(ITEMS) for name in draw(st.sets(st.sampled_from(FREE), max_size=3))}
    for name in draw(st.sets(st.sampled_from(LISTS), max_size=2)):
        values[name] = draw(st.lists(st.builds("k={}".format, ITEMS) | ITEMS, max_size=4))
    numbers = {
        "learning_rate": st.floats(1e-12, 1.0), "network_dim": st.integers(1, 512), "network_alpha": st.floats(0.001, 1e4),
        "lr_warmup_steps": st.integers(0, 5000) | st.floats(0.0, 0.99), "min_snr_gamma": st.floats(0.1, 20),
        "noise_offset": st.floats(-0.5, 0.5), "seed": st.integers(0, 2**32 - 1), "max_train_steps": st.integers(1, 10**6),
        "unet_lr": st.floats(1e-9, 1), "text_encoder_lr": st.lists(st.floats(0, 1), max_size=2),
    }  # fmt: skip
    for name in draw(st.sets(st.sampled_from(sorted(numbers)), max_size=5)):
        values[name] = draw(numbers[name])
    for name in draw(
        st.sets(st.sampled_from(["shuffle_caption", "flip_aug", "weighted_captions", "no_metadata"]))
    ):
        values[name] = draw(st.booleans())
    if draw(st.booleans()):
        values["lr_scheduler"] = draw(st.sampled_from(["constant", "cosine", "polynomial"]))
    assert set(values) <= set(table)
    own = {"offload_mib": st.integers(0, 4000), "exact_resume": st.booleans(), "lean_load": st.booleans(), "on_battery": st.sampled_from(SWITCHES["on_battery"].choices), "state_every_minutes": st.floats(0, 600)}  # fmt: skip
    for name in draw(st.sets(st.sampled_from(sorted(own)))):
        values[f"{PREFIX}{name}"] = draw(own[name])
    return values


@EACH
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(values=option_sets(), names=st.tuples(ITEMS, ITEMS))
def test_export_then_import_is_the_identity(paths, tmp_path_factory, language, values, names):
    """Over random options: the same plan, or a refusal that names the value; never a third thing."""
    folder = tmp_path_factory.mktemp("export")
    plan = with_options(paths, values, *names)
    if plan is None:
        event("the launcher refuses it")
        return
    refused = why_refused(paths, plan, language, folder)
    if refused:
        assert "on a command line" in refused or "cannot stand in a" in refused
        assert not list(folder.iterdir())
        event("refused for this language")
        return
    again = there_and_back(paths, plan, language, folder)
    event("same")
    assert_same(plan, again)
    assert (again.model, again.name) == (plan.model, plan.name)


def why_refused(paths, plan, language, folder):
    try:
        export(paths, plan, language, folder)
    except InputError as error:
        return error.what
    return ""


def with_options(paths, values, name, model):
    """A plan with these values; None where the launcher itself refuses them."""
    request = Request(
        preset="style-8gb", trainer="sd-scripts", data=IMAGES, answers=values, model=Path(f"/m/{model}.safetensors"),
        name=name if check_name(name) is None else None,
    )  # fmt: skip
    try:
        return resolve(paths, request, CARD)
    except LauncherError:
        return None


# ---------------------------------------------------------------------- what bash itself makes of it

BASH = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
ECHO = (
    '#!/bin/sh\nprintf \'%s\\0\' "$PWD" "$PYTHONUTF8" "$@"\n'  # an `accelerate` that says how it was called
)


def run_in_bash(path, folder):
    """The words that `accelerate` gets, and the folder that it is started in; everything else on the PATH is the system's."""
    stand_in = folder / "bin" / "accelerate"
    stand_in.parent.mkdir()
    stand_in.write_text(ECHO)
    stand_in.chmod(0o755)
    env = {"PATH": f"{stand_in.parent}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        ["bash", str(path)], cwd="/", env=env, capture_output=True, encoding="utf-8", check=True, timeout=30
    )
    assert not done.stderr
    place, utf8, *words = done.stdout.removesuffix("\0").split("\0")
    assert (Path(place), utf8) == (path.parent, "1")
    return words


@BASH
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(values=option_sets(), names=st.tuples(ITEMS, ITEMS))
def test_bash_gets_the_words_of_the_plan(paths, tmp_path_factory, values, names):
    """Run by a real bash: every word arrives as it is, and no file appears (nothing in them is run)."""
    folder = tmp_path_factory.mktemp("bash")
    plan = with_options(paths, values, *names)
    if plan is None or why_refused(paths, plan, "sh", folder):
        return
    exported = export(paths, plan, "sh", folder)
    write(exported)
    words = run_in_bash(exported.path, folder)
    script = exported.script
    assert words == [
        "launch",
        *script.accelerate,
        "./sd-scripts/sdxl_train_network.py",
        *script.trainer_words,
    ]
    assert {item.name for item in folder.iterdir()} == {"bin", *(path.name for path, _ in exported.files)}


# ---------------------------------------------------------------------- refusals and files


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_value_of_several_lines_is_refused_before_anything_is_written(paths, folder, language):
    plan = resolve(
        paths,
        Request(preset="style-8gb", trainer="sd-scripts", data=IMAGES, model=Path("/m.safetensors"), answers={"training_comment": "a\ncalc"}),
        CARD,
    )  # fmt: skip
    with pytest.raises(InputError, match="training_comment: a value with line ends"):
        export(paths, plan, language, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("language", "text"), [("ps1", 'a "b"'), ("bat", 'a "b"'), ("bat", "C:\\x\\"), ("accelerate", "50%"), ("accelerate", "$x"), ("accelerate", "hi!")])  # fmt: skip
def test_what_a_language_cannot_carry_is_refused_with_a_way_out(paths, folder, language, text):
    plan = with_options(paths, {"metadata_title": text}, "n", "m")
    with pytest.raises(InputError, match="metadata_title: this value cannot stand in") as caught:
        export(paths, plan, language, folder)
    assert "--to sh" in caught.value.fix
    export(paths, plan, "sh", folder)


def test_nothing_is_ever_overwritten(paths, folder):
    plan = planned(paths, name="n")
    script, dataset = folder / "n.sh", folder / "n.dataset.toml"
    dataset.write_text("mine")
    with pytest.raises(InputError, match=r"n\.dataset\.toml is there already"):
        export(paths, plan, "sh", folder)
    dataset.unlink()
    exported = export(paths, plan, "sh", folder)
    script.write_text("mine too")  # between the look and the writing
    with pytest.raises(LauncherError, match="File exists"):
        write(exported)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"n.sh": "mine too"}


def test_languages_of_one_training_share_its_dataset_file(paths, folder):
    plan = planned(paths, name="n")
    for language in LANGUAGES:
        write(export(paths, plan, language, folder))
    assert sorted(path.name for path in folder.iterdir()) == ["n.bat", "n.dataset.toml", "n.ps1", "n.sh", "n.txt"]  # fmt: skip
    assert (folder / "n.ps1").read_bytes().startswith(b"\xef\xbb\xbf#")  # Windows PowerShell needs the mark
    assert (folder / "n.bat").read_bytes().startswith(b"@echo off\r\nchcp 65001")  # ... which cmd cannot read
    assert "\n" not in (folder / "n.bat").read_bytes().decode().replace("\r\n", "")


def test_no_secret_is_in_a_script(paths, folder):
    values = {"training_comment": "key hf_abcdefghijklmnop1234", "metadata_author": "me"}
    exported = export(paths, with_options(paths, values, "n", "m"), "sh", folder)
    assert exported.secrets == ("training_comment",)
    assert all(b"hf_abcdefgh" not in raw for _, raw in exported.files)


def test_a_rehearsal_is_refused(paths, folder):
    plan = resolve(paths, Request(preset="demo", trainer="rehearsal", data=IMAGES), CARD)
    with pytest.raises(InputError, match="a rehearsal trains a small model"):
        export(paths, plan, "sh", folder)


def test_a_command_that_cmd_cannot_take_is_refused(paths, folder):
    values = dict.fromkeys(("metadata_title", "metadata_description", "training_comment"), "x" * 3000)
    with pytest.raises(InputError, match="longer than cmd can take"):
        export(paths, with_options(paths, values, "n", "m"), "bat", folder)


def test_folders_that_say_their_repeats_need_no_dataset_file(paths, folder):
    data, out = folder / "data", folder
    for name in ("10_訓練 style", "2_other"):
        shutil.copytree(IMAGES, data / name)
    plan = planned(paths, data=data, name="n")
    exported = export(paths, plan, "sh", out)
    assert exported.script.trainer_words[1] == f"--train_data_dir={data.as_posix()}"
    assert len(exported.files) == 1
    assert_same(plan, there_and_back(paths, plan, "ps1", out))
    other = planned(
        paths, "dataset.num_repeats=3", data=data / "2_other", name="n2"
    )  # said elsewhere: a file is needed
    assert len(export(paths, other, "sh", out).files) == 2
    assert_same(other, there_and_back(paths, other, "ps1", out))


# ---------------------------------------------------------------------- the command


def test_the_command_marks_what_is_to_be_filled_in(paths, folder, capsys):
    script = folder / "share.ps1"
    words = ["export", "style-8gb", "--to", "ps1", "-o", str(script), "--set", "launcher.offload_mib=1280"]
    assert execute([*words, "--json"], paths) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["script"] == str(script)
    assert [path for path in said["paths"] if path.startswith("CHANGE-ME")] == ["CHANGE-ME/base-model.safetensors", "CHANGE-ME/images"]  # fmt: skip
    text = script.read_text(encoding="utf-8-sig")
    assert "# launcher: offload_mib = 1280\n" in text
    assert "CHANGE THIS before you start it" in text
    assert "ae72efb92babe89ff8e70f057e42db68440e8d61" in text  # the pinned sd-scripts is named
    with pytest.raises(InputError, match=r"share\.ps1 is there already"):
        execute(words, paths)
    with pytest.raises(LauncherError, match="there is no preset and no run"):
        execute(["export", "nothing", "--yes"], paths)


def test_a_run_and_one_that_went_on_are_exported_from_the_beginning(paths, folder, capsys):
    plan = planned(paths, "max_train_steps=700", name="ink")
    first = create_run(paths, plan)
    state = first.states / "step00000400"
    state.mkdir(parents=True)
    write_state(first, replace(read_state(first), status=Status.PAUSED, step=400))
    second = create_run(paths, continue_plan(paths, plan, parent=first.folder.name, state=state))
    texts = []
    for number, run in enumerate((first, second)):
        script = folder / f"{number}.sh"
        assert execute(["export", run.folder.name, "--to", "sh", "-o", str(script), "--yes"], paths) == 0
        texts.append(script.read_text(encoding="utf-8"))
        made = importing.make(paths, importing.understand(paths, script, CARD, follow=lambda _: True))
        assert made[0].outcome.options["max_train_steps"].value == 700
    assert "went on with" in " ".join(capsys.readouterr().out.split()) + texts[1]
    for text in texts:
        assert [line for line in text.splitlines() if "--resume" in line and not line.startswith("#")] == []
        assert [line for line in text.splitlines() if str(paths.runs) in line] == []
    with pytest.raises(LauncherError, match="no preset and no run"):
        execute(["export", "nobody", "--to", "sh", "--yes"], paths)
