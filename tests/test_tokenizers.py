"""The tokenizers of SDXL, from a hub that misbehaves and from folders of every kind."""

import gzip
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install.commands import Log
from launcher.install.fetch import Patience
from launcher.install.index import PipSettings
from launcher.install.tokenizers import (
    BYTES,
    END,
    FILES,
    KNOWN,
    MERGES,
    REPOSITORIES,
    START,
    ensure_tokenizers,
    folder_name,
    missing_tokenizers,
    problem_of,
)
from tests.loopback import Site, Trick, serving

QUICK = Patience(stall_s=0.5, tries=2, first_wait_s=0.01)
OPEN_CLIP = "LAUNCHER_OPEN_CLIP"  # a wheel of open_clip_torch, which has the real vocabulary


def synthetic():
    """A vocabulary of CLIP's shape: right counts, right known entries, nonsense otherwise."""
    known = {number: token for token, number in KNOWN.items()}
    tokens = [known.get(number, f"x{number}") for number in range(BYTES + MERGES)]
    return tokens[:BYTES], [f"{token[:1]} {token[1:]}" for token in tokens[BYTES:]]


def real(wheel):
    """The real one, made as CLIP makes it (openai/CLIP clip/simple_tokenizer.py)."""
    with zipfile.ZipFile(wheel) as packed:
        text = gzip.decompress(packed.read("open_clip/bpe_simple_vocab_16e6.txt.gz")).decode()
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [*map(chr, printable), *(chr(256 + place) for place in range(len(others)))]
    return [*letters, *(letter + "</w>" for letter in letters)], text.split("\n")[1 : MERGES + 1]


def files_of(letters, merges):
    tokens = [*letters, *(merge.replace(" ", "", 1) for merge in merges), START, END]
    mark = {"content": START, "lstrip": False, "normalized": True}
    return {
        "vocab.json": json.dumps({token: number for number, token in enumerate(tokens)}).encode(),
        "merges.txt": ("#version: 0.2\n" + "\n".join(merges) + "\n").encode(),
        "special_tokens_map.json": json.dumps({"bos_token": mark, "eos_token": END}).encode(),
        "tokenizer_config.json": json.dumps({"model_max_length": 77}).encode(),
    }


FILES_OF = files_of(*synthetic())


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def hub(monkeypatch):
    with serving(
        Site({hub_path(repository, name): FILES_OF[name] for repository in REPOSITORIES for name in FILES})
    ) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url("/"))
        yield site


def hub_path(repository, name):
    return f"/{repository}/resolve/main/{name}"


def ensure(folder, given=None, **more):
    told = []
    ensure_tokenizers(
        folder,
        given=given,
        settings=PipSettings(),
        tell=lambda words, **_: told.append(words),
        patience=QUICK,
        **more,
    )
    assert missing_tokenizers(folder) is None
    assert [path.name for path in folder.iterdir() if path.name not in map(folder_name, REPOSITORIES)] == [
        ".lock"
    ]
    for repository in REPOSITORIES:
        place = folder / folder_name(repository)
        assert {path.name: path.read_bytes() for path in place.iterdir()} == FILES_OF
    return told


def write(folder, files=FILES_OF):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_names_are_those_that_the_trainers_look_for():
    assert [folder_name(repository) for repository in REPOSITORIES] == [
        "openai_clip-vit-large-patch14",
        "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k",
    ]


def test_both_come_from_the_hub_once(hub, tmp_path):
    assert "not there" in missing_tokenizers(tmp_path / "t")
    ensure(tmp_path / "t")
    assert [asked.path for asked in hub.asked] == [hub_path(r, name) for r in REPOSITORIES for name in FILES]
    ensure(tmp_path / "t")
    assert len(hub.asked) == 8


def test_a_broken_download_goes_on_in_the_next_start(hub, tmp_path):
    path = hub_path(REPOSITORIES[0], "vocab.json")
    hub.tricks[path] = [Trick(cut=100_000), Trick(status=404)]
    with pytest.raises(InstallError, match="could not be fetched"):
        ensure(tmp_path)
    assert not (tmp_path / folder_name(REPOSITORIES[0])).exists()
    ensure(tmp_path)
    assert hub.first_bytes(path) == [0, 100_000, 100_000]


def test_an_incomplete_or_wrong_folder_is_replaced(hub, tmp_path):
    ensure(tmp_path)
    (tmp_path / folder_name(REPOSITORIES[0]) / "merges.txt").unlink()
    (tmp_path / folder_name(REPOSITORIES[1]) / "vocab.json").write_bytes(b"{}")
    assert "merges.txt missing" in missing_tokenizers(tmp_path)
    ensure(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("vocab.json", b"<html>log in</html>", "damaged"),
        ("vocab.json", b"[]", "0 entries"),
        ("vocab.json", FILES_OF["vocab.json"].replace(b"photo</w>", b"phota</w>"), "photo</w>"),
        ("merges.txt", FILES_OF["merges.txt"].replace(b"x 600\n", b""), "48893 merges"),
        ("merges.txt", FILES_OF["merges.txt"].replace(b"x 600\n", b"x 601\n"), "does not fit"),
        ("merges.txt", b"\xff\xfe", "cannot be read"),
        ("special_tokens_map.json", b'{"bos_token": "<s>"}', "bos_token"),
        ("special_tokens_map.json", b"[]", "bos_token"),
        ("tokenizer_config.json", b"{}", "model_max_length"),
        ("tokenizer_config.json", b'{"model_max_length": 1000}', "model_max_length"),
    ],
)
def test_wrong_content_is_found(tmp_path, name, data, says):
    write(tmp_path, {**FILES_OF, name: data})
    assert says in problem_of(tmp_path, REPOSITORIES[0])
    assert problem_of(write(tmp_path / "good"), REPOSITORIES[0]) is None


def test_a_hub_that_sends_something_else_leaves_nothing(hub, tmp_path):
    path = hub_path(REPOSITORIES[1], "merges.txt")
    hub.files[path] = b"Not what you think"
    with pytest.raises(InstallError, match="could not be fetched") as caught:
        ensure(tmp_path)
    assert "is not the tokenizer" in caught.value.why
    assert not list((tmp_path / ".partial").rglob("*.txt"))
    hub.files[path] = FILES_OF["merges.txt"]
    ensure(tmp_path)


def test_an_unreachable_hub_names_the_remedies(tmp_path, monkeypatch):
    with pytest.raises(InstallError) as caught:
        ensure(tmp_path)
    assert "HF_ENDPOINT" in caught.value.fix
    assert "--tokenizers DIR" in caught.value.fix
    assert "does not take connections" in caught.value.why
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InstallError) as caught:
        ensure(tmp_path)
    assert "HF_HUB_OFFLINE" in caught.value.why


def test_the_token_goes_to_the_hub_alone_and_is_not_kept(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    path = hub_path(REPOSITORIES[0], "vocab.json")
    with serving(Site({"/cdn": FILES_OF["vocab.json"]})) as cdn:
        hub.tricks[path] = [Trick(status=307, headers={"Location": cdn.url("/cdn")})]
        ensure(tmp_path / "t", log=Log(tmp_path / "log"))
        assert "authorization" not in cdn.asked[0].headers
    assert {asked.headers["authorization"] for asked in hub.asked} == {"Bearer hf_s3cret"}
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"hf_s3cret" not in file.read_bytes()


def test_a_token_that_the_hub_refuses_is_left_away(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "old")
    hub.tricks[hub_path(REPOSITORIES[0], "vocab.json")] = [Trick(status=401)]
    ensure(tmp_path)
    assert "authorization" not in hub.asked[1].headers


def test_a_mirror_can_be_given(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    ensure(tmp_path, hub.url(""))
    assert len(hub.asked) == 8


def cache_layout(folder):
    for repository in REPOSITORIES:
        write(folder / folder_name(repository))


def hub_layout(folder):
    """As huggingface_hub keeps it: files are links into `blobs`."""
    for repository in REPOSITORIES:
        kept = folder / ("models--" + repository.replace("/", "--"))
        write(kept / "blobs")
        for number, name in enumerate(("old", "new")):
            snapshot = kept / "snapshots" / f"{number}{name}"
            snapshot.mkdir(parents=True)
            for file in FILES if name == "new" else ["vocab.json"]:
                try:
                    (snapshot / file).symlink_to(kept / "blobs" / file)
                except OSError:
                    shutil.copyfile(kept / "blobs" / file, snapshot / file)
        (kept / "refs").mkdir()
        (kept / "refs" / "main").write_text("1new")


def home_layout(folder):
    hub_layout(folder / "hub")


def plain_layout(folder):
    for repository in REPOSITORIES:
        write(folder / repository.split("/")[1])


def owner_layout(folder):
    for repository in REPOSITORIES:
        write(folder / repository)


def diffusers_layout(folder):
    write(folder / "tokenizer")
    write(folder / "tokenizer_2")


LAYOUTS = [cache_layout, hub_layout, home_layout, plain_layout, owner_layout, diffusers_layout]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_of_the_user_are_copied(tmp_path, layout):
    given = tmp_path / "given ü"
    layout(given)
    before = sorted(given.rglob("*"))
    ensure(tmp_path / "t", given)
    assert sorted(given.rglob("*")) == before
    for path in (tmp_path / "t").rglob("*"):
        assert not path.is_symlink()


def test_a_folder_without_them_says_what_is_wanted(tmp_path):
    with pytest.raises(InstallError, match="does not have the tokenizer") as caught:
        ensure(tmp_path / "t", tmp_path)
    assert "openai_clip-vit-large-patch14" in caught.value.fix
    cache_layout(tmp_path / "given")
    (tmp_path / "given" / folder_name(REPOSITORIES[1]) / "merges.txt").unlink()
    with pytest.raises(InstallError) as caught:
        ensure(tmp_path / "t", tmp_path / "given")
    assert "merges.txt missing" in caught.value.why


def test_the_hubs_cache_of_this_computer_helps_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub_layout(tmp_path / "hf" / "hub")
    told = ensure(tmp_path / "t")
    assert any("cache of this computer" in words for words in told)


def test_the_real_vocabulary_passes(tmp_path):
    wheel = os.environ.get(OPEN_CLIP)
    if not wheel or not Path(wheel).is_file():
        pytest.skip(f"{OPEN_CLIP} names no wheel of open_clip_torch")
    files = files_of(*real(wheel))
    assert files["merges.txt"].count(b"\n") == 48895
    assert problem_of(write(tmp_path, files), REPOSITORIES[0]) is None
