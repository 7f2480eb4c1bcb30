"""Our own corpus of scripts (tests/import/ps1, bat and sh), each with the options that it passes; and the way back: preset → plan."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from launcher.errors import InputError
from launcher.importer.importing import make, understand, write
from launcher.importer.report import report
from launcher.importer.source import read_source
from launcher.machine import Fact, Gpu, Machine
from launcher.paths import Paths
from launcher.plan import Request, resolve
from launcher.preset.owned import INSTEAD
from launcher.trainers import load_options

ROOT = Path(__file__).resolve().parent
SCRIPTS = sorted(path for kind in ("ps1", "bat", "sh") for path in (ROOT / "import" / kind).glob("*.*") if path.suffix != ".json")  # fmt: skip
IMAGES = ROOT.parent / "launcher" / "demo" / "images"
CARD = Machine(
    os="Windows 10", cores=8, ram_mib=32_000, free_ram_mib=20_000, gpu_note="",
    gpus=(Gpu(name="NVIDIA GeForce RTX 3060 Ti", capability=(8, 6), total_mib=8192, free_mib=7600, driver="551.23"),),
    has_bf16=Fact(value=True, reason="compute capability 8.6"),
)  # fmt: skip
# What the launcher adds to every plan, or owns: no part of the comparison.
LAUNCHERS_OWN = {
    "output_dir",
    "output_name",
    "logging_dir",
    "tokenizer_cache_dir",
    "pretrained_model_name_or_path",
}


def expected_of(path):
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def trainings_of(path):
    wanted = expected_of(path)
    return wanted if isinstance(wanted, list) else [wanted]


GOOD = [path for path in SCRIPTS if "error" not in trainings_of(path)[0]]
REFUSED = [path for path in SCRIPTS if "error" in trainings_of(path)[0]]
LORAS = pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)


@pytest.fixture
def paths(paths, tmp_path):
    """As the shipped product, but with environments of this test (here: none)."""
    return Paths(root=tmp_path / "root", home=paths.home, shipped=paths.shipped)


def filled(value, path):
    """`<folder>` in an expectation is the folder of the script."""
    return value.replace("<folder>", str(path.parent)) if isinstance(value, str) else value


@LORAS
def test_every_script_means_what_its_file_says(paths, path):
    found = understand(paths, path, CARD)
    wanted = trainings_of(path)
    assert len(found.outcomes) == len(wanted)
    for outcome, want in zip(found.outcomes, wanted, strict=True):
        options = {name: given.value for name, given in outcome.options.items()}
        assert options == {name: filled(value, path) for name, value in want["options"].items()}
        for word in ("model", "data", "name", "gpus"):
            given = getattr(outcome, word)
            assert (given is None) == (word not in want), word
            assert given is None or str(given.value).endswith(filled(want[word], path)), word
        for name, line in want.get("lines", {}).items():
            assert outcome.options[name].line == line, name
        assert [item.name for item in outcome.unread] == want.get("unread", [])
        assert [item.name for item in outcome.secrets] == want.get("secrets", [])
        assert {item.name for item in outcome.changed} >= set(want.get("changed", []))
        assert {item.name for item in outcome.dropped} >= set(want.get("dropped", []))
        assert any(want.get("advice", "") in text for text in [*outcome.advice, ""])
        assert bool(outcome.launch.condition) == want.get("condition", False)
    first = wanted[0]
    for text in first.get("notes", []):
        assert any(text in note.text for note in found.notes), found.notes
    for text in first.get("unreadable_script", []):
        assert any(text in note.text for note in found.unreadable), found.unreadable
    if "unreadable_script" not in first and not first.get("condition"):
        assert not found.unreadable
    assert all(any(text in other for other in found.others) for text in first.get("others", []))


@LORAS
def test_no_secret_is_in_anything_that_is_shown_or_written(paths, path):
    found = understand(paths, path, CARD)
    made = make(paths, found)
    shown = json.dumps(report(found, made), default=str) + "".join(one.text for one in made)
    for secret in trainings_of(path)[0].get("never", []):
        assert secret in read_source(path).text
        assert secret not in shown


@LORAS
def test_the_plan_of_the_preset_passes_what_the_script_passed(paths, path):
    found = understand(paths, path, CARD)
    made = make(paths, found)
    problems, queue = write(paths, made, found.source.label)
    assert (queue is not None) == (len(made) > 1)
    if problems:  # sd-scripts would refuse the script as it stands, and so does the launcher
        pytest.skip(f"a script that cannot train: {problems[0].what}")
    table = load_options(paths)
    for one in made:
        request = Request(
            preset=one.path.stem, data=IMAGES, trainer="sd-scripts", model=ROOT / "none.safetensors"
        )
        plan = resolve(paths, request, CARD)
        added = {
            name
            for name, item in plan.options.items()
            if item.source.startswith(("launcher", "sd-scripts' default", "data folder"))
        }
        passed = {
            name: value
            for name, value in plan.train.items()
            if name not in LAUNCHERS_OWN | added and not same(value, table[name].default)
        }
        wanted = {
            name: given.value
            for name, given in one.outcome.options.items()
            if name not in LAUNCHERS_OWN and not same(given.value, table[name].default)
        }
        assert passed == wanted
        # Every line of the preset names the line of the script that it comes from.
        for name, given in one.difference.options.items():
            where = given.where.replace("line ", f"{path.name}:")  # the environment's: no file is named in it
            assert f"# {where}" in next(
                line for line in one.text.splitlines() if line.startswith(f"{name} =")
            )


def same(value, default):
    return value == default and isinstance(value, bool) == isinstance(default, bool)


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_what_is_no_sdxl_lora_run_is_called_by_its_name(paths, path):
    with pytest.raises(InputError) as caught:
        understand(paths, path)
    assert expected_of(path)["error"] in caught.value.what


def test_the_corpus_is_whole():
    assert len(GOOD) >= 46
    assert len(REFUSED) >= 12
    assert {path.suffix for path in GOOD} == {".ps1", ".bat", ".cmd", ".sh"}


def test_sd_scripts_own_parser_sees_the_same_options(paths):
    """The words of every script, given to the real parser. Needs LAUNCHER_REAL_ENVS, a folder like vendor/."""
    place = os.environ.get("LAUNCHER_REAL_ENVS")
    if not place:
        pytest.skip("no training environment: set LAUNCHER_REAL_ENVS")
    generation = Path(place) / "sd-scripts" / "1"
    outcomes = [outcome for path in GOOD for outcome in understand(paths, path).outcomes]
    lines = [[word.text for word in outcome.launch.words] for outcome in outcomes]
    python = generation / "venv" / "bin" / "python"
    command = [python, ROOT / "import" / "real_parser.py", generation / "code"]
    done = subprocess.run(
        command, input=json.dumps(lines), capture_output=True, text=True, encoding="utf-8", check=True
    )
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    table = load_options(paths)
    compared = 0
    for outcome, answer in zip(outcomes, answers, strict=True):
        is_plain = not (outcome.unread or outcome.secrets or outcome.changed)
        if answer is None:
            assert not is_plain, outcome.launch.words  # what the parser refuses is said
        if answer is None or not is_plain:
            continue
        ours = {
            name: item.value
            for name, item in outcome.options.items()
            if not same(item.value, table[name].default)
        }
        theirs = {name: value for name, value in answer.items() if name not in INSTEAD}
        assert ours == theirs
        compared += 1
    assert compared >= 20
