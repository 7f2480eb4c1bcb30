"""The option table: the data file, its record form, and the script that refreshes it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.errors import InputError, LauncherError
from launcher.paths import Paths
from launcher.preset.schema import check_value
from launcher.trainers import FORK, FULL_TRAINER, TRAINERS, load_options, load_trainer
from launcher.trainers.switches import ABOUT, SWITCHES, switch_word

if TYPE_CHECKING:
    from types import ModuleType

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
LIVE = """
import json, sys, pathlib
sys.path.insert(0, sys.argv[1])
import sdxl_train_network
found = []
for action in sdxl_train_network.setup_parser()._actions:
    if action.dest == "help":
        continue
    kind = "flag" if type(action).__name__ == "_StoreTrueAction" else getattr(action.type, "__name__", "str")
    kind = {"Path": "path"}.get(kind, kind)
    found.append({
        "name": action.option_strings[0][2:], "type": kind, "default": action.default, "many": action.nargs == "*",
        "choices": None if action.choices is None else [str(item) for item in action.choices if item is not None],
    })
print("OPTIONS" + json.dumps(found))
"""


def checkout_of(trainer: str) -> Path:
    folder = os.environ.get(CHECKOUTS[trainer])
    if not folder:
        pytest.skip(f"no checkout of {trainer}: name its folder in {CHECKOUTS[trainer]}")
    return Path(folder)


@pytest.mark.parametrize("trainer", [FULL_TRAINER, FORK])
def test_table_is_what_the_pinned_source_says(trainer: str):
    script = refresh_script()
    options = script.options_of(checkout_of(trainer))
    table = (ROOT / "vendor" / "options" / f"{trainer}.json").read_text(encoding="utf-8")
    assert script.text_of(options, trainer, load_trainer(PATHS, trainer).commit) == table


@pytest.mark.slow
@pytest.mark.parametrize("trainer", [FULL_TRAINER, FORK])
def test_table_is_what_the_live_parser_says(trainer: str):
    python = live_python(trainer)
    done = subprocess.run(
        [python, "-X", "utf8", "-c", LIVE, checkout_of(trainer)], capture_output=True, text=True, encoding="utf-8", check=True
    )  # fmt: skip
    live = json.loads(done.stdout.partition("OPTIONS")[2].splitlines()[0])
    table = load_options(PATHS, trainer)
    assert [entry["name"] for entry in live] == list(table)
    for entry in live:
        option = table[entry["name"]]
        choices = None if option.choices is None else list(option.choices)
        assert (option.type, option.default, option.many, choices) == (
            entry["type"], entry["default"], entry["many"], entry["choices"],
        ), entry["name"]  # fmt: skip


def live_python(trainer: str) -> Path:
    """Interpreter of an environment that holds what the checkout imports."""
    folder = os.environ.get("LAUNCHER_REAL_ENVS")
    if not folder:
        pytest.skip("no environments: name the folder that holds <trainer>/<n>/venv in LAUNCHER_REAL_ENVS")
    paths = Paths(root=Path(folder).parent, home=ROOT, shipped=ROOT)
    return paths.trainer_python(trainer)
