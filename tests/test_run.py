"""Starting, pausing, stopping and killing real process trees. Each test costs some seconds of importing torch."""

import json
import os
import shutil
import signal
import threading

import pytest

from launcher import states
from launcher.errors import LauncherError, RunError
from launcher.events import Status
from launcher.history import is_run_alive, load_run, read_state
from launcher.paths import RunPaths
from launcher.process import ProcessId, find_by_arguments, wait_until
from launcher.run import create_run, request_pause, request_stop, start_run, supervise
from launcher.run.supervisor import STOP_GRACE_S, stop_grace_s

pytestmark = pytest.mark.training
LONG_WAY = "launcher.launch=accelerate"


@pytest.fixture
def slow(monkeypatch):
    """Steps slow enough to be interrupted where a test wants it."""
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "0.25")


def test_a_run_from_start_to_end(standin):
    run = standin.launch()
    record = standin.wait_for_end(run)
    assert record.status is Status.SUCCEEDED, run.log.read_text()
    assert (record.step, record.total_steps, record.last_state) == (10, 10, "states/step00000010")
    state = read_state(run)
    assert state.exit_code == 0
    assert state.last_save == "output/style 訓練.safetensors"
    assert state.ended >= state.created
    assert not is_run_alive(run)
    samples = [json.loads(line) for line in run.gpu.read_text().splitlines()]
    # The first may see an interpreter that has only just begun; torch, which the training imports, takes far more.
    assert max(sample["ram_mib"] for sample in samples) > 50
    assert samples[0]["disk_free_mib"] > 0
    assert json.loads(run.plan.read_text(encoding="utf-8"))["name"] == "style 訓練"


def test_runs_of_the_same_second_have_folders_of_their_own(standin):
    plan = standin.plan()
    runs = {create_run(standin.paths, plan).folder for _ in range(5)}
    assert len(runs) == 5


def test_a_disk_without_room_leaves_no_half_run(standin, monkeypatch):
    from launcher.run import folder

    def no_room(_run, _state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_state", no_room)
    with pytest.raises(RunError, match="cannot be made") as error:
        create_run(standin.paths, standin.plan())
    assert error.value.why == "No space left on device"
    assert list(standin.paths.runs.iterdir()) == []


def test_a_run_starts_only_once(standin, slow):
    run = standin.launch()
    with pytest.raises(RunError, match="was started before"):
        start_run(standin.paths, run)
    with pytest.raises(LauncherError, match="in use by another launcher"):
        supervise(standin.paths, run)
    request_stop(run)
    standin.wait_for_end(run)
    with pytest.raises(RunError, match="was started before"):
        supervise(standin.paths, run)


def test_of_two_launchers_at_once_one_wins(standin, slow):
    run = create_run(standin.paths, standin.plan())
    outcomes = []

    def launch():
        try:
            outcomes.append(start_run(standin.paths, run))
        except RunError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=launch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    supervisor = read_state(run).supervisor
    assert supervisor.is_alive
    assert [outcome for outcome in outcomes if not isinstance(outcome, RunError)] == [supervisor]
    standin.wait_for(run, "start")
    assert len(standin.events(run, "start")) == 1
    request_stop(run)
    standin.wait_for_end(run)


def test_pause_saves_a_state_and_leaves(standin, slow):
    run = standin.launch()
    step = standin.wait_for(run, "step")["step"]
    request_pause(run)
    record = standin.wait_for_end(run)
    assert record.status is Status.PAUSED
    assert step <= record.step < 10
    assert states.state_step(states.list_states(run)[0]) == record.step
    assert states.verify_state(states.list_states(run)[0]) is None
    assert record.error is None


def test_pause_before_the_first_step(standin, monkeypatch):
    monkeypatch.setenv("STANDIN_CACHE_SECONDS", "20")
    run = standin.launch()
    standin.wait_for(run, "progress")
    request_pause(run)
    record = standin.wait_for_end(run)
    assert (record.status, record.step, states.list_states(run)) == (Status.PAUSED, 0, [])


def test_a_stop_that_is_not_obeyed_is_enforced(standin, monkeypatch):
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "600")
    run = standin.launch()
    standin.wait_for(run, "phase")
    request_stop(run, grace_s=1)
    record = standin.wait_for_end(run, timeout_s=60)
    assert record.status is Status.CANCELLED
    assert not is_run_alive(run)


def test_a_stop_without_a_supervisor(standin, monkeypatch):
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "600")
    run = standin.launch()
    process = ProcessId.from_json(standin.wait_for(run, "start"))
    standin.kill(read_state(run).supervisor)
    request_stop(run, grace_s=1)  # returns when it is over
    assert not process.is_alive
    assert load_run(run.folder).status is Status.CANCELLED


def test_the_training_outlives_its_supervisor(standin, slow):
    run = standin.launch()
    standin.wait_for(run, "step")
    standin.kill(read_state(run).supervisor)
    assert load_run(run.folder).status is Status.RUNNING
    record = standin.wait_for_end(run)
    assert (record.status, record.step) == (Status.SUCCEEDED, 10)
    assert (
        read_state(run).status is Status.RUNNING
    )  # what the dead supervisor last wrote; history knows better


def test_one_process_is_started_without_accelerate(standin, slow):
    run = standin.launch()
    process = ProcessId.from_json(standin.wait_for(run, "start"))
    assert read_state(run).trainer_process == process
    assert find_by_arguments("--run", str(run.folder)) == [process]
    request_stop(run)
    assert standin.wait_for_end(run).status is Status.CANCELLED


def test_the_long_way_ends_the_same(standin):
    runs = [standin.launch(f"launcher.launch={way}", name=way) for way in ("direct", "accelerate")]
    assert [standin.wait_for_end(run).status for run in runs] == [Status.SUCCEEDED] * 2
    losses = [[event["loss"] for event in standin.events(run, "step")] for run in runs]
    assert losses[0] == losses[1]


def test_the_training_outlives_accelerate(standin, slow):
    run = standin.launch(LONG_WAY)
    process = ProcessId.from_json(standin.wait_for(run, "start"))
    standin.wait_for(run, "step")
    standin.kill(read_state(run).trainer_process)
    assert process.is_alive
    assert load_run(run.folder).status is Status.RUNNING
    record = standin.wait_for_end(run)
    assert (record.status, record.step) == (Status.SUCCEEDED, 10)


def test_accelerate_dies_before_the_training_has_said_a_word(standin):
    run = standin.launch(LONG_WAY)
    assert wait_until(lambda: read_state(run).trainer_process is not None, timeout_s=30)
    launcher = read_state(run).trainer_process
    others = {launcher.pid, read_state(run).supervisor.pid}
    assert wait_until(
        lambda: {process.pid for process in find_by_arguments("--run", str(run.folder))} - others,
        timeout_s=60,
        poll_s=0.01,
    )
    standin.kill(launcher)
    assert standin.wait_for_end(run).status is Status.SUCCEEDED


@pytest.mark.parametrize("way", ["direct", "accelerate"])
@pytest.mark.parametrize("who", ["trainer", "all"])
def test_a_killed_training_is_interrupted(standin, slow, who, way):
    run = standin.launch(f"launcher.launch={way}")
    process = ProcessId.from_json(standin.wait_for(run, "start"))
    standin.wait_for(run, "state")
    state = read_state(run)
    victims = [process] if who == "trainer" else [state.supervisor, state.trainer_process, process]
    for victim in victims:
        standin.kill(victim)
    record = standin.wait_for_end(run, timeout_s=30)
    assert record.status is Status.INTERRUPTED
    assert "killed from outside" in record.error["message"]
    assert record.step >= 4
    assert record.last_state == "states/step00000004"


def test_an_error_of_the_trainer_is_a_failure_with_its_words(standin, monkeypatch):
    monkeypatch.setenv("STANDIN_ACT", "3:raise")
    record = standin.wait_for_end(standin.launch())
    assert record.status is Status.FAILED
    assert record.error == {"error": "ValueError", "message": "the batch of this step is broken"}


def test_a_training_that_cannot_start_says_why(standin):
    standin.paths.trainer_venv("standin").unlink()
    record = standin.wait_for_end(standin.launch())
    assert record.status is Status.FAILED
    assert "cannot be started" in record.error["message"]


def test_a_broken_environment_says_why(standin, training_python, tmp_path):
    import venv

    standin.paths.trainer_venv("standin").unlink()
    venv.create(standin.paths.trainer_venv("standin"), symlinks=True)  # without accelerate
    record = standin.wait_for_end(standin.launch())
    assert record.status is Status.FAILED
    assert "No module named" in record.error["message"]


def test_a_damaged_plan_is_a_failure_in_words(standin):
    run = create_run(standin.paths, standin.plan())
    run.plan.write_text("{")
    start_run(standin.paths, run)
    record = standin.wait_for_end(run)
    assert record.status is Status.FAILED
    assert "plan.json is damaged" in record.error["message"]


def test_a_run_folder_deleted_under_a_running_training(standin, slow):
    run = standin.launch()
    process = ProcessId.from_json(standin.wait_for(run, "start"))
    standin.wait_for(run, "step")
    supervisor = read_state(run).supervisor
    while run.folder.exists():  # files are born meanwhile
        shutil.rmtree(run.folder, ignore_errors=True)
    assert wait_until(lambda: not process.is_alive and not supervisor.is_alive, timeout_s=60)
    with pytest.raises(RunError, match="not a run folder"):
        load_run(run.folder)
    assert not is_run_alive(run)


def test_requests_to_a_run_that_is_over(standin, monkeypatch):
    monkeypatch.setenv("STANDIN_ACT", "1:raise")
    run = standin.launch()
    standin.wait_for_end(run)
    for request in (request_pause, request_stop):
        with pytest.raises(RunError, match="is not running"):
            request(run)
    assert not run.pause.exists()


def test_a_request_to_something_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        request_pause(RunPaths(folder=tmp_path))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals to close on this system")
def test_closing_the_terminal_does_not_end_the_training(standin, slow):
    run = standin.launch()
    standin.wait_for(run, "start")
    state = read_state(run)
    sessions = {os.getsid(0), os.getsid(state.supervisor.pid), os.getsid(state.trainer_process.pid)}
    assert len(sessions) == 3
    assert standin.wait_for_end(run).status is Status.SUCCEEDED


@pytest.mark.parametrize("text", ["stop", "stop\nsoon", "stop\nnan", "stop\ninf", ""])
def test_a_damaged_request_to_stop_has_the_usual_grace(tmp_path, text):
    run = RunPaths(folder=tmp_path)
    run.pause.write_text(text, encoding="utf-8")
    assert stop_grace_s(run) == STOP_GRACE_S
    run.pause.write_text("stop\n7", encoding="utf-8")
    assert stop_grace_s(run) == 7
