"""A training that waits: the shim's side of it, and once the whole way through supervisor, guard, accelerate and shim."""

import os
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from launcher.errors import LauncherError
from launcher.events import Status, read_events
from launcher.history import RunState, load_run, read_state, write_state
from launcher.paths import RunPaths
from launcher.resume import resume_run
from launcher.run import create_run, supervise
from launcher.run.supervisor import Supervisor
from launcher.shim import holding
from launcher.shim.crew import Crew
from launcher.shim.pace import Pace
from launcher.shim.phases import Phases
from launcher.shim.reporter import Reporter


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "POLL_S", 0.01)
    monkeypatch.setattr(holding, "EXPIRES_S", 0.3)
    run = RunPaths(folder=tmp_path / "訓練 1")
    run.folder.mkdir()
    return run


class Asked:
    """`Holding.ask` beside somebody who changes the files meanwhile."""

    def __init__(self, run):
        self.run = run
        self.waits = []
        self.holding = holding.Holding(run, Reporter(run.events), Crew(), self.waits.append)

    def ask(self, *, after=None, do=None):
        timer = threading.Timer(after or 0, do or (lambda: None))
        timer.start()
        try:
            return self.holding.ask(7)
        finally:
            timer.join()

    def events(self):
        return [event for event, _ in read_events(self.run.events)]


def test_nothing_asked_costs_nothing(run):
    asked = Asked(run)
    assert asked.ask() is None
    assert (asked.waits, run.events.exists()) == ([], False)


def test_it_waits_while_the_file_is_kept_fresh_and_goes_on_when_it_is_gone(run):
    run.hold.write_text("too-hot\nThe card is hot.\n", encoding="utf-8")
    touching = threading.Event()

    def keep_fresh():
        stamp = time.time()
        while not touching.wait(0.05):
            stamp += 1
            os.utime(run.hold, (stamp, stamp))
        run.hold.unlink()

    keeper = threading.Thread(target=keep_fresh)
    keeper.start()
    asked = Asked(run)
    assert asked.ask(after=0.8, do=touching.set) is None
    keeper.join()
    assert asked.waits[0] > 0.7, "longer than a file lives that nobody touches"
    begin, end = asked.events()
    assert (begin["type"], begin["state"], begin["reason"], begin["step"]) == ("hold", "begin", "too-hot", 7)
    assert (end["state"], "expired" in end) == ("end", False)


def test_a_hold_without_a_supervisor_does_not_hang_the_training(run):
    run.hold.write_text("too-hot\n", encoding="utf-8")
    asked = Asked(run)
    began = time.monotonic()
    assert asked.ask() is None
    assert 0.2 < time.monotonic() - began < 30
    assert asked.events()[1]["expired"] is True
    assert "supervisor is gone" in asked.events()[2]["message"]
    assert asked.ask() is None
    assert len(asked.waits) == 1, "not again for the same stale file"


@pytest.mark.parametrize(("text", "status"), [("pause\n", Status.PAUSED), ("stop\n5\n", Status.CANCELLED)])
def test_who_waits_still_hears_pause_and_stop(run, monkeypatch, text, status):
    monkeypatch.setattr(holding, "EXPIRES_S", 60.0)
    run.hold.write_text("too-hot\n", encoding="utf-8")
    asked = Asked(run)
    assert asked.ask(after=0.1, do=lambda: run.pause.write_text(text, encoding="utf-8")) is status
    assert asked.events()[1].get("expired") is None


def test_time_spent_waiting_is_no_steps_and_no_phases(tmp_path):
    pace, phases = Pace(), Phases(Reporter(tmp_path / "events.jsonl"))
    with phases.phase("train_loop"):
        pace.begin_step()
        pace.exclude(1000.0)
        phases.exclude(1000.0)
        assert pace.end_step()[2] < -900
    assert [event for event, _ in read_events(tmp_path / "events.jsonl")][1]["seconds"] < -900


# --- the whole way: a real training, a made-up driver and a made-up disk


class Driver:
    """As much of NVML as the sampler asks for, and one card whose temperature the test sets."""

    NVMLError = RuntimeError
    NVML_TEMPERATURE_GPU = NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 0

    def __init__(self):
        self.celsius = 60

    def nvmlDeviceGetCount(self):  # noqa: N802  (NVML's names)
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetTemperature(self, _handle, _sensor):  # noqa: N802
        return self.celsius

    def __getattr__(self, name):
        def unknown(*_):
            raise RuntimeError(f"{name} is not supported")

        return unknown


@pytest.fixture
def supervised(standin, monkeypatch):
    """Runs whose supervisor lives in this process, where driver, disk and clock are the test's."""
    driver, free = Driver(), {"mib": 50_000}
    began = time.time()
    monkeypatch.setattr("launcher.run.sampler._open_nvml", lambda: driver)
    monkeypatch.setattr("launcher.run.sampler.time", SimpleNamespace(time=lambda: began + 20 * (time.time() - began)))  # fmt: skip
    monkeypatch.setattr("launcher.run.surroundings.free_mib", lambda _folder: free["mib"])
    monkeypatch.setattr("launcher.run.supervisor.SAMPLE_S", 0.1)
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "0.2")

    def launch(*settings, name):
        run = create_run(standin.paths, standin.plan("max_train_steps=16", *settings, name=name))
        thread = threading.Thread(target=supervise, args=(standin.paths, run))
        thread.start()
        return run, thread

    yield SimpleNamespace(launch=launch, driver=driver, free=free, standin=standin)
    for path in standin.paths.runs.glob(
        "*/state.json"
    ):  # the stand-in's clean-up ends supervisors, and this one is pytest
        run = RunPaths(folder=path.parent)
        state = read_state(run)
        if state.supervisor and state.supervisor.pid == os.getpid():
            write_state(run, replace(state, supervisor=None))


def kinds(run):
    return [(event["kind"], event["state"]) for event, _ in read_events(run.warnings)]


@pytest.mark.training
def test_a_hot_card_waits_and_a_full_disk_pauses_and_both_end_with_the_same_weights(supervised):
    standin, driver, free = supervised.standin, supervised.driver, supervised.free
    held, thread = supervised.launch("launcher.hold_above_c=83", "launcher.continue_below_c=70", name="it")
    standin.wait_for(held, "step")
    driver.celsius = 90
    standin.wait_for(held, "hold")
    steps = len(standin.events(held, "step"))
    time.sleep(1.0)
    driver.celsius = 75
    time.sleep(1.0)
    assert len(standin.events(held, "step")) == steps < 16, "it waits, and not only while it is too hot"
    driver.celsius = 65
    thread.join(60)
    assert load_run(held.folder).status is Status.SUCCEEDED
    assert [event["state"] for event in standin.events(held, "hold")] == ["begin", "end"]
    assert standin.events(held, "hold")[1]["seconds"] >= 2
    assert max(event["seconds"] for event in standin.events(held, "step")) < 2, "no step's time"
    assert [kind for kind in kinds(held) if kind[0] == "too-hot"] == [("too-hot", "begin"), ("too-hot", "end")]  # fmt: skip
    assert not held.hold.exists()

    driver.celsius = 60
    paused, thread = supervised.launch(name="it")
    standin.wait_for(paused, "step")
    free["mib"] = 100
    thread.join(60)
    record = load_run(paused.folder)
    assert (record.status, record.reason.kind) == (Status.PAUSED, "disk-full")
    assert ("disk-full", "begin") in kinds(paused)
    assert record.last_state is not None
    point, run = resume_run(standin.paths, record)
    assert 0 < point.step < 16
    assert standin.wait_for_end(run).status is Status.SUCCEEDED
    final = "output/it.safetensors"
    assert (run.folder / final).read_bytes() == (held.folder / final).read_bytes()


def test_a_guard_with_a_bug_is_sent_home_and_the_supervisor_stays(run, capsys):
    def broken(_sample):
        raise ZeroDivisionError("a bug")

    run.plan.write_text("{}", encoding="utf-8")
    supervisor = Supervisor(run, RunState(name="x", preset="", trainer="", created=0.0))
    supervisor._guard = SimpleNamespace(look=broken)
    supervisor._judge({})
    supervisor._judge({})
    assert capsys.readouterr().err.count("nobody looks for warnings any more") == 1


def test_a_value_that_makes_no_sense_is_refused(standin):
    with pytest.raises(LauncherError):
        standin.plan("launcher.on_battery=sleep")
