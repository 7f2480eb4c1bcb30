"""Atomic writes, locks and tails, with real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher import files
from launcher.errors import InputError, LauncherError

ROOT = Path(__file__).resolve().parent.parent


def test_write_atomic_replaces_whole_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "訓練 データ.json"
    files.write_atomic(path, "one")
    files.write_atomic(path, "two")
    assert path.read_text(encoding="utf-8") == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_no_leftover(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    files.write_atomic(path, "old")

    def no_space(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writer_killed_at_any_moment_never_leaves_half_a_file(tmp_path):
    path = tmp_path / "state.json"
    code = "import sys\nfrom pathlib import Path\nfrom launcher.files import write_json\nn = 0\nwhile True:\n    n += 1\n    write_json(Path(sys.argv[1]), {'n': n, 'pad': 'x' * 20000})\n"
    for pause in (0.15, 0.21, 0.33):
        child = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(pause)
        child.kill()
        child.wait()
        assert len(files.read_json(path)["pad"]) == 20000


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"{", "damaged"), (b"\xff\xfe{", "damaged"), (b"[" * 100_000, "damaged")],
)
def test_read_json_says_what_is_wrong(tmp_path, raw, words):
    path = tmp_path / "plan.json"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=words):
        files.read_json(path)


def test_read_json_of_nothing(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        files.read_json(tmp_path / "none.json")


def test_lock_excludes_another_process_and_ends_with_its_death(tmp_path):
    path = tmp_path / "lock"
    code = "import sys, time\nfrom pathlib import Path\nfrom launcher.files import lock\nwith lock(Path(sys.argv[1]), timeout_s=5, busy='b'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline().strip() == "held"
        with (
            pytest.raises(LauncherError, match="somebody else"),
            files.lock(path, timeout_s=0.3, busy="somebody else"),
        ):
            pass
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    with files.lock(path, timeout_s=5, busy="still held after its owner's death"):
        pass


@given(
    st.lists(st.binary(max_size=30).filter(lambda raw: b"\n" not in raw), max_size=8),
    st.binary(max_size=10).filter(lambda raw: b"\n" not in raw),
)
def test_read_lines_gives_complete_lines_and_goes_on_where_it_stopped(tmp_path_factory, lines, unfinished):
    path = tmp_path_factory.mktemp("lines") / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + unfinished)
    seen = list(files.read_lines(path))
    assert [line for line, _ in seen] == [line + b"\n" for line in lines]
    offset = seen[-1][1] if seen else 0
    with path.open("ab") as stream:
        stream.write(b"!\n")
    assert [line for line, _ in files.read_lines(path, offset)] == [unfinished + b"!\n"]
