"""Going on: from the newest good state, of any run in the chain, once."""

import os
import shutil
import threading

import pytest

from launcher import states
from launcher.errors import RunError
from launcher.events import Status
from launcher.history import RunState, chain, load_run, read_state, write_state
from launcher.paths import RunPaths
from launcher.process import ProcessId
from launcher.resume import find_resume_point, resume_plan, resume_run
from launcher.run import create_run, request_pause
from launcher.states import KEPT_STATES, list_states

training = pytest.mark.training
DEAD = ProcessId(pid=os.getpid(), started=1.0)


@pytest.fixture
def make(paths):
    """Run folders by hand, with states of some steps."""

    def make(name, steps=(), **fields):
        run = RunPaths(folder=paths.runs / name)
        run.states.mkdir(parents=True)
        known = {
            "name": "x",
            "preset": "demo",
            "trainer": "standin",
            "created": 1.0,
            "status": Status.INTERRUPTED,
        }
        write_state(run, RunState(**{**known, **fields}))
        for step in steps:
            part = states.aside(run.states, states.state_name(step))
            part.mkdir()
            (part / "train_state.json").write_text(f'{{"current_step": {step}, "current_epoch": 1}}')
            (part / "optimizer.bin").write_bytes(os.urandom(1000))
            states.publish_state(part, run.states, extra={})
        return run

    return make


def point_of(paths, run):
    return find_resume_point(paths, load_run(run.folder))


def test_the_newest_state_of_the_run(paths, make):
    run = make("20260101-000000-x", steps=(2, 4, 6))
    point = point_of(paths, run)
    assert (point.state, point.step, point.run_id, point.rejected) == (
        run.states / "step00000006",
        6,
        run.folder.name,
        (),
    )


def test_damaged_ones_are_passed_over_with_their_reasons(paths, make):
    run = make("20260101-000000-x", steps=(2, 4, 6))
    os.truncate(run.states / "step00000006" / "optimizer.bin", 10)
    (run.states / "step00000004" / "manifest.json").unlink()
    point = point_of(paths, run)
    assert point.step == 2
    assert [(path.name, reason) for path, reason in point.rejected] == [
        ("step00000006", "optimizer.bin has 10 of 1000 bytes"),
        ("step00000004", "manifest.json cannot be read: No such file or directory"),
    ]


def test_a_run_without_own_states_goes_back_to_those_it_continues(paths, make):
    first = make("20260101-000000-x", steps=(2, 4))
    make("20260102-000000-x", steps=(6,), parent="20260101-000000-x")
    third = make("20260103-000000-x", parent="20260102-000000-x")
    os.truncate(paths.runs / "20260102-000000-x" / "states" / "step00000006" / "optimizer.bin", 10)
    point = point_of(paths, third)
    assert (point.step, point.run_id) == (4, first.folder.name)
    assert len(point.rejected) == 1


def test_of_two_states_of_a_step_the_younger_runs_is_taken(paths, make):
    make("20260101-000000-x", steps=(4,))
    second = make("20260102-000000-x", steps=(4,), parent="20260101-000000-x")
    assert point_of(paths, second).run_id == second.folder.name


def test_without_any_good_state_it_starts_again(paths, make):
    run = make("20260101-000000-x", steps=(2,))
    shutil.rmtree(run.states / "step00000002")
    (run.states / "step00000003").mkdir()
    point = point_of(paths, run)
    assert (point.state, point.step) == (None, 0)
    assert "manifest.json cannot be read" in point.rejected[0][1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": Status.SUCCEEDED}, "is finished"),
        ({"status": Status.RUNNING, "supervisor": "own"}, "is going on"),
        ({"resumed_by": "20260102-000000-x"}, "was already continued by 20260102-000000-x"),
    ],
)
def test_what_cannot_be_continued(paths, make, fields, words):
    if fields.get("supervisor"):
        fields = {**fields, "supervisor": ProcessId.of(os.getpid())}
    make("20260102-000000-x")
    run = make("20260101-000000-x", steps=(2,), **fields)
    for attempt in (resume_plan, resume_run):
        with pytest.raises(RunError, match=words):
            attempt(paths, load_run(run.folder))


def test_a_run_whose_successor_was_deleted_can_be_continued(standin):
    run = create_run(standin.paths, standin.plan())
    write_state(
        run, RunState(name="x", preset="p", trainer="t", created=1.0, status=Status.PAUSED, resumed_by="gone")
    )
    assert resume_plan(standin.paths, load_run(run.folder)).parent == run.folder.name


def test_a_damaged_plan_cannot_be_continued(paths, make):
    run = make("20260101-000000-x", steps=(2,))
    for content in (None, b"{", b"[]", b"\xff"):
        if content is not None:
            run.plan.write_bytes(content)
        with pytest.raises(RunError, match="cannot be continued"):
            resume_plan(paths, load_run(run.folder))


def test_the_plan_differs_in_parent_and_state_only(standin, make):
    from dataclasses import fields

    plan = standin.plan()
    run = create_run(standin.paths, plan)
    write_state(
        run,
        RunState(name=plan.name, preset="demo", trainer="standin", created=1.0, status=Status.INTERRUPTED),
    )
    fresh = resume_plan(standin.paths, load_run(run.folder))
    state = standin.paths.runs / "somewhere" / "step00000004"
    from launcher.resume import ResumePoint

    point = ResumePoint(state=state, step=4, run_id=run.folder.name, rejected=())
    again = resume_plan(standin.paths, load_run(run.folder), point)
    assert fresh.argv == plan.argv
    assert again.argv == (*plan.argv, "--resume", str(state), "--skip_until_initial_step")
    for other in (fresh, again):
        changed = {
            field.name for field in fields(plan) if getattr(other, field.name) != getattr(plan, field.name)
        }
        assert changed <= {"parent", "resume_state", "argv"}
    second = create_run(standin.paths, again)
    write_state(
        second,
        RunState(name=plan.name, preset="demo", trainer="standin", created=1.0, status=Status.INTERRUPTED),
    )
    assert resume_plan(standin.paths, load_run(second.folder)).argv.count("--resume") == 0  # never two


def test_leftovers_of_killed_writers_are_gone_after_a_claim(standin, make):
    plan = standin.plan()
    run = create_run(standin.paths, plan)
    write_state(
        run,
        RunState(name=plan.name, preset="demo", trainer="standin", created=1.0, status=Status.INTERRUPTED),
    )
    left = [folder / f".tmp-{DEAD.pid}-1000-x" for folder in (run.states, run.output)]
    for path in left:
        path.mkdir()
    resume_run(standin.paths, load_run(run.folder))
    assert not any(path.exists() for path in left)


# With real processes.


def control_lora(standin, *settings):
    """The LoRA of a training that nobody interrupted."""
    run = standin.launch(*settings, name="control")
    record = standin.wait_for_end(run)
    assert record.status is Status.SUCCEEDED, run.log.read_text()
    return (run.output / "control.safetensors").read_bytes()


@training
def test_three_interruptions_end_with_the_same_weights(standin, monkeypatch):
    control = control_lora(standin)
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "0.1")
    run = standin.launch(name="control")
    for deed in ("pause", "kill", "kill all"):
        standin.wait_for(run, "step")
        if deed == "pause":
            request_pause(run)
        else:
            process = ProcessId.from_json(standin.wait_for(run, "start"))
            state = read_state(run)
            for victim in [
                process,
                *([state.supervisor, state.trainer_process] if deed == "kill all" else []),
            ]:
                standin.kill(victim)
        record = standin.wait_for_end(run)
        assert record.status.is_resumable, record
        before = {
            path: path.read_bytes()
            for path in run.folder.rglob("*")
            if path.is_file() and path.name != "state.json"
        }
        _, run = resume_run(standin.paths, record)
        assert {path: path.read_bytes() for path in before} == before  # earlier outputs are never touched
    record = standin.wait_for_end(run)
    assert record.status is Status.SUCCEEDED, run.log.read_text()
    assert (run.output / "control.safetensors").read_bytes() == control
    links = [record, *chain(standin.paths, record)]
    assert len(links) == 4
    kept = [state for link in links for state in list_states(RunPaths(folder=link.folder))]
    assert 1 <= len(kept) <= KEPT_STATES, "they count over all of them"
    steps = [event["step"] for event in standin.events(run, "step")]
    start = standin.events(run, "start")[0]["resumed_step"]
    assert steps == list(range(start + 1, 11))  # absolute steps


@training
def test_a_state_at_the_last_step_only_writes_the_lora(standin, monkeypatch):
    control = control_lora(standin)
    run = standin.launch(name="control")
    standin.wait_for_end(run)
    (
        run.output / "control.safetensors"
    ).unlink()  # as if it had been killed between the last state and the LoRA
    write_state(
        run,
        RunState(name="control", preset="demo", trainer="standin", created=1.0, status=Status.INTERRUPTED),
    )
    point, again = resume_run(standin.paths, load_run(run.folder))
    assert point.step == 10
    assert standin.wait_for_end(again).status is Status.SUCCEEDED
    assert standin.events(again, "step") == []
    assert (again.output / "control.safetensors").read_bytes() == control


@training
def test_of_concurrent_resumes_one_wins(standin, monkeypatch):
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "0.2")
    run = standin.launch()
    standin.wait_for(run, "step")
    request_pause(run)
    record = standin.wait_for_end(run)
    outcomes = []

    def attempt():
        try:
            outcomes.append(resume_run(standin.paths, record)[1])
        except RunError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, RunPaths)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, RunError)]
    assert len(errors) == 3
    assert all("was already continued by" in error.what for error in errors)
    assert load_run(run.folder).resumed_by == winner.folder.name
    assert len(list(standin.paths.runs.iterdir())) == 2
    assert standin.wait_for_end(winner).status is Status.SUCCEEDED
