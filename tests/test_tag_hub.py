"""Taggers from a hub on loopback that misbehaves, from a mirror, from folders; and the command line over all of it."""

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.cli import execute
from launcher.errors import InputError, InstallError, UsageError
from launcher.install.fetch import Patience
from launcher.install.index import PipSettings
from launcher.install.removal import shared
from launcher.install.upkeep import known as known_trainers
from launcher.paths import Paths
from launcher.tagger import hub, models, runtime
from launcher.ui import console
from tests.loopback import Site, Trick, serving
from tests.tagger_models import make_images, make_mapping_model, make_table_model

ROOT = Path(__file__).resolve().parent.parent
QUICK = Patience(stall_s=0.5, tries=2, first_wait_s=0.01)
REPOSITORY, REVISION = "Someone/my-tagger", "0123456789abcdef0123456789abcdef01234567"
API = f"/api/models/{REPOSITORY}/revision/main?blobs=true"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    console.get_console.cache_clear()  # it keeps the output of the test before
    yield
    console.get_console.cache_clear()


@pytest.fixture
def made(tmp_path):
    """A tagger as its author has it."""
    return make_table_model(tmp_path / "author")


def site_of(folder, *, inside=""):
    """A hub with one repository; the large file is an LFS object, the small one is not, as on the real one."""
    files, siblings = {}, [{"rfilename": "README.md", "size": 1, "blobId": "0" * 40}]
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        place = f"{inside}{file.name}"
        files[f"/{REPOSITORY}/resolve/{REVISION}/{place}"] = data
        entry = {"rfilename": place, "size": len(data), "blobId": git_blob(data)}
        if file.suffix == ".onnx":
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        siblings.append(entry)
    files[API] = json.dumps({"id": REPOSITORY, "sha": REVISION, "siblings": siblings}).encode()
    return Site(files)


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.fixture
def the_hub(made, monkeypatch):
    with serving(site_of(made)) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url(""))
        yield site


@pytest.fixture
def here(tmp_path):
    return Paths(root=tmp_path / "root", home=tmp_path / "user data", shipped=ROOT)


def bring(here, word=REPOSITORY, mirror=None):
    model = models.find(here, word)
    return hub.bring(
        here, model, mirror=mirror, settings=PipSettings(), tell=lambda *_, **__: None, patience=QUICK
    )


def asked(site, name):
    return [one for one in site.asked if one.path.endswith(name)]


def test_a_model_of_the_hub_is_held_to_what_the_hub_said_first(here, the_hub, made):
    assert models.missing(models.find(here, REPOSITORY)) == "it was never used here"
    model = bring(here)
    assert models.missing(model) is None
    assert {file.name: file.sha256 for file in model.files} == {
        name: hashlib.sha256((made / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "selected_tags.csv")
    }
    assert model.revision == REVISION
    assert "came from the hub itself" in models.vouch(here, model)
    note = json.loads((here.tagger_notes / "models.json").read_text())[REPOSITORY]
    assert note["revision"] == REVISION
    (model.folder / "selected_tags.csv").write_text("tag_id,name,category\n1,evil,0\n")
    assert "selected_tags.csv is not the file" in models.missing(model)
    bring(here)
    assert models.missing(model) is None
    assert len(asked(the_hub, "blobs=true")) == 1  # the second time its revision and checksums were known


def test_a_changed_file_under_the_same_revision_is_refused(here, the_hub):
    model = bring(here)
    path = f"/{REPOSITORY}/resolve/{REVISION}/model.onnx"
    the_hub.files[path] = b"x" * len(the_hub.files[path])
    (model.folder / "model.onnx").unlink()
    with pytest.raises(InstallError, match="could not be fetched") as raised:
        bring(here)
    assert "SHA-256" in raised.value.why
    assert not (model.folder / "model.onnx").exists()


@pytest.mark.parametrize("name", ["model.onnx", "selected_tags.csv"])
def test_a_damaged_file_is_refused(here, the_hub, name):
    path = f"/{REPOSITORY}/resolve/{REVISION}/{name}"
    whole = the_hub.files[path]
    the_hub.files[path] = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(InstallError) as raised:
        bring(here)
    assert "instead of" in raised.value.why
    assert not (here.tagger_notes / "models.json").exists()
    the_hub.files[path] = whole
    assert models.missing(bring(here)) is None


def test_a_cut_download_goes_on_and_redirects_get_no_token(here, the_hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    path = f"/{REPOSITORY}/resolve/{REVISION}/model.onnx"
    data = the_hub.files[path]
    with serving(Site({"/cdn/object": data})) as store:
        the_hub.tricks[path] = [
            Trick(status=302, headers={"Location": store.url("/cdn/object", host="localhost")})
        ] * 3
        store.tricks["/cdn/object"] = [Trick(cut=len(data) // 2)]
        assert models.missing(bring(here)) is None
        assert store.first_bytes("/cdn/object") == [0, len(data) // 2]
        assert all("authorization" not in one.headers for one in store.asked)
    assert all(one.headers.get("authorization") == "Bearer hf_secret" for one in the_hub.asked)
    kept = [file.read_bytes() for file in here.root.rglob("*") if file.is_file()]
    kept += [file.read_bytes() for file in here.home.rglob("*") if file.is_file()]
    assert not [data for data in kept if b"hf_secret" in data]


def test_a_token_that_the_hub_does_not_like_is_left_out(here, the_hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    the_hub.tricks[API] = [Trick(status=401)]
    assert models.missing(bring(here)) is None


@pytest.mark.parametrize(
    ("status", "says"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "--mirror"), (500, "--mirror")]
)
def test_refusals_say_what_to_do(here, the_hub, status, says):
    the_hub.tricks[API] = [Trick(status=status)] * 9
    with pytest.raises(InstallError, match="could not be fetched") as raised:
        bring(here)
    assert says in raised.value.fix
    assert "--model DIR" in raised.value.fix


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b"<html>", b'{"sha": "../..", "siblings": []}', b'{"sha": "abc", "siblings": [{"rfilename": 5}]}',
     b"[" * 50_000, json.dumps({"sha": "abc", "siblings": [{"rfilename": name, "size": 1, "lfs": {"sha256": "zz", "size": 1}} for name in ("model.onnx", "selected_tags.csv")]}).encode()],
)  # fmt: skip
def test_nonsense_from_the_hub(here, the_hub, answer):
    the_hub.files[API] = answer
    with pytest.raises(InstallError, match="could not be fetched"):
        bring(here)
    assert not list(here.root.rglob("model.onnx"))


def test_a_folder_inside_a_repository(here, tmp_path, monkeypatch):
    with serving(site_of(make_mapping_model(tmp_path / "m"), inside="v1/")) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url(""))
        with pytest.raises(InstallError, match="could not be fetched") as raised:
            bring(here)
        assert f"--model {REPOSITORY}/FOLDER" in raised.value.why
        model = bring(here, f"{REPOSITORY}/v1")
    assert [file.name for file in model.files] == ["model_optimized.onnx", "tag_mapping.json"]


def test_offline_is_offline_unless_a_mirror_is_named(here, the_hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InstallError) as raised:
        bring(here)
    assert "HF_HUB_OFFLINE" in raised.value.why
    assert not the_hub.asked
    assert models.missing(bring(here, mirror=the_hub.url("/"))) is None


# --- the shipped table


def test_the_table_is_whole(here):
    for name, model in models.known(here).items():
        assert model.repository == f"SmilingWolf/{name}"
        assert len(model.revision) == 40
        assert sorted(file.name for file in model.files) == ["model.onnx", "selected_tags.csv"]
        assert all(len(file.sha256) == 64 and file.size > 100_000 for file in model.files)
    assert models.default_name(here) in models.known(here)
    assert "taggers" not in known_trainers(here)


def test_a_pinned_model_is_fetched_by_its_revision_and_held_to_the_table(here, made, monkeypatch):
    name = models.default_name(here)
    pinned = models.known(here)[name]
    shipped = here.pins / "taggers.toml"
    assert shipped.is_file()
    data = {file.name: (made / file.name).read_bytes() for file in pinned.files}
    ours = replace(pinned, files=tuple(models.File(name=key, size=len(value), sha256=hashlib.sha256(value).hexdigest()) for key, value in data.items()))  # fmt: skip
    monkeypatch.setattr(models, "known", lambda _: {name: ours})
    monkeypatch.setattr(models, "_pinned", lambda *_: ours)
    files = {f"/{pinned.repository}/resolve/{pinned.revision}/{key}": value for key, value in data.items()}
    with serving(Site(files)) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url("/"))
        assert models.missing(bring(here, name)) is None
        assert not (here.tagger_notes / "models.json").exists()
        assert not asked(site, "blobs=true")
    assert "shipped with the launcher" in models.vouch(here, models.find(here, name))
    assert here.tagger in shared(here)


@pytest.mark.parametrize(
    "word", ["wd-vit-taggerv3", "../..", "a/../b", "nobody", "a//b", "-x/y", "http://a/b"]
)
def test_words_that_are_no_model(here, word, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, InputError)) as raised:
        models.find(here, word)
    assert "wd-vit-tagger-v3" in raised.value.fix or "Wanted" in raised.value.fix


def test_a_folder_of_one_s_own_is_remembered(here, made):
    model = models.find(here, str(made))
    assert "remembered from now on" in models.vouch(here, model)
    assert "the same as when" in models.vouch(here, model)
    (made / "selected_tags.csv").write_bytes((made / "selected_tags.csv").read_bytes() + b"99,more,0,1\n")
    assert "HAVE CHANGED" in models.vouch(here, model)


# --- the command line


@pytest.fixture
def ready(here, monkeypatch):
    """This environment has onnxruntime, and stands for a training environment with its packages."""
    where = runtime.Runtime(trainer="rehearsal", python=Path(sys.executable), packages=here.tagger / "none", locks=(), wants_gpu=False, note="there is no NVIDIA card here")  # fmt: skip
    monkeypatch.setattr(runtime, "choose", lambda *_, **__: where)
    monkeypatch.setattr(runtime, "missing", lambda _: None)


def test_the_command_tags_and_takes_back(here, ready, tmp_path, made, capsys):
    data = make_images(tmp_path / "訓練 データ", 3)
    (data / "bad.png").write_bytes(b"no image")
    assert execute(["tag", str(data), "--model", str(made), "--dry-run", "--json"], here) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (len(plan["to_tag"]), plan["device"], plan["missing"]) == (
        4,
        "cpu",
        {"packages": None, "model": None},
    )
    assert not here.tagger_journal.exists()
    assert execute(["tag", str(data), "--model", str(made), "--underscores", "replace"], here) == 0
    said = capsys.readouterr().out
    for words in ("3 captions written", "there is no NVIDIA card", "The most frequent tags", "the image cannot be read", "bad.png", "Take it back", "--undo"):  # fmt: skip
        assert words in said
    assert execute(["tag", str(data), "--model", str(made)], here) == 0
    assert "it has a caption already" in capsys.readouterr().out
    assert execute(["tag", "--undo", str(data)], here) == 0
    assert "3 new captions removed" in capsys.readouterr().out
    assert not list(data.glob("*.txt"))
    assert execute(["tag", str(data), "--model", str(made), "--json", "--yes"], here) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], told["device"]) == (3, "cpu")
    assert "own folder" in told["checksums"] or "the same as" in told["checksums"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--threshold", "35"], "--threshold 35"),
        (["--threshold", "nan"], "--threshold nan"),
        (["--character-threshold", "-1"], "--character-threshold"),
        (["--batch", "0"], "--batch 0"),
        (["--extension", ".png"], "cannot end in"),
        (["--extension", "/../x"], "cannot end in"),
        (["--extension", ".npz"], "cannot end in"),
        (["--prefix", "a\nb"], "one line"),
    ],
)
def test_options_that_make_no_sense(here, tmp_path, words, says):
    with pytest.raises(UsageError, match=says):
        execute(["tag", str(tmp_path), *words], here)


def test_folders_that_are_none(here, tmp_path):
    with pytest.raises(UsageError, match="Which folder"):
        execute(["tag"], here)
    with pytest.raises(InputError, match="no such folder"):
        execute(["tag", str(tmp_path / "nowhere")], here)
    with pytest.raises(InputError, match="no tagging"):
        execute(["tag", "--undo"], here)


def test_without_an_environment_it_says_so(here, tmp_path, made):
    with pytest.raises(InstallError, match="none is ready"):
        execute(["tag", str(make_images(tmp_path / "d", 1)), "--model", str(made)], here)


def test_the_questions_fill_the_command_line(monkeypatch, tmp_path):
    """Every answer is what a flag would have said; with something to take back, that is asked first."""
    from launcher.cli import make_parser
    from launcher.ui import prompts, tag_ask

    options = make_parser().parse_args(["tag"])
    asked_for = []

    def choose(question, choices, *, flag, default=None, yes=False):
        asked_for.append(flag)
        return choices[-1].value

    monkeypatch.setattr(prompts, "ask_choice", choose)
    monkeypatch.setattr(prompts, "ask_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr(prompts, "ask_text", lambda *_, **__: "my style")
    models_known = {"a": ("title", 5)}
    answers = tag_ask.ask_tagging(options, models_known, default="a", undoable=None)
    assert asked_for == ["--model", "--existing", "--underscores"]
    told = vars(answers)
    assert {key for key, value in vars(options).items() if told[key] != value} == {
        "folder", "model", "existing", "underscores", "prefix",
    }  # fmt: skip
    assert (told["existing"], told["underscores"], told["model"]) == ("replace", "replace", str(tmp_path))
    assert tag_ask.ask_tagging(options, models_known, default="a", undoable=tmp_path).undo


def test_the_models_are_listed(here, capsys):
    assert execute(["tag", "--models"], here) == 0
    assert "wd-eva02-large-tagger-v3" in capsys.readouterr().out
