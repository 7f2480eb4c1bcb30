"""Tag, undo, tag again: with a real ONNX model, a real worker process, and real kills in the middle."""

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.errors import InputError, LauncherError
from launcher.paths import Paths
from launcher.tagger import images, journal, models, undo, work
from launcher.tagger.records import (
    BAD_IMAGE,
    BAD_NAME,
    HAS_CAPTION,
    LINK,
    NO_FILE,
    NOT_TEXT,
    SHARED_NAME,
    TOO_LARGE,
    Wish,
)
from launcher.tagger.runtime import Runtime
from tests.tagger_models import make_images, make_mapping_model, make_table_model

ROOT = Path(__file__).resolve().parent.parent
KILLS = int(os.environ.get("LAUNCHER_KILLS", "3"))
NAMES = ("猫と犬", "кошка", "γάτα", "חתול", "قطة", "बिल्ली", "고양이", "a'; echo foo", "café e\u0301", "🐈 cat", "-rf", "100% & more #1")  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_table_model(tmp_path_factory.mktemp("table") / "my tagger")


@pytest.fixture
def here(tmp_path):
    """Paths of which everything but the code is this test's."""
    return Paths(root=tmp_path / "root", home=tmp_path / "user data", shipped=ROOT)


def runtime(here):
    """This environment has onnxruntime, and stands for a training environment that has it in a folder beside it."""
    return Runtime(
        trainer="rehearsal", python=Path(sys.executable), packages=here.tagger / "none", locks=(), wants_gpu=False,
        note="there is no NVIDIA card here",
    )  # fmt: skip


def wish(folder, model, **more):
    return Wish(folder=folder, model=str(model), **more)


def tag(here, asked, where=None):
    model = models.find(here, asked.model)
    with journal.turn(here):
        return work.tag(here, asked, images.survey(asked), model, where or runtime(here))


def take_back(here, folder=None):
    with journal.turn(here):
        return undo.undo(here, undo.find(here, folder))


def state(folder):
    """Every name below a folder, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_tag_undo_tag_again(here, tmp_path, model):
    data = make_images(tmp_path / "訓練 データ", 9)
    (data / "0000.txt").write_bytes("mine, 猫\r\n".encode())
    before = state(data)
    first = tag(here, wish(data, model))
    assert (first.written, first.images, first.ready.device) == (8, 9, "cpu")
    assert first.ready.note == "there is no NVIDIA card here"
    assert [(left.image.name, left.why) for left in first.left] == [("0000.png", HAS_CAPTION)]
    tagged = state(data)
    assert {name for name in tagged if name not in before} == {f"{n:04d}.txt" for n in range(1, 9)}
    assert all(
        tagged[name].endswith(b"\n") and b", " in tagged[name] for name in tagged if name not in before
    )
    assert tagged["0000.txt"] == before["0000.txt"]
    done = take_back(here)
    assert (done.removed, done.restored, done.left) == (8, 0, [])
    assert state(data) == before
    assert tag(here, wish(data, model)).written == 8
    assert state(data) == tagged


@pytest.mark.parametrize("existing", ["append", "replace"])
def test_captions_that_were_there_come_back_with_mode_and_time(here, tmp_path, model, existing):
    data = make_images(tmp_path / "data", 6)
    for number, text in enumerate((b"", b"\xef\xbb\xbfmine,  two\r\n", b"a, b,\n\n", b"x" * 5000)):
        (data / f"{number:04d}.txt").write_bytes(text)
    os.utime(data / "0001.txt", (1_000_000, 1_000_000))
    (data / "0002.txt").chmod(0o640)
    before = state(data)
    result = tag(here, wish(data, model, existing=existing, prefix="my style"))
    assert (result.written, result.left) == (6, [])
    now = (data / "0001.txt").read_text(encoding="utf-8")
    assert now.startswith("my style, mine,  two, " if existing == "append" else "my style, ")
    take_back(here)
    assert state(data) == before
    assert (data / "0001.txt").stat().st_mtime == 1_000_000
    assert os.name == "nt" or (data / "0002.txt").stat().st_mode & 0o777 == 0o640


def test_what_was_edited_since_is_told_and_left(here, tmp_path, model):
    data = make_images(tmp_path / "data", 5)
    (data / "0004.txt").write_text("old\n")
    tag(here, wish(data, model, existing="replace"))
    (data / "0000.txt").write_text("I know better\n")
    (data / "0001.txt").unlink()
    (data / "0004.txt").unlink()
    done = take_back(here)
    assert [(path.name, why) for path, why in done.left] == [
        ("0004.txt", undo.GONE),
        ("0000.txt", undo.EDITED),
    ]
    assert (done.removed, done.untouched) == (2, 1)
    assert (data / "0000.txt").read_text() == "I know better\n"
    assert not (data / "0004.txt").exists()
    with pytest.raises(InputError, match="no tagging"):
        take_back(here)


def test_taggings_are_taken_back_one_by_one(here, tmp_path, model):
    data, other = make_images(tmp_path / "data", 2), make_images(tmp_path / "other", 1)
    before = state(data)
    tag(here, wish(data, model))
    between = state(data)
    tag(here, wish(data, model, existing="append", prefix="zzz"))
    tag(here, wish(other, model))
    done = take_back(here, data)
    assert (state(data), done.more) == (between, 1)
    assert take_back(here, data).more == 0
    assert state(data) == before
    assert len(state(other)) == 2


def test_a_folder_on_a_drive_that_is_away_is_taken_back_later(here, tmp_path, model):
    data = make_images(tmp_path / "data", 2)
    before = state(data)
    tag(here, wish(data, model))
    data.rename(tmp_path / "away")
    with pytest.raises(InputError, match="not there"):
        take_back(here)
    (tmp_path / "away").rename(data)
    assert take_back(here).removed == 2
    assert state(data) == before


def test_a_caption_that_cannot_be_read_for_a_moment_is_taken_back_later(here, tmp_path, model, monkeypatch):
    data = make_images(tmp_path / "data", 2)
    caption = min(data.glob("*.*")).with_suffix(".txt")
    caption.write_bytes(b"mine")
    before = state(data)
    tag(here, wish(data, model, existing="append"))
    read = Path.read_bytes

    def failing(path):  # a network share that is away for a second
        if path == caption:
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises(LauncherError, match="1 of the captions could not be read"):
            take_back(here, data)
    assert take_back(here, data).restored == 1
    assert state(data) == before


# --- killed


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_tag import tag, take_back, wish
from launcher.paths import Paths
here = Paths(root=Path({base!r}, "root"), home=Path({base!r}, "user data"), shipped=Path({root!r}))
{action}
"""


def start(tmp_path, action):
    code = KILLED.format(root=str(ROOT), base=str(tmp_path), action=action)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def kill_when(child, is_due):
    """Kill it as soon as `is_due`, or find it ended."""
    deadline = time.monotonic() + 120
    while child.poll() is None and not is_due() and time.monotonic() < deadline:
        time.sleep(0.002)
    child.kill()
    child.wait()


@pytest.mark.skipif(os.name == "nt", reason="moments are measured for Linux")
def test_killed_at_any_moment_it_can_be_taken_back_and_gone_on_with(here, tmp_path, model):
    """A tagging is killed when its journal has a random number of changes, its undoing after a random time as well."""
    data = make_images(tmp_path / "data", 20)
    for number in range(0, 20, 2):
        (data / f"{number:04d}.txt").write_text(f"mine {number}\n")
    before = state(data)
    action = f"tag(here, wish(Path({str(data)!r}), {str(model)!r}, existing='replace', batch=1))"
    draw, partly = random.Random(), 0
    for _ in range(KILLS):
        due, known = draw.randint(1, 15), set(here.tagger_journal.glob("*.jsonl"))

        def has_come(due=due, known=known):
            new = set(here.tagger_journal.glob("*.jsonl")) - known
            return sum(file.read_bytes().count(b"\n") for file in new) >= due

        kill_when(start(tmp_path, action), has_come)
        now = state(data)
        partly += any(now.get(name) == data_ for name, data_ in before.items() if name.endswith(".txt")) and now != before  # fmt: skip
        moment = time.monotonic() + draw.uniform(0.0, 0.5)
        kill_when(start(tmp_path, f"take_back(here, Path({str(data)!r}))"), lambda moment=moment: time.monotonic() > moment)  # fmt: skip
        if journal.entries(here.tagger_journal)[0].status != journal.UNDONE:
            assert take_back(here, data).left == []
        assert state(data) == before
    assert partly, "no kill hit the middle"


@pytest.mark.skipif(os.name == "nt", reason="moments are measured for Linux")
def test_after_a_kill_the_same_command_goes_on_and_one_undo_takes_back_both(here, tmp_path, model):
    data = make_images(tmp_path / "data", 60)
    before = state(data)
    child = start(tmp_path, f"tag(here, wish(Path({str(data)!r}), {str(model)!r}, batch=1))")
    deadline = time.monotonic() + 60
    while len(list(data.glob("*.txt"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    child.kill()
    child.wait()
    (data / ".0059.txt.leftover.tmp").write_text("not ours")
    there = len(list(data.glob("*.txt")))
    assert 5 <= there < 60
    result = tag(here, wish(data, model))
    assert result.written == 60 - there
    assert not [name for name in state(data) if name.startswith(".") and "leftover" not in name]
    (data / ".0059.txt.leftover.tmp").unlink()
    done = take_back(here)
    assert (done.removed, done.more) == (60, 0)
    assert state(data) == before


def test_a_file_written_aside_by_a_killed_tagging_goes_with_the_next_start(here, tmp_path, model):
    """Killed between the journal and the rename."""
    data = make_images(tmp_path / "data", 2)
    before = state(data)
    book = journal.Journal(here.tagger_journal, tagged=data, goes_on_with=None)
    aside = f".0000.txt.{book.token}.tmp"
    digest = hashlib.sha256(b"x\n").hexdigest()
    change = journal.Change(
        path=data / "0000.txt", aside=aside, before=None, mode=None, mtime_ns=None, after=digest
    )
    book.note([change])
    book.close()
    (data / aside).write_bytes(b"x\n")
    with (here.tagger_journal / f"{book.name}.jsonl").open("ab") as stream:
        stream.write(b'{"path": "cut')
    assert tag(here, wish(data, model)).written == 2
    assert not (data / aside).exists()
    take_back(here)
    assert state(data) == before


def test_two_at_once(here, tmp_path, model):
    data = make_images(tmp_path / "data", 1)
    with journal.turn(here), pytest.raises(LauncherError, match="Another window"):
        tag(here, wish(data, model))
    assert len(state(data)) == 1


def test_a_drive_that_refuses_is_told_and_taken_back(here, tmp_path, model, monkeypatch):
    data = make_images(tmp_path / "data", 6)
    before = state(data)
    from launcher.tagger import writer

    real, calls = writer.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(writer, "replace", full)
    with pytest.raises(LauncherError, match="cannot be written"):
        tag(here, wish(data, model, batch=2))
    assert len([name for name in state(data) if name.endswith(".txt")]) == 3
    assert not [name for name in state(data) if name.startswith(".")]
    monkeypatch.undo()
    assert take_back(here).removed == 3
    assert state(data) == before


# --- what lies in folders


def test_names_in_eight_scripts_links_and_damaged_images(here, tmp_path, model):
    data = make_images(tmp_path / "data", 1)
    picture = (data / "0000.png").read_bytes()
    for name in NAMES:
        (data / f"{name}.png").write_bytes(picture)
    (data / "cut.png").write_bytes(picture[: len(picture) // 2])
    (data / "text.jpg").write_text("no image")
    (data / "empty.webp").write_bytes(b"")
    (data / "-rf.jpg").write_bytes(picture)  # the same caption file as -rf.png
    (data / "0000.txt").mkdir()
    result = tag(here, wish(data, model))
    assert result.written == len(NAMES)
    why = {left.image.name: left.why for left in result.left}
    assert why == {
        "cut.png": BAD_IMAGE, "text.jpg": BAD_IMAGE, "empty.webp": BAD_IMAGE, "-rf.png": SHARED_NAME, "0000.png": NO_FILE,
    }  # fmt: skip
    assert all(left.detail for left in result.left if left.why == BAD_IMAGE)
    assert take_back(here).removed == len(NAMES)


def test_a_bomb_costs_no_memory(here, tmp_path, model):
    """A picture of one line, whose square would have 3.6 billion pixels."""
    from PIL import Image

    data = make_images(tmp_path / "data", 1)
    Image.new("1", (60_000, 1)).save(data / "line.png")
    Image.new("1", (20_000, 10_000)).save(data / "large.png")  # 200 million pixels in 25 kB
    result = tag(here, wish(data, model))
    assert result.written == 1
    assert {left.image.name: left.why for left in result.left} == {
        "line.png": BAD_IMAGE,
        "large.png": BAD_IMAGE,
    }


@pytest.mark.skipif(os.name == "nt", reason="links need rights there; names are always text")
def test_links_and_names_that_are_no_text(here, tmp_path, model):
    data = make_images(tmp_path / "data", 3)
    inner = make_images(data / "inner", 1)
    (inner / "loop").symlink_to(data, target_is_directory=True)
    (data / "self").symlink_to("self")
    secret = tmp_path / "elsewhere.txt"
    secret.write_text("not yours")
    (data / "0000.txt").symlink_to(secret)
    (data / "0001.txt").write_bytes(b"caf\xe9")
    (data / "0002.txt").write_bytes(b"x" * (2 << 20))
    (Path(os.fsdecode(os.fsencode(data) + b"/\xff.png"))).write_bytes((data / "0001.png").read_bytes())
    before = state(data)
    result = tag(here, wish(data, model, existing="append", is_recursive=True))
    assert result.written == 1
    assert {left.image.name.encode("utf-8", "replace"): left.why for left in result.left} == {
        b"0000.png": LINK, b"0001.png": NOT_TEXT, b"0002.png": TOO_LARGE, b"?.png": BAD_NAME
    }  # fmt: skip
    assert secret.read_text() == "not yours"
    take_back(here)
    assert state(data) == before


def test_a_folder_without_images(here, tmp_path, model):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="no images"):
        tag(here, wish(tmp_path / "data", model))


# --- models that do not work


def test_a_model_and_a_table_that_do_not_belong_together(here, tmp_path):
    data = make_images(tmp_path / "data", 1)
    with pytest.raises(work.TaggerError, match="does not work") as raised:
        tag(here, wish(data, make_table_model(tmp_path / "m", outputs=7)))
    assert "do not belong together" in raised.value.why
    assert len(state(data)) == 1


def test_a_model_that_is_none(here, tmp_path, model):
    data = make_images(tmp_path / "data", 1)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "selected_tags.csv").write_bytes((model / "selected_tags.csv").read_bytes())
    for content in (b"", b"<html>log in</html>", (model / "model.onnx").read_bytes()[:200]):
        (broken / "model.onnx").write_bytes(content)
        with pytest.raises(work.TaggerError) as raised:
            tag(here, wish(data, broken))
        assert "cannot be loaded" in raised.value.why


def test_a_model_with_a_fixed_batch(here, tmp_path, model):
    """Five images through a model that takes three at a time: the same tags."""
    data = make_images(tmp_path / "data", 5)
    tag(here, wish(data, model))
    wanted = state(data)
    take_back(here)
    result = tag(here, wish(data, make_table_model(tmp_path / "m", batch=3)))
    assert (result.ready.batch, state(data)) == (3, wanted)


def test_the_form_with_a_mapping(here, tmp_path):
    data = make_images(tmp_path / "data", 3)
    result = tag(here, wish(data, make_mapping_model(tmp_path / "m"), rating="last"))
    assert result.written == 3


def test_broken_packages_are_installed_anew(here, tmp_path, model):
    data = make_images(tmp_path / "data", 1)
    where = runtime(here)
    (where.packages / "onnxruntime").mkdir(parents=True)
    (where.packages / "onnxruntime" / "__init__.py").write_text("raise OSError('DLL load failed')")
    (where.packages / "ready.json").write_text("{}")
    with pytest.raises(work.TaggerError, match="packages") as raised:
        tag(here, wish(data, model))
    assert "DLL load failed" in raised.value.why
    assert not (where.packages / "ready.json").exists()


def test_the_journal_is_small_and_readable(here, tmp_path, model):
    data = make_images(tmp_path / "data", 2)
    name = tag(here, wish(data, model)).journal
    lines = (here.tagger_journal / f"{name}.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == [str(data / "0000.txt"), str(data / "0001.txt")]
    assert json.loads((here.tagger_journal / f"{name}.json").read_text())["status"] == "ended"
