import json
import os
import time

import pytest

from launcher.errors import RunError
from launcher.events import EventWriter, Status
from launcher.history import (
    RunState,
    Tally,
    chain,
    conclude,
    find_run,
    is_run_alive,
    list_runs,
    load_run,
    read_state,
    write_state,
)
from launcher.paths import RunPaths
from launcher.process import ProcessId

DEAD = ProcessId(pid=os.getpid(), started=1.0)  # our pid, worn by a process of 1970


@pytest.fixture
def make(paths):
    """Make a run folder by hand: `make("20260101-000000-x", status=..., events=[...])`."""

    def make(name, *, events=(), log="", **fields):
        run = RunPaths(folder=paths.runs / name)
        run.states.mkdir(parents=True)
        known = {"name": name[16:], "preset": "demo", "trainer": "standin", "created": time.time() - 3600}
        write_state(run, RunState(**{**known, **fields}))
        if events:
            writer = EventWriter(run.events)
            for kind, values in events:
                writer.write(kind, **values)
            writer.close()
        if log:
            run.log.write_text(log, encoding="utf-8")
        return run

    return make


def start_event(process):
    return ("start", {**process.to_json(), "resumed_step": 0})


def test_list_is_newest_first_and_skips_what_is_no_run(paths, make):
    for number in range(5):
        make(f"2026010{number + 1}-000000-x", status=Status.SUCCEEDED)
    (paths.runs / "20270101-000000-empty").mkdir()
    broken = make("20270101-000000-broken", status=Status.SUCCEEDED)
    broken.state_json.write_text("{")
    (paths.runs / "notes.txt").write_text("x")
    assert [record.id[:8] for record in list_runs(paths)] == [f"2026010{n}" for n in (5, 4, 3, 2, 1)]
    assert [record.id[:8] for record in list_runs(paths, limit=2)] == ["20260105", "20260104"]


def test_list_without_a_runs_folder(paths):
    assert list_runs(paths) == []


def test_a_list_of_finished_runs_opens_one_file_each(paths, make, monkeypatch):
    for number in range(5):
        make(f"2026010{number + 1}-000000-x", status=Status.SUCCEEDED, events=[("step", {"step": 1})])
    monkeypatch.setattr(Tally, "glance", lambda _run: pytest.fail("events of a finished run were read"))
    monkeypatch.setattr(ProcessId, "find", lambda _self: pytest.fail("a process was looked for"))
    assert len(list_runs(paths)) == 5


@pytest.mark.parametrize("garbage", ["[]", "null", "3", '"x"', "", "[" * 100_000, "\x00"])
def test_a_damaged_state_json_is_an_error_in_words(make, garbage):
    run = make("20260101-000000-x")
    run.state_json.write_text(garbage)
    with pytest.raises(RunError, match="damaged"):
        load_run(run.folder)


def test_single_senseless_values_do_not_hide_a_run(make):
    run = make("20260101-000000-x", status=Status.SUCCEEDED)
    value = json.loads(run.state_json.read_text())
    senseless = {
        "step": "many",
        "error": 3,
        "supervisor": {"pid": -1},
        "created": None,
        "total_steps": True,
        "name": "",
    }
    run.state_json.write_text(json.dumps({**value, **senseless}))
    record = load_run(run.folder)
    assert (record.step, record.error, record.total_steps, record.name) == (0, None, None, run.folder.name)


@pytest.mark.parametrize("moment", ["1e300", "1" + "0" * 400, "NaN", "Infinity", "-1e12"])
def test_a_time_that_no_clock_can_show_does_not_hide_the_history(make, moment):
    run = make("20260101-000000-x", status=Status.SUCCEEDED)
    value = {**json.loads(run.state_json.read_text()), "step": 10**400, "total_steps": -5}
    text = json.dumps({**value, "created": "MOMENT", "ended": "MOMENT"})
    run.state_json.write_text(text.replace('"MOMENT"', moment))
    record = load_run(run.folder)
    assert (record.created, record.ended, record.step, record.total_steps) == (0.0, None, 0, None)


def test_a_run_whose_continuation_was_deleted_can_be_continued_again(make, paths):
    make("20260101-000000-cat", status=Status.PAUSED, resumed_by="20260102-000000-cat")
    later = make("20260102-000000-cat", status=Status.SUCCEEDED)
    with pytest.raises(RunError, match="no run to go on with"):
        find_run(paths, None, resumable=True)
    later.state_json.unlink()
    assert find_run(paths, None, resumable=True).resumed_by is None


def test_state_json_round_trip(make):
    fields = {
        "status": Status.PAUSED, "supervisor": DEAD, "trainer_process": DEAD, "exit_code": 0, "step": 7, "total_steps": 10,
        "last_state": "states/step00000007", "last_save": "output/猫.safetensors", "error": {"error": "E", "message": "m"},
        "parent": "a", "resumed_by": "b", "ended": 12.5,
    }  # fmt: skip
    state = read_state(make("20260101-000000-猫", **fields))
    assert {name: getattr(state, name) for name in fields} == fields


# What is true now, whoever wrote last.


def test_a_live_process_means_running(make):
    own = ProcessId.of(os.getpid())
    by_supervisor = make("20260101-000000-a", status=Status.RUNNING, supervisor=own)
    by_shim = make("20260101-000000-b", status=Status.RUNNING, supervisor=DEAD, events=[start_event(own), ("step", {"step": 3})])  # fmt: skip
    for run in (by_supervisor, by_shim):
        assert load_run(run.folder).status is Status.RUNNING
        assert is_run_alive(run)
    assert load_run(by_shim.folder).step == 3


def test_a_pid_used_again_is_not_the_run(make):
    run = make("20260101-000000-x", status=Status.RUNNING, supervisor=DEAD, trainer_process=DEAD, events=[start_event(DEAD)])  # fmt: skip
    assert not is_run_alive(run)
    assert load_run(run.folder).status is Status.INTERRUPTED


@pytest.mark.parametrize("status", ["SUCCEEDED", "PAUSED", "CANCELLED", "FAILED"])
def test_the_last_event_is_believed_when_the_supervisor_is_dead(make, status):
    events = [start_event(DEAD), ("step", {"step": 9}), ("error", {"error": "E", "message": "why"}), ("end", {"status": status, "step": 9})]  # fmt: skip
    run = make("20260101-000000-x", status=Status.RUNNING, supervisor=DEAD, events=events)
    record = load_run(run.folder)
    assert (record.status.value, record.step) == (status, 9)
    assert record.error == ({"error": "E", "message": "why"} if status == "FAILED" else None)
    assert record.ended is not None


def test_a_new_run_is_pending_for_a_while_and_then_never_started(make):
    fresh = make("20260101-000000-a", created=time.time())
    stale = make("20260101-000000-b")
    assert load_run(fresh.folder).status is Status.PENDING
    assert load_run(stale.folder).status is Status.INTERRUPTED


def test_garbage_in_the_middle_of_the_events(make):
    run = make("20260101-000000-x", status=Status.RUNNING, supervisor=DEAD, events=[start_event(DEAD), ("step", {"step": 4})])  # fmt: skip
    with run.events.open("ab") as stream:
        stream.write(
            b'\x00\xff{"v":1,\n[]\n"x"\n{"t":1,"type":"step","step":"nine"}\n{"t":2,"type":"end","status":"HAPPY"}\n'
        )
        stream.write(b'{"t":3,"type":"state","step":5,"path":"states/step00000005"}\n{"t":4,"ty')
    record = load_run(run.folder)
    assert (record.status, record.step, record.last_state) == (Status.INTERRUPTED, 5, "states/step00000005")


def test_a_glance_costs_the_same_for_any_length(make):
    run = make("20260101-000000-x", status=Status.RUNNING, supervisor=DEAD, events=[start_event(DEAD)])
    line = json.dumps({"t": 1.0, "type": "step", "step": 5, "loss": 0.5}).encode() + b"\n"
    with run.events.open("ab") as stream:
        stream.write(line * 200_000)
        stream.write(b'{"t":2.0,"type":"step","step":200001}\n')
    glance = Tally.glance(run)
    assert glance.process == ProcessId(pid=DEAD.pid, started=DEAD.started)
    assert glance.step == 200001
    full = Tally()
    full.update(run)
    assert full.step == 200001


ACCELERATE = """Traceback (most recent call last):
  File "launch.py", line 1, in simple_launcher
subprocess.CalledProcessError: Command '['python', 'shim']' {how}.
"""
VERDICTS = {
    "killed": (ACCELERATE.format(how="died with <Signals.SIGKILL: 9>"), 1, True, Status.INTERRUPTED, "killed from outside"),
    "terminated": (ACCELERATE.format(how="died with <Signals.SIGTERM: 15>"), 1, True, Status.INTERRUPTED, "SIGTERM"),
    "crash": (ACCELERATE.format(how="died with <Signals.SIGSEGV: 11>"), 1, True, Status.FAILED, "crashed (SIGSEGV)"),
    "windows crash": (ACCELERATE.format(how="returned non-zero exit status 3221225477"), 1, True, Status.FAILED, "crashed"),
    "own error": ("x\nModuleNotFoundError: No module named 'torch'\n" + ACCELERATE.format(how="returned non-zero exit status 1"), 1, False, Status.FAILED, "No module named 'torch'"),
    "qualified error": ("torch.OutOfMemoryError: CUDA out of memory\n", 1, True, Status.FAILED, "CUDA out of memory"),
    "no words": ("can't open file 'shim'\n", 2, False, Status.FAILED, "can't open file"),
    "nothing trained": ("", 0, True, Status.FAILED, "without having trained"),
    "power cut": ("step 5\nValueError: shown long ago, and swallowed\n", None, True, Status.INTERRUPTED, "power cut"),
    "killed, no accelerate": ("", -9, True, Status.INTERRUPTED, "killed from outside (SIGKILL)"),
    "terminated, no accelerate": ("", -15, True, Status.INTERRUPTED, "ended from outside (SIGTERM)"),
    "crash, no accelerate": ("", -11, True, Status.FAILED, "crashed (SIGSEGV)"),
    "unknown signal": ("", -250, True, Status.INTERRUPTED, "ended from outside (signal 250)"),
    "own error, no accelerate": ("x\nModuleNotFoundError: No module named 'torch'\n", 1, False, Status.FAILED, "No module named 'torch'"),
}  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts_without_a_last_event(make, case):
    log, code, was_started, status, words = VERDICTS[case]
    run = make("20260101-000000-x", log=log, events=[start_event(DEAD)] if was_started else [])
    found, error = conclude(run, Tally.glance(run), code)
    assert found is status
    assert words in error["message"]


def test_a_stop_that_had_to_be_enforced_is_cancelled(make):
    run = make("20260101-000000-x", events=[start_event(DEAD)])
    run.pause.write_text("stop\n60\n")
    assert conclude(run, Tally.glance(run), -9) == (Status.CANCELLED, None)


def test_a_pause_that_never_came_is_an_interruption(make):
    run = make("20260101-000000-x", events=[start_event(DEAD)])
    run.pause.write_text("pause\n")
    assert conclude(run, Tally.glance(run), None)[0] is Status.INTERRUPTED


# Finding and chaining.


def test_find_by_nothing_id_prefix_name_and_folder(paths, make):
    old = make("20260101-000000-cat", status=Status.SUCCEEDED)
    new = make("20260202-000000-cat", status=Status.PAUSED)
    dog = make("20260301-000000-dog 訓練", status=Status.SUCCEEDED)
    assert find_run(paths, None).id == dog.folder.name
    assert find_run(paths, "20260101").id == old.folder.name
    assert find_run(paths, "cat").id == new.folder.name
    assert find_run(paths, "dog 訓練").id == dog.folder.name
    assert find_run(paths, old.folder.name).id == old.folder.name
    assert find_run(paths, str(dog.folder) + os.sep).id == dog.folder.name


def test_find_prefers_what_suits(paths, make):
    own = ProcessId.of(os.getpid())
    make("20260101-000000-cat", status=Status.RUNNING, supervisor=own)
    make("20260102-000000-cat", status=Status.PAUSED)
    make("20260103-000000-cat", status=Status.PAUSED, resumed_by="20260104-000000-cat")
    make("20260104-000000-cat", status=Status.SUCCEEDED)
    assert find_run(paths, None, live=True).id == "20260101-000000-cat"
    assert find_run(paths, "cat", live=True).id == "20260101-000000-cat"
    assert find_run(paths, None, resumable=True).id == "20260102-000000-cat"
    assert find_run(paths, "cat", resumable=True).id == "20260102-000000-cat"
    assert find_run(paths, "20260104", resumable=True).id == "20260104-000000-cat"  # named: returned as it is


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("cot", {}, "there is no run 'cot'"),
        ("../../etc", {}, "there is no run"),
        ("", {}, "there is no run"),
        ("2026", {}, "the beginning of several"),
        (None, {"live": True}, "no training is going on"),
        (None, {"resumable": True}, "no run to go on with"),
    ],
)
def test_what_cannot_be_found(paths, make, text, options, words):
    make("20260101-000000-cat", status=Status.SUCCEEDED)
    make("20260102-000000-dog", status=Status.SUCCEEDED)
    with pytest.raises(RunError, match=words):
        find_run(paths, text, **options)


def test_a_misspelt_run_gets_a_suggestion(paths, make):
    make("20260101-000000-watercolour", status=Status.SUCCEEDED)
    with pytest.raises(RunError) as error:
        find_run(paths, "watercolor")
    assert "did you mean watercolour?" in error.value.fix


def test_chain_is_nearest_first_and_survives_gaps_and_circles(paths, make):
    make("20260101-000000-x", status=Status.PAUSED, parent="20260103-000000-x")  # a circle, by hand
    make("20260102-000000-x", status=Status.PAUSED, parent="20260101-000000-x")
    make("20260103-000000-x", status=Status.PAUSED, parent="20260102-000000-x")
    last = make("20260104-000000-x", status=Status.PAUSED, parent="20260103-000000-x")
    orphan = make("20260105-000000-x", status=Status.PAUSED, parent="../../gone")
    assert [record.id[6:8] for record in chain(paths, load_run(last.folder))] == ["03", "02", "01"]
    assert chain(paths, load_run(orphan.folder)) == []
