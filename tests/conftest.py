"""Tests protect the machine: no home, no network but loopback, no leftover processes."""

import socket
from pathlib import Path

import pytest

from launcher.paths import HOME_VARIABLE, Paths

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture(autouse=True)
def safe_home(tmp_path_factory, monkeypatch):
    """Every test has an empty home folder and its own user data; nothing of the developer's is read or written."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv(HOME_VARIABLE, str(home / "user data"))
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """In this process only loopback can be reached."""
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
