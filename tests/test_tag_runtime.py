"""The packages of the tagger: which build for which computer, really installed by uv and by pip from small wheels."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.errors import InstallError
from launcher.install import engine
from launcher.install.commands import Commands, Log
from launcher.install.index import PipSettings
from launcher.machine import Gpu, look_at_machine
from launcher.paths import Paths
from launcher.tagger import runtime
from launcher.tagger.runtime import Runtime
from tests.tiny_wheels import lock_line, make_wheel

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def here(tmp_path):
    return Paths(root=tmp_path / "root", home=tmp_path / "user data", shipped=ROOT)


def made(here, tmp_path, *, version="1.0"):
    wheel = make_wheel(tmp_path / "wheels", "onnxruntime", version, requires=("numpy", "protobuf"))
    lock = tmp_path / "tagger-cpu.txt"
    lock.write_text(lock_line(wheel, "onnxruntime", version))
    return Runtime(
        trainer="rehearsal", python=Path(sys.executable), packages=here.tagger / "a 'b, c", locks=(lock,), wants_gpu=False
    )  # fmt: skip


@pytest.mark.parametrize("name", ["uv", "pip"])
def test_packages_come_into_their_folder_and_nothing_with_them(here, tmp_path, monkeypatch, name):
    where = made(here, tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    settings = PipSettings(find_links=(str(tmp_path / "wheels"),), no_index=True)
    commands = Commands(settings=settings, cache=tmp_path / "cache", log=Log(tmp_path / "log"))
    chosen = engine.choose_engine(commands, name)
    monkeypatch.setattr(engine, "choose_engine", lambda _: chosen)
    assert runtime.missing(where) == "they are not installed"
    runtime.install(where, commands, lambda *_, **__: None)
    assert runtime.missing(where) is None
    assert (where.packages / "onnxruntime.py").is_file()
    assert not list(where.packages.glob("numpy*"))
    changed = made(here, tmp_path, version="2.0")
    assert runtime.missing(changed) == "other versions are planned"
    runtime.install(changed, commands, lambda *_, **__: None)
    assert [path.name for path in where.packages.glob("*.dist-info")] == ["onnxruntime-2.0.dist-info"]
    (tmp_path / "wheels" / "onnxruntime-1.0-py3-none-any.whl").write_bytes(b"another file")
    with pytest.raises(InstallError, match="could not be installed"):
        runtime.install(made_of(where, tmp_path), commands, lambda *_, **__: None)
    assert runtime.missing(where) == "they are not installed"


def made_of(where, tmp_path):
    """The lock asks for a wheel whose bytes are not what it says."""
    where.locks[0].write_text(f"onnxruntime==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    return where


def machine(*, has_card=True, arch="x86_64"):
    card = Gpu(name="NVIDIA GeForce RTX 3060 Ti", total_mib=8192, free_mib=8000, capability=(8, 6), driver="560.0") if has_card else None  # fmt: skip
    return SimpleNamespace(gpu=card, arch=arch)


@pytest.fixture
def environment(here):
    """What `ready` looks at: a proved environment, without its gigabytes."""

    def make(torch_set, *, python="3.11.7", trainer="sd-scripts", packages=("opencv_python-4.10.0.84",)):
        folder = here.trainer(trainer) / "1"
        site = folder / "venv" / ("Lib" if os.name == "nt" else "lib/python3.11") / "site-packages"
        for package in packages:
            (site / f"{package}.dist-info").mkdir(parents=True)
            (site / f"{package}.dist-info" / "INSTALLER").write_text("uv")
        python_file = (
            here.generation(trainer, "1")
            / "venv"
            / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        )
        python_file.parent.mkdir(parents=True)
        python_file.write_text("")
        (folder / "accelerate.yaml").write_text("x")
        (folder / "ready.json").write_text(json.dumps({"v": 3, "torch_set": torch_set, "python": python, "accelerate_config": "x"}))  # fmt: skip
        here.current_note(trainer).write_text("1\n")

    return make


@pytest.mark.parametrize(
    ("torch_set", "how", "device", "wants_gpu", "note"),
    [
        ("cu121", {}, "auto", True, ""),
        ("cu124", {}, "auto", True, ""),
        ("cu128", {}, "auto", True, ""),
        ("cu121", {}, "cpu", False, "asked for"),
        ("cu121", {"has_card": False}, "auto", False, "no NVIDIA card"),
        ("cu118", {}, "auto", False, "CUDA 11.8"),
        ("cpu", {}, "auto", False, "CPU build"),
        ("cu121", {"arch": "arm64"}, "auto", False, "no GPU build"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the table of torch builds differs by system")
def test_the_build_follows_card_and_environment(  # noqa: PLR0917  (fixtures and a table)
    here, environment, torch_set, how, device, wants_gpu, note
):
    environment(torch_set)
    chosen = runtime.choose(here, machine(**how), device=device)
    assert (chosen.wants_gpu, chosen.trainer) == (wants_gpu, "sd-scripts")
    assert note in chosen.note
    assert [lock.name for lock in chosen.locks] == [f"tagger-{'cuda12' if wants_gpu else 'cpu'}.txt"]
    assert all(lock.is_file() for lock in chosen.locks)


def test_an_environment_without_opencv_gets_it_beside_it(here, environment):
    environment("cpu", trainer="rehearsal", packages=("numpy-2.4.6",))
    chosen = runtime.choose(here, machine(has_card=False), device="auto")
    assert [lock.name for lock in chosen.locks] == ["tagger-cpu.txt", "tagger-opencv.txt"]
    assert chosen.packages.parent == here.tagger


def test_the_machine_s_record_has_what_is_asked_of_it():
    seen = look_at_machine()
    assert isinstance(seen.arch, str)
    assert seen.gpu is None or seen.gpu.name
