"""uv and pip as engines: exact files, locks, what they say in words, the user's other settings kept out."""

import importlib.util
import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.errors import InstallError
from launcher.install import packages
from launcher.install.commands import Commands, Log
from launcher.install.engine import choose_engine, compile_bytecode
from launcher.install.engine_words import complaint, failed, pin_of
from launcher.install.index import PipSettings
from launcher.install.narration import Narrator
from tests.tiny_wheels import lock_line, make_index, make_wheel, serve

NOWHERE = "http://127.0.0.1:9/simple"  # the discard port: nobody listens
FOLDER = "a'; echo foo, 訓練 50%"


class Bench:
    def __init__(self, folder, engine="uv", **settings):
        self.folder = folder / FOLDER
        self.wheels = self.folder / "wheels"
        self.venv = self.folder / "venv"
        log = Log(folder / "log.txt")
        self.commands = Commands(settings=PipSettings(**settings), cache=self.folder / "cache", log=log)
        self.engine = choose_engine(self.commands, engine)
        self.said = []

    def tell(self, words, /, *, done=None, total=None, **_):
        self.said.append((words, done, total))

    def make(self):
        self.engine.make(self.venv, Path(sys.executable), self.tell)
        return self

    def wheel(self, name, version, folder="wheels", **more):
        return make_wheel(self.folder / folder, name, version, **more)

    @property
    def present(self):
        found = packages.installed(self.venv)
        return {name: version for name, version in found.items() if name not in {"pip", "setuptools"}}

    @property
    def site(self):
        return packages.site_packages(self.venv)

    @property
    def log(self):
        return self.commands.log.path.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.lower().startswith("onedrive"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture(params=["uv", "pip"])
def bench(request, tmp_path):
    return Bench(tmp_path, request.param).make()


# --- exact files


def test_files_are_installed_without_network_and_what_they_require(bench, monkeypatch):
    """The user's indexes and pages of links are not even asked: they may be down, and everything lies here."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("PIP_FIND_LINKS", f"{NOWHERE}/links.html")
    monkeypatch.setenv("UV_FIND_LINKS", f"{NOWHERE}/links.html")
    bench.commands = Commands(
        settings=PipSettings(index=NOWHERE, find_links=(f"{NOWHERE}/links.html",)), cache=bench.folder / "cache",
        log=bench.commands.log,
    )  # fmt: skip
    bench.engine = choose_engine(bench.commands, bench.engine.name)
    one = bench.wheel("torch", "2.5.1+cu121", requires=["numpy", "nvidia-x==1"])
    two = bench.wheel("xformers", "0.0.29.post1", folder="own, copies")
    bench.wheel("torch", "2.6.0")  # newer, in the same folder
    bench.engine.install_files(bench.venv, [one, two], bench.tell)
    assert bench.present == {"torch": "2.5.1+cu121", "xformers": "0.0.29.post1"}
    assert packages.broken(bench.venv) == []
    assert not list(
        bench.site.glob("*/direct_url.json")
    )  # as from an index: a later command may compare versions


def test_no_index_of_the_user_fits_too(tmp_path):
    bench = Bench(tmp_path, no_index=True).make()
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "1")], bench.tell)
    assert bench.present == {"torch": "1"}
    [command] = bench.engine.commands_for(bench.venv, wheels=[bench.wheels / "torch-1-py3-none-any.whl"])
    assert command.count("--no-index") == 1


def test_file_replaces_another_build(bench):
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "2.15.0")], bench.tell)
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "2.5.1+cu121")], bench.tell)
    assert bench.present == {"torch": "2.5.1+cu121"}


def test_damaged_file_is_an_error(bench):
    wheel = bench.wheel("torch", "1")
    wheel.write_bytes(wheel.read_bytes()[:200])
    with pytest.raises(InstallError, match=r"torch could not be installed\."):
        bench.engine.install_files(bench.venv, [wheel], bench.tell)
    assert bench.present == {}


def test_nothing_to_do_runs_nothing(bench):
    before = bench.log
    bench.engine.install_files(bench.venv, [], bench.tell)
    bench.engine.remove(bench.venv, [], bench.tell)
    assert bench.log == before


# --- locks


def test_lock_takes_only_what_it_lists(bench):
    one, two = bench.wheel("tiny-a", "1", requires=["tiny-b"]), bench.wheel("tiny-b", "1")
    lock = bench.folder / "lock.txt"
    lock.write_text(lock_line(one, "tiny-a", "1") + lock_line(two, "tiny-b", "1").replace("1 ", "1 ; python_version < '3' "), encoding="utf-8")  # fmt: skip
    index = make_index(bench.folder / "index", one, two)
    with serve(index) as host:
        engine = choose_engine(
            Commands(settings=PipSettings(index=f"http://{host}/"), cache=bench.folder / "cache", log=bench.commands.log),
            bench.engine.name,
        )  # fmt: skip
        os.environ["PIP_INDEX_URL"] = f"http://{host}/"  # the fixture takes it away again
        engine.install_lock(bench.venv, lock, bench.tell)
    assert bench.present == {"tiny-a": "1"}
    assert "tiny-b" in (engine.check(bench.venv) or "")


def test_size_of_a_lock_is_known_beforehand(tmp_path):
    bench = Bench(tmp_path)
    one, two = bench.wheel("tiny-a", "1", files={"x": "y" * 5000}), bench.wheel("tiny-b", "1")
    bench.commands = Commands(settings=PipSettings(index=(bench.folder / "empty").as_uri(), find_links=(str(bench.wheels),)), cache=bench.folder / "cache", log=bench.commands.log)  # fmt: skip
    bench.engine = choose_engine(bench.commands, "uv")
    bench.make()
    (bench.folder / "empty").mkdir()
    lock = bench.folder / "lock.txt"
    lock.write_text(lock_line(one, "tiny-a", "1") + lock_line(two, "tiny-b", "1"), encoding="utf-8")
    download = bench.engine.look_lock(bench.venv, lock).download
    assert download is not None
    assert (download.packages, download.known_bytes) == (2, one.stat().st_size + two.stat().st_size)
    bench.engine.install_files(bench.venv, [one], bench.tell)
    assert bench.engine.look_lock(bench.venv, lock).download.packages == 1
    bench.engine.install_lock(bench.venv, lock, bench.tell)
    assert bench.present == {"tiny-a": "1", "tiny-b": "1"}


def test_pip_tells_no_size(tmp_path):
    bench = Bench(tmp_path, "pip")
    assert bench.engine.look_lock(bench.venv, bench.folder / "lock.txt").download is None


# --- the user's other settings


def test_settings_for_other_work_are_kept_out(tmp_path, monkeypatch):
    """A developer's machine: constraints, a cut-off date and a torch backend of his own."""
    held = tmp_path / "constraints.txt"
    held.write_text("torch==9\n")
    monkeypatch.setenv("UV_CONSTRAINT", str(held))
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2020-01-01T00:00:00Z")
    monkeypatch.setenv("UV_TORCH_BACKEND", "cu130")
    monkeypatch.setenv("UV_NO_BINARY", "1")
    bench = Bench(tmp_path).make()
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "1")], bench.tell)
    assert bench.present == {"torch": "1"}


def test_pip_settings_for_other_work_are_kept_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    bench = Bench(tmp_path, "pip").make()
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "1")], bench.tell)
    assert bench.present == {"torch": "1"}
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.name == "nt", reason="counts links of files")
@pytest.mark.parametrize("place", ["inside", "outside", "told"])
def test_no_hard_links_into_onedrive(place, tmp_path, monkeypatch):
    bench = Bench(tmp_path).make()
    cloud = tmp_path / FOLDER if place != "outside" else tmp_path / "OneDrive"
    monkeypatch.setenv("OneDrive", str(cloud))
    if place == "told":
        monkeypatch.setenv("UV_LINK_MODE", "hardlink")
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "1")], bench.tell)
    is_linked = (bench.site / "torch.py").stat().st_nlink > 1
    assert is_linked == (place != "inside")


# --- removal, bytecode, differences


def test_removal(bench):
    bench.engine.install_files(
        bench.venv, [bench.wheel("xformers", "1"), bench.wheel("torch", "1")], bench.tell
    )
    bench.engine.remove(bench.venv, ["xformers", "never-there"], bench.tell)
    assert bench.present == {"torch": "1"}
    assert not (bench.site / "xformers.py").exists()


def test_bytecode_of_the_heavy_packages(bench, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    files = {"torch/__init__.py": "x = 1\n", "torch/deep/old.py": "print 'for Python 2'\n"}
    other = {"other/__init__.py": ""}
    wheels = [bench.wheel("torch", "1", files=files), bench.wheel("other", "1", files=other)]
    bench.engine.install_files(bench.venv, wheels, bench.tell)
    source = bench.site / "torch" / "__init__.py"
    compiled = Path(importlib.util.cache_from_source(str(source)))
    assert not compiled.exists()
    compile_bytecode(bench.commands, bench.venv, ["torch", "diffusers"], bench.tell)
    assert compiled.exists()
    assert not (bench.site / "other" / "__pycache__").exists()
    assert packages.broken(bench.venv) == []
    compile_bytecode(bench.commands, bench.folder / "nowhere", ["torch"], bench.tell)


def test_bytecode_of_the_trainer_s_code_leaves_its_tree_as_it_is(bench, monkeypatch):
    from launcher.install.git_tree import blobs_in

    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bench.folder / "elsewhere"))
    bench.engine.install_files(bench.venv, [bench.wheel("torch", "1")], bench.tell)
    code = bench.folder / "code 訓練"
    (code / "library").mkdir(parents=True)
    (code / "library" / "util.py").write_text("x = 1\n")
    before = blobs_in(code)
    compile_bytecode(bench.commands, bench.venv, [], bench.tell, code=code)
    assert list(code.rglob("*.pyc"))
    assert blobs_in(code) == before


def test_bytecode_that_cannot_be_made_is_no_failure(bench):
    from launcher.errors import LauncherError

    bench.engine.install_files(bench.venv, [bench.wheel("torch", "1", files={"torch/x.py": ""})], bench.tell)
    said = []

    def call(*_words, **_more):
        raise LauncherError("too slow")

    compile_bytecode(SimpleNamespace(call=call), bench.venv, ["torch"], said.append)
    assert said[-1].startswith("not all could be prepared")


def test_differences_in_words(bench):
    wheels = [
        bench.wheel("torch", "2.5.1+cu121", requires=['nvidia-x==1; platform_system == "Linux"']),
        bench.wheel("nvidia-x", "1"),
        bench.wheel("torchao", "0.18.0"),
        bench.wheel("tiny-a", "1", files={"tiny_a/__init__.py": "", "tiny_a/data.txt": "x" * 99}),
        bench.wheel("tiny-b", "1"),
        bench.wheel("nvidia-ml-py", "13"),
    ]
    bench.engine.install_files(bench.venv, wheels, bench.tell)
    wanted = {"torch": "2.5.1+cu121", "tiny-a": "1", "tiny-b": "1"}
    assert packages.differences(bench.venv, wanted) == ["torchao 0.18.0 does not belong here"]
    assert packages.differences(bench.venv, {**wanted, "torchao": "0.18.0"}) == []
    (bench.site / "tiny_a" / "data.txt").unlink()
    next(bench.site.glob("tiny_b-*.dist-info/INSTALLER")).unlink()
    assert packages.differences(bench.venv, {**wanted, "torch": "2.6.0+cu124", "tiny-c": "2"}) == [
        "tiny-a: 1 of its files are missing, 0 have another size",
        "tiny-b: its installation was not finished",
        "tiny-c 2 is missing",
        "torch is 2.5.1+cu121 and should be 2.6.0+cu124",
        "torchao 0.18.0 does not belong here",
    ]
    assert packages.differences(bench.folder / "nowhere", {"torch": "1"}) == ["torch 1 is missing"]


# --- words


def narrate(text, total=None):
    said = []
    narrator = Narrator(
        tell=lambda words, done=None, total=None: said.append((words, done, total)), total=total
    )
    for line in text.splitlines():
        narrator(line)
    return said


UV_SAYS = """\
Resolved 4 packages in 1.78s
Downloading numpy (17.4MiB)
Downloading opencv-python (59.7MiB)
   Building schedulefree==1.4
 Downloaded numpy
      Built schedulefree==1.4
 Downloaded opencv-python
Prepared 4 packages in 2.21s
Installed 4 packages in 41ms
"""
PIP_SAYS = """\
Collecting einops==0.7.0 (from -r lock.txt (line 1))
  Downloading einops-0.7.0-py3-none-any.whl (44 kB)
Collecting opencv-python==4.10.0.84
  Using cached opencv_python-4.10.0.84-cp37-abi3-manylinux_2_17_x86_64.whl (62.5 MB)
  Downloading numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl (18.3 MB)
Building wheels for collected packages: schedulefree
  Building wheel for schedulefree (pyproject.toml): started
Installing collected packages: einops, numpy
Successfully installed einops-0.7.0 numpy-1.26.4
"""


def test_uv_in_words_and_bytes():
    mib = 1 << 20
    total = 78 * mib
    said = narrate(UV_SAYS, total)
    assert [words for words, *_ in said] == [
        "looking through 4 packages",
        "downloading numpy (17.4 MiB)",
        "downloading numpy, opencv-python (59.7 MiB)",
        "building schedulefree==1.4 (it is offered as source code only)",
        "downloading opencv-python",
        "unpacking",
        "putting 4 packages into the environment",
        "4 packages are in the environment",
    ]
    numpy, opencv = round(17.4 * mib), round(59.7 * mib)
    assert [done for _, done, _ in said] == [0, 0, 0, 0, numpy, numpy + opencv, total, total]
    assert {whole for *_, whole in said} == {total}
    assert {done for _, done, _ in narrate(UV_SAYS)} == {None}  # without a total there is no bar


def test_pip_in_words():
    assert [words for words, *_ in narrate(PIP_SAYS)] == [
        "looking for einops==0.7.0",
        "downloading einops (44 kB)",
        "looking for opencv-python==4.10.0.84",
        "opencv_python-4.10.0.84-cp37-abi3-manylinux_2_17_x86_64.whl was downloaded before",
        "downloading numpy (18.3 MB)",
        "building schedulefree (it is offered as source code only)",
        "putting the packages into the environment",
    ]


def test_many_downloads_at_once_stay_on_one_line():
    said = narrate("".join(f"Downloading p{n} (2MiB)\n" for n in range(9)))
    assert said[-1][0] == "downloading 6 others, p6, p7, p8 (2 MiB)"


def test_bar_never_runs_over():
    """Sizes in the lines are rounded, and a build may fetch its own tools."""
    said = narrate(
        "Downloading a (10MiB)\nDownloaded a\nDownloading b (3MiB)\nDownloaded b\n", total=10 << 20
    )
    assert all(done is None or done <= total for _, done, total in said)


def test_failures_in_words():
    assert failed(["a==1", "b==2", "c", "d", "e", "f"]) == "a, b, c, d and 2 more could not be installed."
    assert pin_of(Path("/x/torch-2.5.1+cu121-cp311-cp311-linux_x86_64.whl")) == "torch==2.5.1+cu121"
    pip_says = "torchvision 0.20.1+cu121 has requirement torch==2.5.1, but you have torch 2.15.0.\n"
    assert complaint(pip_says) == pip_says.strip()
    assert complaint("?") == "the installed packages do not fit together"


# --- dry run


def test_commands_hold_no_secret(tmp_path):
    place = "http://me:geheim@127.0.0.1:9/simple"
    for engine in ("uv", "pip"):
        bench = Bench(tmp_path, engine, index=place, find_links=(f"{place}/links",))
        wheel = bench.wheel("torch", "1")
        said = bench.engine.commands_for(
            bench.venv, python=Path(sys.executable), wheels=[wheel], lock=bench.folder / "lock.txt", remove=["torchao"]
        )  # fmt: skip
        assert len(said) == 4
        assert "geheim" not in "\n".join(said)
        assert "--require-hashes" in said[-1]
        assert "torch==1" in said[2]
        assert (
            shlex.quote(sys.executable) in said[0]
        )  # as one would type it: the checkout's folder may have a '


def test_environment_without_pip_gets_it_for_pip(tmp_path):
    """uv's environments have none."""
    bench = Bench(tmp_path, "uv").make()
    pip = choose_engine(bench.commands, "pip")
    pip.install_files(bench.venv, [bench.wheel("torch", "1")], bench.tell)
    assert bench.present == {"torch": "1"}
    assert "pip" in packages.installed(bench.venv)
