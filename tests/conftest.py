"""Tests protect the machine: no home, no network but loopback, no leftover processes."""

import socket
import sys
from pathlib import Path

import pytest

from launcher.paths import HOME_VARIABLE, Paths

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.", "::1", "localhost")
# Where several processes share the suite: what takes longest begins, so that none of it is left over at the end.
LONGEST = ("install", "bootstrap", "accelerate_config", "soak", "rehearsal_training", "right_set", "engine")


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(item.path.stem.removeprefix("test_")))


def _place(name):
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.fixture(autouse=True)
def safe_home(tmp_path_factory, monkeypatch):
    """Every test has an empty home folder and its own user data; nothing of the developer's is read or written."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv(HOME_VARIABLE, str(home / "user data"))
    return home


@pytest.fixture(autouse=True)
def own_console():
    """The console keeps the stream that it was made for: another test's, when tests share a process."""
    _forget_console()
    yield
    _forget_console()


def _forget_console():
    loaded = sys.modules.get("launcher.ui.console")
    forget = getattr(getattr(loaded, "get_console", None), "cache_clear", None)  # a test may have replaced it
    if forget is not None:
        forget()


@pytest.fixture(autouse=True)
def no_network(monkeypatch, request):
    """In this process only loopback can be reached, but for tests that are asked for by environment variables."""
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def guarded(self, address):
        is_local = not isinstance(address, tuple) or str(address[0]).startswith(LOOPBACK)
        if not is_local:
            raise AssertionError(f"a test wants to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def paths(tmp_path):
    """The product as it lies here, with user data (runs, presets, settings) in a folder of this test."""
    home = tmp_path / "user data"
    home.mkdir()
    return Paths(root=ROOT, home=home, shipped=ROOT)


@pytest.fixture(scope="session")
def training_python():
    """Interpreter of the rehearsal's training environment; without one the test is skipped."""
    python = Paths(root=ROOT, home=ROOT, shipped=ROOT).trainer_python("rehearsal")
    if not python.exists():
        pytest.skip("no training environment here: python setup_env.py install")
    return python


class StandinRuns:
    """Real runs of a trainer of two layers (tests/standin.py): supervisor, accelerate and shim, some seconds each."""

    def __init__(self, paths):
        self.paths = paths

    def plan(self, *settings, name="style 訓練"):
        from launcher.machine import look_at_machine
        from launcher.plan import Request, resolve

        data = ROOT / "launcher" / "demo" / "images"
        words = (
            "max_train_steps=10",
            "sample_every_n_steps=5",
            "save_every_n_steps=4",
            "save_state=true",
            *settings,
        )
        request = Request(preset="demo", trainer="standin", data=data, name=name, settings=words)
        return resolve(self.paths, request, look_at_machine())

    def launch(self, *settings, name="style 訓練"):
        from launcher.run import create_run, start_run

        run = create_run(self.paths, self.plan(*settings, name=name))
        start_run(self.paths, run)
        return run

    def events(self, run, kind):
        from launcher.events import read_events

        return [event for event, _ in read_events(run.events) if event["type"] == kind]

    def wait_for(self, run, kind, *, timeout_s=90.0):
        """The first event of a kind."""
        from launcher.process import wait_until

        assert wait_until(lambda: self.events(run, kind), timeout_s=timeout_s), log_of(run)
        return self.events(run, kind)[0]

    def wait_for_end(self, run, *, timeout_s=120.0):
        """The record of the run when all its processes are gone."""
        from launcher.history import load_run
        from launcher.process import wait_until

        is_over = wait_until(lambda: not load_run(run.folder).status.is_live, timeout_s=timeout_s)
        assert is_over, log_of(run)
        return load_run(run.folder)

    def kill(self, process):
        """SIGKILL, and wait until it is gone."""
        from launcher.process import wait_until

        found = process.find()
        if found:
            found.kill()
        assert wait_until(lambda: not process.is_alive, timeout_s=10)


def log_of(run):
    """What to read when a test fails."""
    files = [path for path in (run.log, run.events, run.state_json) if path.exists()]
    return "\n".join(
        f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-3000:]}" for path in files
    )


@pytest.fixture
def standin(tmp_path, paths, training_python, monkeypatch):
    """Runs of the stand-in trainer, known to the launcher by that name for the length of a test."""
    from launcher import trainers
    from launcher.paths import RunPaths
    from launcher.process import stop_tree
    from launcher.run import training_processes

    root = tmp_path / "root"
    paths = Paths(root=root, home=paths.home, shipped=ROOT)
    paths.trainer("standin").mkdir(parents=True)
    paths.trainer_venv("standin").symlink_to(training_python.parent.parent, target_is_directory=True)
    paths.accelerate_config("standin").write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nuse_cpu: true\n"
    )
    monkeypatch.setitem(trainers.TRAINERS, "standin", standin_trainer)
    yield StandinRuns(paths)
    for state in paths.runs.glob("*/state.json"):
        stop_tree(training_processes(RunPaths(folder=state.parent)), terminate_s=0.1)


def standin_trainer(paths):
    """What the launcher would know of the stand-in."""
    from launcher.trainers import Trainer, load_options

    script = ROOT / "tests" / "standin.py"
    return Trainer(
        name="standin", title="stand-in", commit=None, script=script, cwd=None, trainer_class="StandinTrainer",
        options=load_options(paths), honoured=None,
    )  # fmt: skip
