"""The option table: the data file, its record form, and the script that refreshes it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.errors import InputError, LauncherError
from launcher.paths import Paths
from launcher.trainers import TRAINERS, load_options, load_trainer

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
