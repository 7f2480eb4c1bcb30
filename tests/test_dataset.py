"""Datasets in every shape: folders, regularisation images, a dataset file of the user's; and what upstream makes of them."""

import contextlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from launcher.errors import InputError, Severity, UsageError
from launcher.forecast import disk
from launcher.machine import Fact, Machine
from launcher.paths import Paths
from launcher.plan import Request, parts_of, render_dataset_toml, resolve, survey
from launcher.plan.buckets import Buckets, count_batches, regularise
from launcher.plan.document import read_document_file
from launcher.plan.places import places_in_json, places_in_toml
from launcher.plan.sources import read_source
from launcher.preflight.captions import check_captions
from launcher.preflight.data import check_data
from launcher.preflight.images import check_images

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="no NVIDIA driver answers",
    has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip


@pytest.fixture
def paths(paths, tmp_path):
    """As the shipped product, but with environments of this test (here: none)."""
    return Paths(root=tmp_path / "root", home=paths.home, shipped=paths.shipped)


def images(folder, *names, suffix=".txt", size=(64, 64), captions=True):
    """Real images, each with a caption."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.effect_noise(size, 60).convert("RGB").save(folder / name)
        if captions:
            (folder / name).with_suffix(suffix).write_text(f"a {name}", encoding="utf-8")
    return folder


def plan_for(paths, *data, reg=(), words=(), trainer="rehearsal", preset="style-8gb"):
    request = Request(
        preset=preset, data=tuple(str(item) for item in data), reg=tuple(map(str, reg)), settings=words, trainer=trainer
    )  # fmt: skip
    return resolve(paths, request, MACHINE)


def subsets(plan, number=0):
    return plan.dataset["datasets"][number]["subsets"]


def names(plan):
    return [(Path(one["image_dir"]).name, one["num_repeats"]) for one in subsets(plan)]


def problems(plan, paths):
    found = [
        *check_data(paths, plan, MACHINE),
        *check_captions(paths, plan, MACHINE),
        *check_images(paths, plan, MACHINE),
    ]
    return [problem for problem in found if "resolution" not in problem.what]  # the images here are small


# Folders


def test_plain_folders_inside_are_each_trained_on(paths, tmp_path):
    images(tmp_path / "cats" / "black", "a.png")
    images(tmp_path / "cats" / "white 白", "a.png", "b.png")
    images(tmp_path / "cats" / "_not yet", "c.png")
    plan = plan_for(paths, tmp_path / "cats", words=("max_train_epochs=2",))
    assert names(plan) == [("black", 1), ("white 白", 1)]
    assert plan.total_steps == 6
    assert any("Every folder inside cats is trained on: black, white 白." in note for note in plan.notes)
    assert any("_not yet" in note for note in plan.notes)


def test_images_in_the_folder_itself_win_over_folders_inside(paths, tmp_path):
    images(tmp_path / "cats", "a.png")
    images(tmp_path / "cats" / "5_more", "b.png")
    plan = plan_for(paths, tmp_path / "cats")
    assert names(plan) == [("cats", 1)]
    assert any("5_more" in note for note in plan.notes)


def test_reg_folder_beside_numbered_ones(paths, tmp_path):
    images(tmp_path / "data" / "10_sks cat", "a.png", "b.png")
    images(tmp_path / "data" / "reg" / "1_cat", "r.png", "s.png", "t.png", captions=False)
    plan = plan_for(paths, tmp_path / "data")
    train, reg = subsets(plan)
    assert (train["num_repeats"], train.get("is_reg"), train["class_tokens"]) == (10, None, "sks cat")
    assert (reg["num_repeats"], reg["is_reg"], reg["class_tokens"]) == (1, True, "cat")
    assert any("3 regularisation images come from reg" in note for note in plan.notes)


def test_project_folder_of_kohya_ss(paths, tmp_path):
    images(tmp_path / "project" / "img" / "4_cat", "a.png")
    images(tmp_path / "project" / "reg" / "1_cat", "r.png")
    (tmp_path / "project" / "log").mkdir()
    plan = plan_for(paths, tmp_path / "project")
    assert names(plan) == [("4_cat", 4), ("1_cat", 1)]
    assert any("project folder" in note for note in plan.notes)


def test_several_folders_each_with_its_repeats(paths, tmp_path):
    first = images(tmp_path / "a", "1.png")
    second = images(tmp_path / "b", "1.png", "2.png")
    third = images(tmp_path / "5_c", "1.png")
    plan = plan_for(paths, first, f"{second}=3", third, words=("dataset.num_repeats=2", "max_train_epochs=1"))
    assert names(plan) == [("a", 2), ("b", 3), ("5_c", 5)]
    assert plan.total_steps == 2 + 6 + 5
    assert plan.data == first


def test_said_repeats_win_over_names_and_presets(paths, tmp_path):
    folder = images(tmp_path / "5_c", "1.png")
    assert names(plan_for(paths, f"{folder}=3")) == [("5_c", 3)]
    parent = images(tmp_path / "parent" / "7_x", "1.png").parent
    assert names(plan_for(paths, f"{parent}=3")) == [("7_x", 7)]


def test_regularisation_images_stand_last(paths, tmp_path):
    reg = images(tmp_path / "class", "r.png", captions=False)
    plan = plan_for(paths, images(tmp_path / "a", "1.png"), images(tmp_path / "b", "1.png"), reg=[f"{reg}=2"])
    assert [(name, repeats) for name, repeats in names(plan)] == [("a", 1), ("b", 1), ("class", 2)]
    assert subsets(plan)[-1]["is_reg"]
    kinds = {problem.what: problem.severity for problem in problems(plan, paths)}
    assert kinds["none of the regularisation images has a caption"] is Severity.WARNING
    assert kinds["the rehearsal trains regularisation images like all others"] is Severity.NOTE


def test_a_folder_whose_name_ends_like_repeats(tmp_path):
    folder = images(tmp_path / "x=3", "1.png")
    assert (read_source(str(folder), "--data").path, read_source(str(folder), "--data").repeats) == (
        folder,
        None,
    )
    assert read_source(f"{folder}=2", "--data").repeats == 2
    assert read_source(f'{tmp_path}"', "--data").path == tmp_path
    with pytest.raises(UsageError, match="at least once"):
        read_source(f"{tmp_path}/y=0", "--data")


def test_named_twice_counts_once(paths, tmp_path):
    folder = images(tmp_path / "a", "1.png")
    plan = plan_for(paths, f"{folder}=2", folder)
    assert names(plan) == [("a", 2)]
    assert any("named twice" in note for note in plan.notes)


def test_captions_of_each_folder(paths, tmp_path):
    first = images(tmp_path / "a", "1.png", "2.png", "3.png")
    second = images(tmp_path / "b", "1.png", "2.png", suffix=".caption")
    (second / "1.txt").write_text("old", encoding="utf-8")
    plan = plan_for(paths, first, second)
    assert [one["caption_extension"] for one in subsets(plan)] == [".txt", ".caption"]
    assert any("2 × .caption are read, 1 × .txt are not" in note for note in plan.notes)
    assert not any("caption" in problem.what for problem in problems(plan, paths))
    said = plan_for(paths, first, second, words=("caption_extension=.txt",))
    assert [one["caption_extension"] for one in subsets(said)] == [".txt", ".txt"]


def test_image_names_as_upstream_finds_them(tmp_path, monkeypatch):
    images(tmp_path / "a", "1.png", "2.JPG")
    (tmp_path / "a" / "3.Png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    assert survey(tmp_path / "a").image_count == 2
    monkeypatch.setattr(sys, "platform", "win32")
    assert survey(tmp_path / "a").image_count == 3


def test_caption_of_a_cut_out_face(tmp_path):
    images(tmp_path / "a", "photo_10_20_30_40.png", captions=False)
    (tmp_path / "a" / "photo.txt").write_text("a face", encoding="utf-8")
    assert survey(tmp_path / "a").folders[0].captioned(".txt") == 1


# A dataset file of the user's

GOOD = """\
[general]
enable_bucket = true
shuffle_caption = false

[[datasets]]
resolution = 768
batch_size = 2

  [[datasets.subsets]]
  image_dir = 'cats \\ 猫'
  num_repeats = 3

  [[datasets.subsets]]
  image_dir = "reg"
  is_reg = true

  [[datasets.subsets]]
  image_dir = '../more'
  caption_extension = ".caption"
  cache_info = true

  [[datasets.subsets]]
  image_dir = 'off'
  num_repeats = 0

[[datasets]]
resolution = [512, 640]
  [[datasets.subsets]]
  image_dir = 'cats \\ 猫'
  keep_tokens = 1
"""


@pytest.fixture
def collection(tmp_path):
    images(tmp_path / "set" / "cats \\ 猫", "a.png", "b.png", suffix=".caption")
    images(tmp_path / "set" / "reg", "r.png")
    images(tmp_path / "more", "m.png", suffix=".caption")
    file = tmp_path / "set" / "my cats.toml"
    file.write_text(GOOD, encoding="utf-8")
    return file


def test_a_dataset_file_is_written_anew(paths, collection, tmp_path):
    before = collection.read_bytes()
    plan = plan_for(paths, collection)
    first, second = plan.dataset["datasets"]
    assert [Path(one["image_dir"]) for one in first["subsets"]] == [
        tmp_path / "set" / "cats \\ 猫", tmp_path / "more", tmp_path / "set" / "reg"
    ]  # fmt: skip
    assert first["subsets"][0]["caption_extension"] == ".caption"  # found in the folder
    assert all("cache_info" not in one for one in first["subsets"])
    assert (first["resolution"], first["batch_size"]) == (768, 2)
    assert (second["resolution"], second["batch_size"]) == ([512, 640], 1)  # the preset's batch size
    assert plan.dataset["general"] == {"enable_bucket": True, "shuffle_caption": False}
    assert collection.read_bytes() == before
    notes = "\n".join(plan.notes)
    assert "cache_info is left out" in notes
    assert "off is left out: its num_repeats is 0" in notes
    assert "my cats.toml decides for itself: " in notes
    assert plan.name == "style-8gb-my cats"
    assert tomllib.loads(render_dataset_toml(plan)) == plan.dataset


def test_the_same_as_json(paths, collection):
    as_json = collection.with_suffix(".json")
    as_json.write_text(json.dumps(tomllib.loads(GOOD)), encoding="utf-8")
    assert plan_for(paths, as_json).dataset == plan_for(paths, collection).dataset


def test_every_mistake_of_a_dataset_file_has_its_line(tmp_path):
    file = tmp_path / "dataset.toml"
    file.write_text(
        """[general]
resolution = "1024"
learning_rate = 1e-4
[[datasets]]
batch_sise = 2
image_dir = 'x'
  [[datasets.subsets]]
  image_dir = "C:\\new"
  num_repeats = "3"
  resolution = 512
[[datasets]]
  [[datasets.subsets]]
  num_repeats = 3
  [[datasets.subsets]]
  metadata_file = 'm.json'
""",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as caught:
        read_document_file(file, "sd-scripts")
    found = [
        (problem.where.split(" ")[0].split(":")[1], problem.what, problem.fix)
        for problem in caught.value.problems
    ]
    assert [(line, what) for line, what, _ in found] == [
        ("2", "resolution needs a whole number, or two: [width, height]"),
        ("3", "learning_rate is not known here"),
        ("5", "batch_sise is not known here"),
        ("6", "image_dir is not known here"),
        ("8", "image_dir holds a control character"),
        ("9", "num_repeats needs a whole number"),
        ("10", "resolution is not known here"),
        ("15", "folders and metadata files cannot share a dataset"),
    ]
    fixes = [fix for *_, fix in found]
    assert fixes[0] == "write resolution = 1024"
    assert "preset" in fixes[1]
    assert fixes[2] == "perhaps you meant batch_size"
    assert "[[datasets.subsets]]" in fixes[3]
    assert "single quotes" in fixes[4]
    assert fixes[5] == "write num_repeats = 3"
    assert "[[datasets]]" in fixes[6]


def test_the_fork_says_which_keys_are_too_new(collection):
    with pytest.raises(InputError) as caught:
        read_document_file(collection, "sd-scripts-fp8")
    assert "does not know it yet" in caught.value.fix
    assert caught.value.where == "my cats.toml:20 (datasets[0].subsets[2].cache_info)"


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"\xff\xfe[\0g\0", "UTF-16"), (b"a = '\xe9'", "UTF-8"), (b"[[datasets]\n", "TOML"), (b"x = " + b"[" * 3000, "deep"),
        (b"", "no datasets"), (b"# " + b"x" * 1_100_000, "larger"), (b"datasets = 3", "no datasets"),
        (b"[[datasets]]\nresolution = 9" + b"9" * 30 + b"\n[[datasets.subsets]]\nimage_dir='x'", "too large"),
        (b"[[datasets]]\n[[datasets.subsets]]\nimage_dir='x'\ncustom_attributes = {a = [[[[[1]]]]]}", "cannot be written"),
        (b"[[datasets]]\n[[datasets.subsets]]\nimage_dir = 1979-05-27", "text in quotes"),
        (b"datasets = [1]", "not a table"), (b"[[datasets]]\nsubsets = [2]", "not a table"), (b"[[datasets]]", "no subsets"),
        (b"general = 1\n[[datasets]]\n[[datasets.subsets]]\nimage_dir='x'", "not a table"),
    ],
)  # fmt: skip
def test_hostile_dataset_files(tmp_path, raw, word):
    file = tmp_path / "dataset.toml"
    file.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_document_file(file, "sd-scripts")
    assert word in f"{caught.value} {caught.value.why}"


@pytest.mark.parametrize(
    "raw", ['{"datasets": [}', "[1]", '{"datasets": [], "datasets": []}', "{" * 5000, "NaN"]
)
def test_hostile_json(tmp_path, raw):
    file = tmp_path / "dataset.json"
    file.write_text(raw, encoding="utf-8")
    with pytest.raises(InputError):
        read_document_file(file, "sd-scripts")


@settings(max_examples=200, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["general", "datasets", "subsets", "image_dir", "resolution", "x"]), inner, max_size=3),
    max_leaves=12,
))  # fmt: skip
def test_any_json_is_taken_or_refused_in_words(tmp_path_factory, value):
    file = tmp_path_factory.mktemp("json") / "dataset.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    with contextlib.suppress(InputError):  # anything else fails the test
        read_document_file(file, "sd-scripts")


def test_a_home_that_nobody_has_is_a_folder_like_any_other(tmp_path):
    file = tmp_path / "dataset.toml"
    file.write_text("[[datasets]]\n[[datasets.subsets]]\nimage_dir = '~nobody-here/aki'\n", encoding="utf-8")
    tables = read_document_file(file, "sd-scripts").tables
    assert tables["datasets"][0]["subsets"][0]["image_dir"] == (tmp_path / "~nobody-here/aki").as_posix()


def test_a_dataset_file_stands_alone(paths, collection, tmp_path):
    folder = images(tmp_path / "a", "1.png")
    with pytest.raises(UsageError, match="cannot stand beside"):
        plan_for(paths, collection, folder)
    with pytest.raises(UsageError, match="cannot stand beside"):
        plan_for(paths, collection, reg=[folder])
    with pytest.raises(InputError, match="no dataset file"):
        plan_for(paths, tmp_path / "nowhere.toml")


def test_what_a_dataset_file_and_the_options_cannot_have_together(paths, collection):
    text = GOOD.replace("keep_tokens = 1", "keep_tokens = 1\n  shuffle_caption = true\n  color_aug = true")
    collection.write_text(text.replace("resolution = 768", "resolution = 4096"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        plan_for(paths, collection)
    found = [(problem.where, problem.what) for problem in caught.value.problems]
    assert found[0][0].startswith("my cats.toml:")
    assert "max_bucket_reso 2048 is smaller than the resolution 4096" in found[0][1]
    assert found[1:] == [
        ("my cats.toml:31 (datasets[1].subsets[0].shuffle_caption)", "shuffle_caption cannot be used with cache_text_encoder_outputs"),
        ("my cats.toml:32 (datasets[1].subsets[0].color_aug)", "color_aug cannot be used with cache_latents"),
    ]  # fmt: skip


def test_masks_only_with_masked_loss(paths, tmp_path):
    images(tmp_path / "a", "1.png")
    images(tmp_path / "masks", "1.png", captions=False)
    file = tmp_path / "dataset.toml"
    file.write_text(
        "[[datasets]]\n[[datasets.subsets]]\nimage_dir='a'\nconditioning_data_dir='masks'\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match="with masks only"):
        plan_for(paths, file, trainer="sd-scripts")
    plan = plan_for(paths, file, trainer="sd-scripts", words=("masked_loss=true",))
    assert parts_of(plan.dataset)[0].masks == tmp_path / "masks"
    with pytest.raises(InputError, match="takes no conditioning_data_dir"):
        plan_for(paths, file, trainer="rehearsal")


def write_metadata(folder, rows, name="meta.json", **more):
    (folder / name).write_text(json.dumps(rows), encoding="utf-8")
    file = folder / "dataset.toml"
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    file.write_text(
        f"[[datasets]]\n{keys}[[datasets.subsets]]\nmetadata_file='{name}'\nimage_dir='a'\nnum_repeats=2\n"
    )
    return file


def test_metadata_files(paths, tmp_path):
    images(tmp_path / "a", "1.png", "2.png", captions=False)
    file = write_metadata(tmp_path, {"1.png": {"caption": "one"}, "2.png": {"tags": "two"}, "3.png": {}})
    plan = plan_for(paths, file, trainer="sd-scripts")
    assert subsets(plan)[0] == {
        "metadata_file": (tmp_path / "meta.json").as_posix(), "image_dir": (tmp_path / "a").as_posix(), "num_repeats": 2,
    }  # fmt: skip
    what = [problem.what for problem in problems(plan, paths)]
    assert what == [
        "1 of 3 images are not there: 3.png",
        "1 of 3 images have no caption",
        "there are only 3 images",
    ]
    with pytest.raises(InputError, match="reads no metadata files"):
        plan_for(paths, file, trainer="rehearsal")
    (tmp_path / "meta.json").write_text("[]", encoding="utf-8")
    assert "no metadata file" in problems(plan, paths)[0].what


# Places


def test_places():
    toml = places_in_toml(
        "# x\n[general]\na = 1\n[[datasets]]\n[[datasets.subsets]]\nb = 1\n[[datasets.subsets]]\nb = 2\n[[datasets]]\nc = 1\n"
    )
    assert toml.line_of(("datasets", 0, "subsets", 1, "b")) == 8
    assert toml.line_of(("datasets", 1, "c")) == 10
    assert toml.line_of(("datasets", 1, "unknown")) == 9
    value = places_in_json('{\n"datasets": [\n{"subsets": [\n{"b": ":,{"},\n{"b":\n2}]}]}')
    assert value.line_of(("datasets", 0, "subsets", 0, "b")) == 4
    assert value.line_of(("datasets", 0, "subsets", 1, "b")) == 5


# Preflight


def test_doubles_links_and_empty_folders(paths, tmp_path):
    images(tmp_path / "a", "1.png")
    (tmp_path / "link").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "empty").mkdir()
    file = tmp_path / "dataset.toml"
    file.write_text(
        "[[datasets]]\n"
        + "".join(f"[[datasets.subsets]]\nimage_dir='{name}'\n" for name in ("a", "a", "link", "empty")),
        encoding="utf-8",
    )
    what = [problem.what for problem in problems(plan_for(paths, file), paths)]
    assert what[:3] == [
        "a stands twice in one dataset",
        "link and a are the same folder",
        "empty has no images in it",
    ]
    missing = plan_for(paths, file)
    (tmp_path / "empty").rmdir()
    assert problems(missing, paths)[0].what == "the folder with images is not there"
    assert problems(missing, paths)[0].where == str(tmp_path / "empty")


def test_pictures_of_other_kinds_are_named(paths, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "photo.heic").touch()
    (problem,) = problems(plan_for(paths, tmp_path / "x"), paths)
    assert "photo.heic" in problem.why
    assert "PNG or JPEG" in problem.fix


def test_reg_folders_empty_or_too_full(paths, tmp_path):
    train = images(tmp_path / "a", *(f"{n}.png" for n in range(6)))
    (tmp_path / "none").mkdir()
    full = images(tmp_path / "full", *(f"{n}.png" for n in range(8)))
    plan = plan_for(paths, train, reg=[tmp_path / "none", full], trainer="sd-scripts")
    assert [problem.what for problem in problems(plan, paths)] == [
        "none has no regularisation images in it", "2 regularisation images are not used"
    ]  # fmt: skip


def test_images_below_a_bucket_step_stop_the_trainer(paths, tmp_path):
    folder = images(tmp_path / "a", "1.png", size=(40, 900))
    (problem,) = check_images(paths, plan_for(paths, folder, words=("bucket_no_upscale=true",)), MACHINE)
    assert "too small for bucket_no_upscale" in problem.what
    (problem,) = check_images(paths, plan_for(paths, folder, words=("bucket_no_upscale=false",)), MACHINE)
    assert problem.severity is Severity.WARNING


def test_room_for_caches(paths, tmp_path):
    folder = images(tmp_path / "a", *(f"{n}.png" for n in range(10)))
    plan = plan_for(paths, folder, trainer="sd-scripts")
    each = 4 * 128 * 128 * 4 + 77 * 2048 * 4 + 1280 * 4
    assert disk.cache_bytes(plan) == 10 * each
    assert disk.writes_of(plan).caches == 10 * each
    longer = plan_for(paths, folder, trainer="sd-scripts", words=("max_token_length=225", "resolution=512"))
    assert disk.cache_bytes(longer) == 10 * (4 * 64 * 64 * 4 + 3 * (77 * 2048 * 4 + 1280 * 4))
    beside = plan_for(paths, folder, trainer="sd-scripts", words=("launcher.cache_images=beside",))
    assert disk.writes_of(beside).caches == 0


# Counting


def test_counting_with_buckets_and_batches(paths, tmp_path):
    images(tmp_path / "a", "1.png", "2.png", "3.png", size=(64, 64))
    images(tmp_path / "a", "4.png", "5.png", size=(128, 64))
    words = ("max_train_epochs=2", "train_batch_size=4")
    data = f"{tmp_path / 'a'}=3"
    # nine of one bucket, six of another
    assert plan_for(paths, data, words=words, trainer="sd-scripts").total_steps == 2 * (3 + 2)
    flat = plan_for(paths, data, words=(*words, "enable_bucket=false"), trainer="sd-scripts")
    assert flat.total_steps == 2 * 4
    assert plan_for(paths, data, words=words).total_steps is None  # the rehearsal sorts by a rule of its own
    (tmp_path / "a" / "6.png").write_bytes(b"no image")
    assert plan_for(paths, data, words=words, trainer="sd-scripts").total_steps is None


def test_counting_with_regularisation_images(paths, tmp_path):
    data = f"{images(tmp_path / 'a', '1.png', '2.png')}=3"
    reg = images(tmp_path / "r", "1.png")
    words = ("max_train_epochs=1",)
    assert plan_for(paths, data, reg=[reg], words=words, trainer="sd-scripts").total_steps == 6 + 6
    assert plan_for(paths, data, reg=[reg], words=words).total_steps == 6 + 1


def test_regularisation_images_in_turn():
    assert regularise(10, [1, 1, 1]) == [4, 3, 3]
    assert regularise(2, [3, 1]) == [3, 0]
    assert regularise(0, [1]) == [0]
    assert regularise(5, []) == []


@given(st.integers(1, 4000), st.integers(1, 4000), st.booleans())
def test_buckets_never_fail(width, height, no_upscale):
    buckets = Buckets(resolution=(1024, 1024), enabled=True, max_reso=2048, no_upscale=no_upscale)
    chosen = buckets.choose((width, height))
    assert chosen is None or all(side >= 0 for side in chosen)
    assert count_batches([((1, 1), 5), ((2, 1), 1)], 2) == 4
