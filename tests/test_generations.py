"""Environments beside each other: one is used, one is kept, one grows; what goes and what stays."""

import os
import sys

import pytest

from launcher.errors import InstallError
from launcher.install import generations, removal
from launcher.paths import Paths
from launcher.process import ProcessId, find_running_from, start, stop_tree, wait_until

NAME = "tiny"


def keep_nothing(_folder):
    return None


@pytest.fixture
def place(tmp_path):
    root = tmp_path / "a'; echo foo 訓練"
    return Paths(root=root, home=root, shipped=root)


def build(paths, plan):
    """A generation that is proved and made current."""
    number = generations.begin(paths, NAME, plan)
    (paths.generation(NAME, number) / "venv").mkdir(exist_ok=True)
    (paths.generation(NAME, number) / "venv" / "file").write_text(str(plan))
    generations.make_current(paths, NAME, number)
    return number


def test_the_first_one_becomes_current(place):
    assert place.generations(NAME) == ()
    number = build(place, {"set": "cpu"})
    assert place.generations(NAME) == (number,)
    assert place.trainer_venv(NAME) == place.generation(NAME, number) / "venv"
    assert generations.before(place, NAME) is None
    assert generations.growing(place, NAME) is None


def test_an_interrupted_one_is_continued_if_the_plan_is_the_same(place):
    first = generations.begin(place, NAME, {"set": "cpu"})
    (place.generation(NAME, first) / "half").touch()
    assert generations.begin(place, NAME, {"set": "cpu"}) == first
    assert (place.generation(NAME, first) / "half").exists()


def test_an_interrupted_one_of_another_plan_is_removed(place):
    first = generations.begin(place, NAME, {"set": "cpu"})
    (place.generation(NAME, first) / "half").touch()
    second = generations.begin(place, NAME, {"set": "cu121"})
    assert not (place.generation(NAME, second) / "half").exists()
    assert [entry.name for entry in place.trainer(NAME).iterdir()] == [second]


def test_the_used_one_is_not_touched_while_the_next_grows(place):
    first = build(place, {"set": "cpu"})
    generations.begin(place, NAME, {"set": "cu121"})
    assert place.generations(NAME) == (first,)
    assert (place.trainer_venv(NAME) / "file").read_text() == "{'set': 'cpu'}"


def test_rollback_and_back_again(place):
    first, second = build(place, {"n": 1}), build(place, {"n": 2})
    assert place.generations(NAME) == (second, first)
    assert generations.roll_back(place, NAME) == (first, second)
    assert place.trainer_venv(NAME).parent.name == first
    assert generations.roll_back(place, NAME) == (second, first)


def test_nothing_to_roll_back_to(place):
    with pytest.raises(InstallError, match="no earlier environment"):
        generations.roll_back(place, NAME)
    build(place, {"n": 1})
    with pytest.raises(InstallError, match="no earlier environment"):
        generations.roll_back(place, NAME)


def test_only_two_are_kept(place):
    numbers = [build(place, {"n": n}) for n in range(3)]
    assert generations.prune(place, NAME, keep_nothing) == []
    assert not place.generation(NAME, numbers[0]).exists()
    assert all(place.generation(NAME, number).exists() for number in numbers[1:])


def test_what_somebody_changed_stays(place):
    numbers = [build(place, {"n": n}) for n in range(3)]
    code = place.generation(NAME, numbers[0]) / "code"
    code.mkdir()
    (code / "train.py").write_text("mine")
    words = generations.prune(place, NAME, lambda folder: "mine" if folder.name == numbers[0] else None)
    assert len(words) == 1
    assert "mine" in words[0]
    assert (code / "train.py").read_text() == "mine"
    assert [part.name for part in code.parent.iterdir()] == ["code"]  # not the gigabytes beside it


def test_the_layout_of_the_first_version_goes_after_the_swap(place):
    (place.trainer(NAME) / "venv").mkdir(parents=True)
    (place.trainer(NAME) / "ready.json").touch()
    assert place.trainer_venv(NAME) == place.trainer(NAME) / "venv"
    generations.prune(place, NAME, keep_nothing)
    assert (place.trainer(NAME) / "venv").exists()  # nothing has taken its place yet
    number = build(place, {"n": 1})
    generations.prune(place, NAME, keep_nothing)
    assert sorted(entry.name for entry in place.trainer(NAME).iterdir()) == sorted([number, "current"])


def test_a_note_that_leads_elsewhere_is_not_followed(place):
    place.trainer(NAME).mkdir(parents=True)
    place.current_note(NAME).write_text("../../../home\n/etc\n")
    assert place.generations(NAME) == ()
    assert place.generation(NAME) == place.trainer(NAME)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_what_still_runs_stays(place):
    numbers = [build(place, {"n": n}) for n in range(3)]
    python = place.generation(NAME, numbers[0]) / "venv" / "python"
    python.symlink_to(sys.executable)
    child = start(
        [str(python), "-I", "-c", "import time; time.sleep(60)"],
        cwd=place.root,
        env={},
        log=place.root / "log",
    )
    try:
        assert wait_until(lambda: find_running_from(place.generation(NAME, numbers[0])), timeout_s=10)
        words = generations.prune(place, NAME, keep_nothing)
        assert "still runs" in words[0]
        assert python.exists()
    finally:
        stop_tree([ProcessId.of(child.pid)], terminate_s=1)
        child.wait()
    assert generations.prune(place, NAME, keep_nothing) == []
    assert not python.exists()


def test_uninstall_removes_what_was_made_and_nothing_else(place):
    build(place, {"n": 1})
    build(place, {"n": 2})
    folder = place.trainer(NAME)
    for name in ("install.jsonl", "choice.json", removal.LOCK):
        (folder / name).touch()
    for mine in (place.root / "runs", place.root / "user", place.cache, place.tokenizers):
        mine.mkdir()
        (mine / "file").write_bytes(b"12345")
    done = removal.uninstall(place, [NAME], with_shared=False, why_keep=keep_nothing)
    assert removal.close(folder) is None
    assert not folder.exists()
    assert done.kept == ()
    assert done.freed_bytes == 2 * len("{'n': 1}") + len("2\n1\n")  # the note which is current
    assert (place.cache / "file").exists()

    removal.uninstall(place, [NAME], with_shared=True, why_keep=keep_nothing)
    assert not place.cache.exists()
    assert not place.tokenizers.exists()
    assert (place.root / "runs" / "file").exists()
    assert (place.root / "user" / "file").exists()


def test_uninstall_names_what_it_did_not_make(place):
    build(place, {"n": 1})
    mine = place.trainer(NAME) / "my notes.txt"
    mine.write_text("x")
    removal.uninstall(place, [NAME], with_shared=False, why_keep=keep_nothing)
    assert "my notes.txt" in removal.close(place.trainer(NAME))
    assert mine.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_is_cut_and_what_it_leads_to_is_left(place, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    place.trainer(NAME).mkdir(parents=True)
    (place.trainer(NAME) / "venv").symlink_to(elsewhere, target_is_directory=True)
    removal.uninstall(place, [NAME], with_shared=False, why_keep=keep_nothing)
    assert not (place.trainer(NAME) / "venv").is_symlink()
    assert (elsewhere / "file").exists()


@pytest.mark.skipif(os.name == "nt", reason="hard links counted on POSIX here")
def test_freed_bytes_count_links_by_their_share(tmp_path):
    first = tmp_path / "a" / "file"
    first.parent.mkdir()
    first.write_bytes(b"x" * 1000)
    (tmp_path / "b").mkdir()
    os.link(first, tmp_path / "b" / "file")
    assert removal.size_of(tmp_path / "a") == 500
    assert removal.size_of(tmp_path) == 1000
