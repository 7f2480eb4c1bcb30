"""The option table: the data file, its record form, and the script that refreshes it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.errors import InputError, LauncherError
from launcher.paths import Paths
from launcher.plan.tomlout import write_toml
from launcher.preset.schema import WrongValueError, check_value
from launcher.trainers import FORK, FULL_TRAINER, TRAINERS, load_options, load_trainer
from launcher.trainers.switches import ABOUT, SWITCHES, switch_word

if TYPE_CHECKING:
    from types import ModuleType

    from launcher.trainers import Option

ROOT = Path(__file__).resolve().parent.parent
PATHS = Paths(root=ROOT, home=ROOT, shipped=ROOT)


def refresh_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refresh_options", ROOT / "vendor" / "refresh_options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_has_every_option_of_the_pinned_version():
    options = load_options(PATHS)
    assert len(options) == 196  # counted against the live parser of v0.10.1, see facts/sd-scripts.md 3.3
    assert options["learning_rate"].default == 2e-06
    assert options["lr_warmup_steps"].type == "int_or_float"
    assert options["dataset_config"].type == "path"
    assert options["mixed_precision"].choices == ("no", "fp16", "bf16")
    assert options["zero_stage"].choices == ("0", "1", "2", "3")
    assert options["save_precision"].choices == ("float", "fp16", "bf16")
    assert options["text_encoder_lr"].many
    assert options["text_encoder_lr"].type == "float"
    assert options["fp8_base"].type == "flag"
    assert options["fp8_base"].default is False


def test_table_holds_no_help_texts():
    entries = json.loads((ROOT / "vendor" / "options" / "sd-scripts.json").read_text(encoding="utf-8"))[
        "options"
    ]
    assert {key for entry in entries for key in entry} == {"name", "type", "default", "choices", "nargs"}


def test_damaged_table_is_told(tmp_path: Path):
    (tmp_path / "vendor" / "options").mkdir(parents=True)
    (tmp_path / "vendor" / "options" / "sd-scripts.json").write_text(
        '{"options": [{"name": "x", "type": "yes"'
    )
    with pytest.raises(LauncherError, match="option table"):
        load_options(Paths(root=tmp_path, home=tmp_path, shipped=tmp_path))


def test_refresh_follows_calls_gates_and_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "library").mkdir()
    (tmp_path / "sdxl_train_network.py").write_text(
        "import argparse\nimport base\nfrom library import util, more_util as more\n"
        "def setup_parser():\n"
        "    parser = base.setup_parser()\n"
        "    util.add(parser, False)\n"
        "    more.add_more(parser)\n"
        "    return parser\n",
        encoding="utf-8",
    )
    (tmp_path / "base.py").write_text(
        "import argparse\n"
        "from library.util import add\n"
        "def setup_parser():\n"
        "    parser = argparse.ArgumentParser()\n"
        "    add(parser, True)\n"
        "    parser.add_argument('--many', type=float, nargs='*', help='日本語')\n"
        "    return parser\n",
        encoding="utf-8",
    )
    (tmp_path / "library" / "util.py").write_text(
        "def add(parser, support):\n"
        "    def convert(value): return value\n"
        "    if support:\n"
        "        parser.add_argument('--gated', action='store_true')\n"
        "    else:\n"
        "        parser.add_argument('--other', type=convert, default=1.5)\n",
        encoding="utf-8",
    )
    (tmp_path / "library" / "more_util.py").write_text(
        "import pathlib\ndef add_more(parser, support=True):\n"
        "    if support:\n        parser.add_argument('--place', type=pathlib.Path, choices=[None, 'a'])\n",
        encoding="utf-8",
    )
    script = refresh_script()
    monkeypatch.setattr(script, "TARGETS", tmp_path)
    assert script.main(["sd-scripts-fp8", str(tmp_path), "abc"]) == 0
    table = json.loads((tmp_path / "sd-scripts-fp8.json").read_text(encoding="utf-8"))
    assert table["commit"] == "abc"
    assert table["options"] == [
        {"name": "gated", "type": "flag", "default": False},
        {"name": "many", "type": "float", "default": None, "nargs": "*"},
        {"name": "other", "type": "convert", "default": 1.5},
        {"name": "place", "type": "path", "default": None, "choices": [None, "a"]},
    ]


def test_refresh_stops_at_a_call_it_cannot_follow(tmp_path: Path):
    (tmp_path / "sdxl_train_network.py").write_text(
        "def setup_parser():\n    parser = None\n    elsewhere.add(parser)\n", encoding="utf-8"
    )
    with pytest.raises(SystemExit, match=r"elsewhere\.add"):
        refresh_script().main(["sd-scripts", str(tmp_path)])


def test_unknown_trainer_gets_a_suggestion():
    with pytest.raises(InputError) as caught:
        load_trainer(PATHS, "rehersal")
    assert "'rehearsal'" in caught.value.fix


@pytest.mark.parametrize("name", sorted(TRAINERS))
def test_trainers_are_complete(name: str):
    trainer = load_trainer(PATHS, name)
    assert trainer.name == name
    assert trainer.script.is_absolute()
    assert trainer.honoured is None or trainer.honoured <= set(trainer.options)


def test_the_forks_table_has_every_option_of_its_pin():
    full, fork = load_options(PATHS), load_options(PATHS, FORK)
    assert len(fork) == 146  # counted against its live parser, see facts/sd-scripts.md 3.3
    assert set(fork) < set(full)
    differing = {name for name in fork if fork[name] != full[name]}
    assert differing == {"dynamo_backend", "lr_warmup_steps", "text_encoder_lr"}
    assert fork["lr_warmup_steps"].type == "int"
    assert not fork["text_encoder_lr"].many


@pytest.mark.parametrize("name", [FULL_TRAINER, FORK])
def test_records_name_the_commit_that_is_pinned(name: str):
    pins = (ROOT / "vendor" / f"{name}.toml").read_text(encoding="utf-8")
    table = json.loads((ROOT / "vendor" / "options" / f"{name}.json").read_text(encoding="utf-8"))
    trainer = load_trainer(PATHS, name)
    assert f'commit = "{trainer.commit}"' in pins
    assert table["commit"] == trainer.commit
    assert trainer.script == PATHS.trainer_code(name) / "sdxl_train_network.py"
    assert trainer.needs_model
    assert trainer.switches == set(SWITCHES)


def test_switches_are_options_with_a_reason():
    assert set(ABOUT) == set(SWITCHES)
    for name, option in SWITCHES.items():
        assert ABOUT[name]
        assert check_value(option, option.default) == option.default
        assert "=" in switch_word(name, option.default)
    assert switch_word("lean_load", value=True) == "lean_load=true"
    assert not set(SWITCHES) & set(load_options(PATHS))  # `--set name=value` must mean one thing


# Real checkouts: LAUNCHER_SD_SCRIPTS, LAUNCHER_SD_SCRIPTS_FP8; the live parser also wants LAUNCHER_REAL_ENVS

CHECKOUTS = {FULL_TRAINER: "LAUNCHER_SD_SCRIPTS", FORK: "LAUNCHER_SD_SCRIPTS_FP8"}
# Whatever toml 0.10.2 could misread: escapes of Windows paths, quotes, brackets and signs inside texts, other alphabets.
TEXTS = (
    "plain", "C:\\new\\test\\U0001", "it's", 'say "a"', "both ' and \"", "訓練 データ/猫", "# no comment", "a = [1, 2], {b}",
    "betas=(0.9, 0.99)", "line\nbreak\ttab", " spaces ", "x" * 300, "'''", "ends with \\",
)  # fmt: skip
SAMPLES = {
    "flag": (True, False),
    "str": TEXTS,
    "path": ("C:/a/b.toml", "/tmp/訓練/x y.toml"),
    "int": (1, 4096, 0),
    "float": (1e-05, 2.0, 16, 0.1, 1e-8),
    "int_or_float": (10, 0.1, 0),
}


def checkout_of(trainer: str) -> Path:
    folder = os.environ.get(CHECKOUTS[trainer])
    if not folder:
        pytest.skip(f"no checkout of {trainer}: name its folder in {CHECKOUTS[trainer]}")
    return Path(folder)


def live_python(trainer: str) -> Path:
    """Interpreter of an environment that holds what the checkout imports."""
    folder = os.environ.get("LAUNCHER_REAL_ENVS")
    if not folder:
        pytest.skip("no environments: name the folder that holds <trainer>/<n>/venv in LAUNCHER_REAL_ENVS")
    return Paths(root=Path(folder).parent, home=ROOT, shipped=ROOT).trainer_python(trainer)


@pytest.mark.parametrize("trainer", [FULL_TRAINER, FORK])
def test_table_is_what_the_pinned_source_says(trainer: str):
    script = refresh_script()
    options = script.options_of(checkout_of(trainer))
    table = (ROOT / "vendor" / "options" / f"{trainer}.json").read_text(encoding="utf-8")
    assert script.text_of(options, trainer, load_trainer(PATHS, trainer).commit) == table


@pytest.mark.slow
@pytest.mark.parametrize("trainer", [FULL_TRAINER, FORK])
def test_the_live_parser_has_our_table_and_reads_our_files(trainer: str, tmp_path: Path):
    """One process, because importing sd-scripts takes half a minute: its parser, then files with every option in them."""
    table = load_options(PATHS, trainer)
    configs = [samples_of(table, number) for number in range(len(TEXTS))]
    files = []
    for number, config in enumerate(configs):
        files.append(tmp_path / f"訓練 {number}.toml")
        files[-1].write_text(write_toml(config, "Written by a test."), encoding="utf-8")
    words = [
        live_python(trainer),
        "-X",
        "utf8",
        ROOT / "tests" / "options_probe.py",
        checkout_of(trainer),
        *files,
    ]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("PROBE"))[5:])
    assert [entry["name"] for entry in found["options"]] == list(table)
    for entry in found["options"]:
        option = table[entry["name"]]
        choices = None if option.choices is None else list(option.choices)
        assert (option.type, option.default, option.many, choices) == (
            entry["type"], entry["default"], entry["many"], entry["choices"],
        ), entry["name"]  # fmt: skip
    for config, read in zip(configs, found["files"], strict=True):
        for name, value in config.items():
            assert read[name] == [type(value).__name__, value], name


def samples_of(table: dict[str, Option], number: int) -> dict[str, object]:
    """A value for every option, as it would stand in a plan; another one for each number."""
    config: dict[str, object] = {}
    for name, option in table.items():
        if name in {"config_file", "output_config"}:  # the file itself; writes one and leaves
            continue
        samples = option.choices or SAMPLES[option.type]
        value: object = samples[number % len(samples)]
        if option.type == "int" and option.choices:
            value = int(str(value))
        if name == "resolution":
            value = (1024, "768,512", [832, 1216])[number % 3]
        with suppress(WrongValueError):  # a range that is narrower than the samples
            config[name] = check_value(option, [value, *samples[:2]] if option.many else value)
    assert isinstance(config["resolution"], str)
    assert isinstance(config["network_alpha"], float)
    assert len(config) > len(table) * 0.8
    return config
