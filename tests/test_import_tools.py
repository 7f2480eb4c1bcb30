"""Settings of other tools become presets: our own samples (tests/import/tools), what is refused, and hostile files."""

import json
from pathlib import Path

import pytest

from launcher.errors import InputError
from launcher.importer.importing import make, understand, write
from launcher.importer.report import report
from launcher.preset import load_preset

SAMPLES = Path(__file__).resolve().parent / "import" / "tools"


def sample_of(expected):
    return next(path for path in SAMPLES.glob(f"{expected.stem}.*") if path != expected)


def wanted_of(expected):
    return json.loads(expected.read_text(encoding="utf-8"))


EXPECTED = sorted(SAMPLES.glob("*.expect"))
GOOD = [path for path in EXPECTED if "error" not in wanted_of(path)]
REFUSED = [path for path in EXPECTED if "error" in wanted_of(path)]
TRAININGS = pytest.mark.parametrize("expected", GOOD, ids=lambda path: path.stem)


@TRAININGS
def test_every_file_means_what_it_should(paths, expected):
    want = wanted_of(expected)
    found = understand(paths, sample_of(expected))
    (outcome,) = found.outcomes
    options = {name: given.value for name, given in outcome.options.items()}
    assert options == want["options"]
    for name, value in options.items():
        assert type(value) is type(want["options"][name]), name
    for word in ("model", "data", "reg", "name", "gpus"):
        given = getattr(outcome, word)
        value = want.get(word)
        assert (given and str(given.value)) == (value and value.replace("<folder>", str(SAMPLES))), word
    assert [given.value for given in outcome.more] == want.get("more", [])
    for name, line in want.get("lines", {}).items():
        assert outcome.options[name].line == line, name
    assert {item.name for item in outcome.unread} == set(want.get("unread", []))
    assert {item.name for item in outcome.secrets} == set(want.get("secrets", []))
    assert {item.name for item in outcome.changed} >= set(want.get("changed", []))
    assert {item.name for item in outcome.dropped} >= set(want.get("dropped", []))
    for text in want.get("notes", []):
        assert any(text in note.text for note in found.notes), found.notes
    assert (outcome.launch.says is not None) == want.get("partial", False)


@TRAININGS
def test_no_secret_is_shown_or_written(paths, expected):
    found = understand(paths, sample_of(expected))
    shown = json.dumps(report(found, make(paths, found)), default=str)
    for secret in wanted_of(expected).get("never", []):
        assert secret in sample_of(expected).read_text(encoding="utf-8")
        assert secret not in shown


@TRAININGS
def test_the_preset_says_the_same_as_the_file(paths, expected):
    found = understand(paths, sample_of(expected))
    made = make(paths, found)
    problems, _ = write(paths, made, found.source.label)
    if problems:
        pytest.skip(f"sd-scripts would refuse it too: {problems[0].what}")
    preset = load_preset(paths, made[0].path)
    for name, given in found.outcomes[0].options.items():
        assert preset.options[name].value == given.value, name


@pytest.mark.parametrize("expected", REFUSED, ids=lambda path: path.stem)
def test_what_is_no_sdxl_lora_is_called_by_its_name(paths, expected):
    with pytest.raises(InputError) as caught:
        understand(paths, sample_of(expected))
    assert wanted_of(expected)["error"] in caught.value.what


def test_there_are_enough_samples():
    for tool in ("kohya", "easy", "config", "onetrainer"):
        assert len([path for path in GOOD if path.stem.startswith(tool)]) >= 4, tool
