"""Programs started, watched and stopped for real."""

import sys
import time

import psutil
import pytest

from launcher import process
from launcher.errors import LauncherError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
TREE = [
    sys.executable, "-c",
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)'], stdout=subprocess.PIPE, start_new_session=True)\n"
    "child.stdout.readline()\nprint(child.pid, flush=True)\ntime.sleep(60)",
]  # fmt: skip


def test_run_gives_code_and_both_streams():
    code = "import sys; print('út'); print('err', file=sys.stderr); sys.exit(3)"
    seen = []
    done = process.run([sys.executable, "-c", code], on_line=seen.append)
    assert done.code == 3
    assert sorted(done.output.split()) == ["err", "út"]
    assert sorted(seen) == ["err", "út"]


def test_run_stops_what_takes_too_long():
    before = time.monotonic()
    with pytest.raises(LauncherError, match="did not end within 1 s"):
        process.run(SLEEP, timeout_s=1)
    assert time.monotonic() - before < 30


def test_run_says_what_cannot_be_started():
    with pytest.raises(LauncherError, match="cannot be started"):
        process.run(["/no/such/program"])


def test_arguments_reach_the_program_unchanged():
    hostile = ["a'; echo foo", '"', "訓練 データ", "$HOME", "*", ""]
    done = process.run([sys.executable, "-c", "import sys; print(sys.argv[1:])", *hostile])
    assert done.output.strip() == repr(hostile)


def test_process_id_is_not_fooled_by_a_used_again_pid(tmp_path):
    child = process.start(SLEEP, cwd=tmp_path, env={}, log=tmp_path / "log")
    try:
        identity = process.ProcessId.of(child.pid)
        assert identity.is_alive
        assert process.ProcessId.from_json(identity.to_json()).is_alive
        other = process.ProcessId(pid=child.pid, started=identity.started - 3600)
        assert not other.is_alive
    finally:
        child.kill()
        child.wait()
    assert not identity.is_alive


@pytest.mark.parametrize("value", [None, 7, {}, {"pid": "x", "started": 1}, {"pid": -1, "started": 1}])
def test_process_id_from_garbage_is_none(value):
    assert process.ProcessId.from_json(value) is None


def test_stop_tree_ends_children_that_ignore_the_polite_signal_in_their_own_session(tmp_path):
    log = tmp_path / "log"
    parent = process.start(TREE, cwd=tmp_path, env={}, log=log)
    assert process.wait_until(lambda: log.stat().st_size > 0, timeout_s=30)
    grandchild = int(log.read_text())
    assert process.stop_tree([process.ProcessId.of(parent.pid)], terminate_s=1)
    parent.wait()
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
