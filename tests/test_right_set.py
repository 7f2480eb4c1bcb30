"""Ends with exactly the planned set, where the usual sequence of commands ends with another torch. Real uv, real pip.

On an index with the real names, versions, tags and requirements (real_index.py).
"""

import os
import sys
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install import packages
from launcher.install.commands import Commands, Log
from launcher.install.engine import choose_engine, find_uv
from launcher.install.index import PipSettings
from launcher.install.pins import TorchSet
from launcher.install.wheels import download_of, fetch_wheels, find_wheels
from launcher.paths import venv_python
from tests.real_index import FAMILY, LOCKED, PLANNED, REQUIREMENTS, SET, RealIndex
from tests.tiny_wheels import serve

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="the set with xformers for torch 2.5.1 is there for Linux only",
)
PYTHON = sys.version_info[:2]
PYTHONS = (PYTHON, PYTHON)
BY_HAND = {"torch": "2.5.1+cu121", "torchvision": "0.20.1+cu121"}  # what the guide's first command gives
REPLACED = {"torch": "2.15.0", "torchvision": "0.20.1+cu121"}  # what is left of it in the end


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    real = RealIndex(tmp_path_factory.mktemp("index"))
    with serve(real.folder) as host:
        real.host = host
        yield real


class Bench:
    """A folder with an environment, an engine, and the user's settings: the default index."""

    def __init__(self, folder, index, engine="uv"):
        settings = PipSettings(index=f"http://{index.host}/default/")
        self.index = index
        self.folder = folder
        self.commands = Commands(settings=settings, cache=folder / "cache", log=Log(folder / "log.txt"))
        self.engine = choose_engine(self.commands, engine)
        self.venv = folder / "venv"
        self.said = []

    def tell(self, words, /, **_):
        self.said.append(words)

    def find(self, packages=SET, fallback=()):
        torch_set = TorchSet(
            name="cu121", title="CUDA 12.1", packages=packages, index=f"http://{self.index.host}/cu121",
            fallback=fallback, pythons=PYTHONS, disk_mib=1,
        )  # fmt: skip
        return find_wheels(
            torch_set, PYTHON, self.commands.settings, folder=self.folder / "wheels", tell=self.tell,
            log=self.commands.log,
        )  # fmt: skip

    def fetch(self, wheels):
        return fetch_wheels(wheels, self.folder / "wheels", settings=self.commands.settings, tell=self.tell)

    def lock(self):
        path = self.folder / "lock.txt"
        path.write_text(self.index.lock(LOCKED), encoding="utf-8")
        return path

    def install_planned(self):
        files = self.fetch(self.find())
        self.engine.install_files(self.venv, files, self.tell)
        self.engine.install_lock(self.venv, self.lock(), self.tell)

    def by_hand(self, *words):
        """`pip install words`, or `uv pip install words`, as a guide says it."""
        if self.engine.name == "pip":
            finished = self.commands.pip(venv_python(self.venv), ["install", *words])
        else:
            argv = [
                str(find_uv(self.commands)),
                "pip",
                "install",
                "--python",
                str(venv_python(self.venv)),
                *words,
            ]
            settings = {
                "UV_INDEX_URL": self.commands.settings.index,
                "UV_CACHE_DIR": str(self.folder / "by hand"),
            }
            finished = self.commands.call(argv, settings)
        self.commands.need(finished, " ".join(words))

    @property
    def present(self):
        found = packages.installed(self.venv)
        return {name: version for name, version in found.items() if name not in {"pip", "setuptools"}}

    def has(self, *names):
        return {name: self.present.get(name) for name in names}


@pytest.fixture
def clean(monkeypatch, index):
    """No settings of the developer's; the default index for those who read pip's variables."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{index.host}/default/")


@pytest.fixture(params=["uv", "pip"])
def bench(request, tmp_path, index, clean):
    made = Bench(tmp_path / "a'; echo foo 訓練", index, request.param)
    made.engine.make(made.venv, Path(sys.executable), made.tell)
    return made


@pytest.fixture
def finder(tmp_path, index, clean):
    """Without an environment: to find wheels only."""
    return Bench(tmp_path / "a'; echo foo 訓練", index)


def test_exactly_the_planned_set(bench):
    bench.install_planned()
    assert bench.present == PLANNED
    assert bench.engine.check(bench.venv) is None
    assert packages.differences(bench.venv, PLANNED) == []
    bench.install_planned()  # again: nothing to do, nothing changed
    assert bench.present == PLANNED


def test_the_guides_sequence_replaces_torch(bench):
    """`pip install torch torchvision` from the CUDA 12.1 index, the trainer's requirements, then xformers."""
    wishes = bench.folder / "requirements.txt"
    wishes.write_text(REQUIREMENTS, encoding="utf-8")
    bench.by_hand("--index-url", f"http://{bench.index.host}/cu121/", "torch", "torchvision")
    assert bench.has("torch", "torchvision") == BY_HAND
    assert bench.has("numpy") == {"numpy": "1.26.3"}  # the old copy of the PyTorch index
    bench.by_hand("--upgrade", "-r", str(wishes))
    # pip's --upgrade is for what is named; uv's is for everything that is required, torch with it.
    assert bench.has("torch", "torchvision") == (BY_HAND if bench.engine.name == "pip" else REPLACED)
    bench.by_hand("xformers")
    assert bench.has("torch", "torchvision", "xformers") == {**REPLACED, "xformers": "0.0.35"}
    assert "torchvision" in (bench.engine.check(bench.venv) or "")  # made for the torch that is gone
    assert "torch is 2.15.0 and should be 2.5.1+cu121" in packages.differences(bench.venv, PLANNED)


def test_a_later_install_cannot_replace_torch(bench):
    """Constraints hold what stands: what wants another torch is refused before anything changes."""
    bench.install_planned()
    held = bench.folder / "constraints.txt"
    lines = [f"{name}=={version}\n" for name, version in PLANNED.items() if name != "xformers"]
    held.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(InstallError, match="xformers could not be installed") as caught:
        bench.engine.install(bench.venv, ["xformers==0.0.35"], bench.tell, constraints=held)
    assert "torch" in caught.value.why
    assert bench.present == PLANNED
    bench.engine.install(bench.venv, ["tqdm", "accelerate"], bench.tell, constraints=held)
    assert bench.present == PLANNED
    bench.engine.install(bench.venv, ["xformers==0.0.35"], bench.tell)  # unheld it does replace torch
    assert bench.has("torch") == {"torch": "2.15.0"}


def test_mixed_channels_are_noticed_and_mended(bench):
    """`operator torchvision::nms does not exist`: the same version, built for another CUDA."""
    bench.install_planned()
    bench.engine.install(bench.venv, ["torchvision==0.20.1"], bench.tell, alone=True)
    if (
        bench.present["torchvision"] == PLANNED["torchvision"]
    ):  # both engines hold the tagged one for the same
        bench.engine.remove(bench.venv, ["torchvision"], bench.tell)
        bench.engine.install(bench.venv, ["torchvision==0.20.1"], bench.tell, alone=True)
    assert bench.engine.check(bench.venv) is None  # neither uv nor pip sees anything wrong
    assert packages.differences(bench.venv, PLANNED) == ["torchvision is 0.20.1 and should be 0.20.1+cu121"]
    bench.install_planned()
    assert bench.present == PLANNED


def test_a_second_cuda_is_noticed_and_removed(bench):
    """What `pip install xformers` leaves behind after torch was put right again by hand."""
    bench.install_planned()
    bench.engine.install(bench.venv, ["nvidia-cublas", "nvidia-nvjitlink"], bench.tell, alone=True)
    strays = packages.strays(bench.venv, PLANNED)
    assert strays == ["nvidia-cublas", "nvidia-nvjitlink"]
    assert "nvidia-cublas 13.4.1.3 does not belong here" in packages.differences(bench.venv, PLANNED)
    bench.engine.remove(bench.venv, [*strays, "never-there"], bench.tell)
    assert bench.present == PLANNED


def test_xformers_for_another_torch_is_refused_before_anything_is_fetched(finder):
    with pytest.raises(
        InstallError, match=r"xformers 0\.0\.27\.post2 does not belong to torch 2\.5\.1\+cu121"
    ) as caught:
        finder.find(packages=(*SET[:2], "xformers==0.0.27.post2"))
    assert "requires torch==2.4.0" in caught.value.why
    assert not list((finder.folder / "wheels").glob("*.whl"))


def test_the_family_is_told_with_its_size_before_it_is_fetched(finder):
    wheels = finder.find()
    assert {wheel.name: wheel.version for wheel in wheels} == FAMILY
    assert [wheel.name for wheel in wheels[:3]] == ["torch", "torchvision", "xformers"]
    assert all(wheel.size for wheel in wheels)
    assert all(wheel.sha256 for wheel in wheels)
    assert download_of(wheels).in_words() == "16 packages, 0.0 MiB"
    assert not list((finder.folder / "wheels").glob("*.whl"))
    files = finder.fetch(wheels)
    assert len({file.name for file in files}) == len(wheels)


def test_without_the_index_the_downloads_of_before_are_enough(bench):
    """Everything that was fetched serves a second environment, with the network gone."""
    bench.fetch(bench.find())
    bench.index, gone = type("Gone", (), {"host": "127.0.0.1:9"})(), bench.index
    wheels = bench.find()
    assert all(wheel.file for wheel in wheels)
    bench.engine.install_files(bench.venv, bench.fetch(wheels), bench.tell)
    assert bench.present == FAMILY
    bench.index = gone


def test_fallback_comes_whole_from_the_configured_index(finder):
    """torch 2.5.1 of the default index is CUDA 12.4: its torchvision and its libraries come with it, not the others."""
    wheels = finder.find(packages=("torch==2.5.9+cu121", "torchvision==0.20.1+cu121"), fallback=("torch==2.5.1", "torchvision==0.20.1"))  # fmt: skip
    found = {wheel.name: wheel.version for wheel in wheels}
    assert found["torchvision"] == "0.20.1"
    assert found["nvidia-cublas-cu12"] == "12.4.5.8"
    assert found["nvidia-nvjitlink-cu12"] == "12.4.127"
    assert any("Instead: torch==2.5.1, torchvision==0.20.1" in words for words in finder.said)


def test_extras_of_cuda_toolkit_belong_to_the_family(finder):
    """From torch 2.13 the libraries are extras of one package, with versions like `13.4.1.3.*`."""
    wheels = finder.find(packages=("torch==9.9+cu121",), fallback=("torch==2.15.0",))
    found = {wheel.name: wheel.version for wheel in wheels}
    assert found["nvidia-cublas"] == "13.4.1.3"
    assert found["nvidia-nvjitlink"] == "13.2.86"
    assert found["triton"] == "3.9.0"
    assert found["cuda-pathfinder"] == "1.9.0"
    assert not any(name.endswith("cu12") for name in found)


def test_dry_run_shows_the_very_commands(bench):
    """What `commands_for` prints is what the log has afterwards."""
    files = bench.fetch(bench.find())
    lock = bench.lock()
    said = bench.engine.commands_for(bench.venv, wheels=files, lock=lock, remove=["torchao"])
    assert len(said) == 3
    bench.engine.remove(bench.venv, ["torchao"], bench.tell)
    bench.engine.install_files(bench.venv, files, bench.tell)
    bench.engine.install_lock(bench.venv, lock, bench.tell)
    log = bench.commands.log.path.read_text(encoding="utf-8").splitlines()
    assert [line for line in log if line.removeprefix("$ ") in said] == [f"$ {line}" for line in said]


def test_locked_file_with_another_hash_is_refused(bench):
    bench.engine.install_files(bench.venv, bench.fetch(bench.find()), bench.tell)
    lock = bench.lock()
    text = lock.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("tqdm=="))
    lock.write_text(text.replace(line, line[:-8] + "00000000"), encoding="utf-8")
    before = bench.present
    with pytest.raises(InstallError) as caught:
        bench.engine.install_lock(bench.venv, lock, bench.tell)
    assert "tqdm" in caught.value.why
    assert bench.present == before
