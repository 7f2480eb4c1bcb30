"""Settings of other tools become presets: our own samples (tests/import/tools), what is refused, and hostile files."""

import copy
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.cli import execute
from launcher.errors import InputError
from launcher.importer.formats import files_in
from launcher.importer.importing import make, understand, write
from launcher.importer.report import report
from launcher.paths import find_paths
from launcher.preset import load_preset
from launcher.trainers import load_options
from launcher.ui import console

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
    for name, item in found.outcomes[0].options.items():
        assert preset.options[name].value == item.value, name


@pytest.mark.parametrize("expected", REFUSED, ids=lambda path: path.stem)
def test_what_is_no_sdxl_lora_is_called_by_its_name(paths, expected):
    with pytest.raises(InputError) as caught:
        understand(paths, sample_of(expected))
    assert wanted_of(expected)["error"] in caught.value.what


def test_there_are_enough_samples():
    for tool in ("kohya", "easy", "config", "onetrainer"):
        assert len([path for path in GOOD if path.stem.startswith(tool)]) >= 4, tool


# ---------------------------------------------------------------------- by content, and hostile files


def test_formats_are_known_by_content_not_by_name(paths, tmp_path):
    for sample, name in (("kohya-01-standard.json", "x.txt"), ("easy-01-groups.toml", "y.conf"), ("config-01-sections.toml", "z"), ("onetrainer-01-new.json", "o.toml")):  # fmt: skip
        path = tmp_path / name
        path.write_bytes((SAMPLES / sample).read_bytes())
        assert understand(paths, path).format == understand(paths, SAMPLES / sample).format


def kohya(**more):
    return {"LoRA_type": "Standard", "sdxl": True, "unet_lr": 1e-4, "network_dim": 4, **more}


def test_keys_that_stand_twice_are_told_and_the_later_one_counts(paths, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"LoRA_type": "Standard", "sdxl": true,\n "seed": 1,\n "seed": 2}')
    found = understand(paths, path)
    assert found.outcomes[0].options["seed"].value == 2
    assert any("seed stands twice" in note.text for note in found.notes)


HOSTILE = {
    "deep": '{"LoRA_type": ' + "[" * 100_000, "deep-whole": '{"LoRA_type": ' + "[" * 40 + "]" * 40 + "}",
    "deep-toml": "a = " + "[" * 20_000, "dots": "a" + ".a" * 30_000 + " = 1", "many": json.dumps({"LoRA_type": "Standard", "sdxl": True, "x": [0] * 30_000}),
    "list": "[1, 2]", "text": '"LoRA_type"', "cut": '{"LoRA_type": "Standard", ', "digits": "seed = " + "9" * 5000, "none": "",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_hostile_files_are_refused(paths, tmp_path, name, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text(HOSTILE[name])
    with pytest.raises(InputError):
        understand(paths, path)


def test_strange_values_are_listed_and_never_taken(paths, tmp_path):
    strange = {
        "unet_lr": "NaN", "text_encoder_lr": [1e-5, {"a": 1}], "seed": "9" * 400, "network_alpha": {"a": 1}, "train_batch_size": [2], "save_every_n_epochs": "two",
        "optimizer": ["AdamW"], "xformers": [1], "caption_extension": "a\ud800b", "output_name": "../../x", "lr_warmup": "1e999", "epoch": -1, "optimizer_args": {"a": 1},
        "additional_parameters": "--network_dim --fp8 --seed=--seed", "noise_offset_type": {}, "vae": ["x", "y"], "min_snr_gamma": True,
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps(kohya(**strange)).replace('"NaN"', "NaN"))
    found = understand(paths, path)
    (made,) = make(paths, found)
    made.text.encode("utf-8")
    assert {"unet_lr", "seed", "network_alpha", "save_every_n_epochs", "fp8"} <= {item.name for item in found.outcomes[0].unread}  # fmt: skip
    assert "/" not in found.outcomes[0].name.value


TEXTS = [(path.suffix, path.read_text(encoding="utf-8")) for path in sorted(SAMPLES.iterdir()) if path.suffix != ".expect"]  # fmt: skip
PIECES = ["{", "}", "[", "]", '"', ",", ":", "\n", "= ", "null", "NaN", "-1e999", "true", '"\\ud800"', "[[a]]\n", "9" * 50, "\x00", "\u202e", "--x", "'" * 3, "0x1F", "1979-05-27"]  # fmt: skip


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_edits_never_crash(paths, tmp_path, seed):
    chance = random.Random(seed)
    suffix, text = chance.choice(TEXTS)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice([*PIECES, ""]) + text[at + chance.choice([0, 0, 1, 4, 30]) :]
    path = tmp_path / f"x{suffix}"
    path.write_text(text, encoding="utf-8")
    check_any(paths, path)


JUNK = [None, True, False, 0, -1, 1.5, 1e308, "", "x", "None", "1e-4", "--seed", [], {}, [[]], [{}], {"a": [1]}, ["a=b", None], "9" * 60, 10**18, "a\ud800"]  # fmt: skip
TREES = [json.loads(text) for suffix, text in TEXTS if suffix == ".json"]


def spoil(tree, chance):
    """Put something of another type at some place of a tree."""
    place = tree
    while place:
        key = chance.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
        if not (isinstance(place[key], (dict, list)) and place[key] and chance.random() < 0.7):
            place[key] = copy.deepcopy(chance.choice(JUNK))
            return
        place = place[key]


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wrong_types_never_crash(paths, tmp_path, seed):
    chance = random.Random(seed)
    tree = json.loads(json.dumps(chance.choice(TREES)))
    for _ in range(chance.randint(1, 12)):
        spoil(tree, chance)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    check_any(paths, path)


def check_any(paths, path):
    """Imported, or refused in words; what would be written and shown can be encoded."""
    try:
        found = understand(paths, path)
    except InputError as error:
        assert error.what  # noqa: PT017  (either way is right)
        return
    made = make(paths, found)
    json.dumps(report(found, made), allow_nan=False)
    "".join(one.text for one in made).encode("utf-8")


# ---------------------------------------------------------------------- the command


@pytest.fixture
def fresh_console():
    console.get_console.cache_clear()
    yield
    console.get_console.cache_clear()


@pytest.mark.usefixtures("fresh_console")
def test_a_folder_takes_settings_and_passes_over_other_files(paths, tmp_path, capsys):
    folder = tmp_path / "things"
    folder.mkdir()
    for name in ("kohya-01-standard.json", "easy-01-groups.toml", "onetrainer-06-flux.json"):
        (folder / name).write_bytes((SAMPLES / name).read_bytes())
    (folder / "meta_cap.json").write_text('{"a.png": {"caption": "x"}}')
    (folder / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    (folder / "broken.json").write_text("{")
    assert [path.name for path in files_in(folder, load_options(find_paths()))] == ["easy-01-groups.toml", "kohya-01-standard.json", "onetrainer-06-flux.json"]  # fmt: skip
    assert execute(["import", str(folder), "--yes"], paths) == 0
    out = capsys.readouterr().out
    assert "2 of 3 files imported" in out
    assert "FLUX" in out


@pytest.mark.usefixtures("fresh_console")
def test_settings_and_their_dataset_file_are_one_training(paths, tmp_path, capsys):
    config, data = tmp_path / "train.toml", tmp_path / "images.toml"
    config.write_text('network_module = "networks.lora"\nnetwork_dim = 4\nlearning_rate = 1e-4\nmixed_precision = "bf16"\n')  # fmt: skip
    data.write_text('[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = "pics"\nnum_repeats = 2\n')  # fmt: skip
    assert execute(["import", str(config), str(data), "--json"], paths) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["trainings"][0]["data"] == str(data)
    assert found["trainings"][0]["train"][-2:] == ["--data", str(data)]


def test_a_dataset_file_alone_keeps_the_shipped_presets_training(paths):
    found = understand(paths, SAMPLES / "config-04-dataset.toml")
    (made,) = make(paths, found)
    assert not write(paths, [made], "x")[0]
    preset = load_preset(paths, made.path)
    assert preset.options["network_dim"].value  # of the shipped preset, and not sd-scripts' default
    assert preset.options["train_batch_size"].value == 3
    assert "cache_text_encoder_outputs" not in preset.options or not preset.options["cache_text_encoder_outputs"].value  # fmt: skip
