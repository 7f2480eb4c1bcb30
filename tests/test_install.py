"""The training environment: made, completed, healed and proved by one list of steps. Real uv and pip, tiny wheels."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.errors import InstallError, UsageError
from launcher.install import engine as engines
from launcher.install import (
    generations,
    install_trainer,
    packages,
    proof,
    tasks,
    trainer_ready,
    upkeep,
    wheels,
)
from launcher.install.index import PipSettings
from launcher.install.sizes import Download, measure, remote_size
from launcher.install.steps import Step, StepState, run_steps
from launcher.paths import Paths
from tests.tiny_wheels import lock_line, make_index, make_wheel, serve

ROOT = Path(__file__).resolve().parent.parent
UNREACHABLE = "http://127.0.0.1:9/whl"  # the discard port: nobody listens
TIMEOUT_S = 120
LONG = pytest.mark.skipif(not os.environ.get("LAUNCHER_LONG_TESTS"), reason="a minute: LAUNCHER_LONG_TESTS=1")
PINS = """\
title = "Tiny"
default_set = "cpu"

[sets.cpu]
title = "CPU"
packages = ["tinytorch==1.0+cpu"]
index = "{index}"
fallback = ["tinytorch==1.0"]
python = ["3.8", "3.99"]
disk_mib = 1

[sets.gpu]
title = "GPU"
packages = ["tinytorch==2.0+gpu"]
index = "{index}"
python = ["3.8", "3.99"]
disk_mib = 1

[proof]
imports = ["tinytorch", "tiny_acc", "tiny_dep"]
"""
STEPS = ["venv", "wheels", "torch", "packages", "accelerate", "proof", "current"]


class Site:
    """A place to install into, with its own pins, its own lock and its own folder of wheels."""

    def __init__(self, folder):
        self.paths = Paths(root=folder, home=folder / "data", shipped=folder / "shipped")
        self.wheels = folder / "wheels"
        self.events = []
        self.locked = {}
        self.offer_locked("tiny-acc", "1.0", requires=["tiny-dep"])
        self.offer_locked(
            "tiny-dep", "1.0", files={"tiny_dep/__init__.py": "", "tiny_dep/data.txt": "x" * 99}
        )
        self.pin()

    def pin(self, index=UNREACHABLE):
        self.paths.pins.mkdir(parents=True, exist_ok=True)
        (self.paths.pins / "tiny.toml").write_text(PINS.replace("{index}", index), encoding="utf-8")

    def offer_locked(self, name, version, **contents):
        """A wheel, and its line in the locks of both sets."""
        wheel = make_wheel(self.wheels, name, version, **contents)
        self.locked[name] = lock_line(wheel, name, version)
        locks = self.paths.pins / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        for torch_set in ("cpu", "gpu"):
            (locks / f"tiny-{torch_set}.txt").write_text("".join(self.locked.values()), encoding="utf-8")

    def edit(self, old, new):
        file = self.paths.pins / "tiny.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def offer(self, version, folder=None):
        return make_wheel(folder or self.wheels, "tinytorch", version)

    def install(self, **options):
        self.events.clear()
        return install_trainer(self.paths, "tiny", report=self.events.append, **options)

    @property
    def ready(self):
        return trainer_ready(self.paths, "tiny")

    @property
    def venv(self):
        return self.paths.trainer_venv("tiny")

    @property
    def growing(self):
        return self.paths.generation("tiny", generations.growing(self.paths, "tiny"))

    @property
    def worked(self):
        return [event.step for event in self.events if event.state is StepState.DONE]

    @property
    def words(self):
        return "\n".join(event.detail for event in self.events)

    def record(self):
        return json.loads(proof.marker(self.paths, "tiny").read_text(encoding="utf-8"))


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "a'; echo foo 訓練"
    site = Site(folder)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", site.wheels.as_uri())
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", UNREACHABLE)
    (folder / "empty index").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (folder / "empty index").as_uri())
    return site


# --- made once, then found


def test_installed_proved_and_then_nothing_to_do(site):
    site.offer("1.0+cpu")
    assert "not installed" in site.ready
    outcome = site.install()
    assert outcome.changed
    assert site.ready is None
    assert site.worked == STEPS
    assert [check.state for check in outcome.report.checks if check.state == "failed"] == []
    record = site.record()
    assert record["versions"] == {"tiny-acc": "1.0", "tiny-dep": "1.0", "tinytorch": "1.0+cpu"}
    assert record["torch_set"] == "cpu"
    assert record["engine"] == "uv"
    outcome = site.install()
    assert not outcome.changed
    assert site.events == []


def test_journal_tells_what_happened(site):
    site.offer("1.0+cpu")
    site.install()
    lines = (site.paths.trainer("tiny") / "install.jsonl").read_text(encoding="utf-8").splitlines()
    told = [(event["step"], event["state"]) for event in map(json.loads, lines)]
    assert told[:2] == [("space", "skipped"), ("python", "skipped")]
    assert told[-1] == ("current", "done")


def test_pip_does_it_too(site):
    site.offer("1.0+cpu")
    site.install(engine="pip")
    assert site.ready is None
    assert site.record()["engine"] == "pip"


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho uv 0.1.2\n", "not a program"])
def test_pip_takes_over_where_uv_does_not_start(program, site, tmp_path, monkeypatch):
    site.offer("1.0+cpu")
    broken = tmp_path / "uv"
    broken.write_text(program)
    broken.chmod(0o755)
    monkeypatch.setattr(engines, "_uv_candidates", lambda: [broken, tmp_path / "missing"])
    site.install()
    assert site.ready is None
    assert site.record()["engine"] == "pip"
    with pytest.raises(InstallError, match="uv does not start"):
        site.install(engine="uv", again=True)
    assert site.ready is None


# --- where torch comes from


def test_own_copy_is_preferred_to_the_index(site):
    site.offer("1.0+cpu")
    site.install()
    assert "tinytorch 1.0+cpu from" in site.words
    assert "1 package, 0.0 MiB (on this computer already)" in site.words
    assert not site.paths.wheels.exists()  # used where it lies


def test_pytorch_index_is_asked_and_its_size_told(site, tmp_path):
    index = make_index(tmp_path / "whl", site.offer("1.0+cpu", tmp_path / "elsewhere"))
    with serve(index) as host:
        site.pin(index=f"http://{host}/")
        site.install()
    assert "tinytorch 1.0+cpu from the PyTorch index" in site.words
    assert "1 package, 0.0 MiB" in site.words
    assert "unknown" not in site.words  # no size on the page: the server was asked
    assert site.ready is None


def test_unreachable_index_falls_back_and_says_so(site):
    site.offer("1.0")
    site.install()
    assert site.ready is None
    assert "Instead: tinytorch==1.0 from your pip configuration" in site.words
    assert site.record()["versions"]["tinytorch"] == "1.0"


def test_gpu_build_is_never_replaced_by_another(site):
    site.offer("2.0")
    with pytest.raises(InstallError, match=r"tinytorch==2\.0\+gpu") as caught:
        site.install(cuda="gpu")
    assert "the PyTorch index" in caught.value.why
    assert caught.value.fix
    assert Path(caught.value.where).is_file()
    assert "not installed" in site.ready


def test_build_that_cannot_be_had_leaves_the_working_one(site):
    installed_site(site)
    with pytest.raises(InstallError, match=r"tinytorch==2\.0\+gpu"):
        site.install(cuda="gpu")
    assert site.ready is None
    assert site.record()["torch_set"] == "cpu"
    site.install()
    assert site.events == []


def test_choice_of_build_is_kept(site):
    site.offer("1.0+cpu")
    site.offer("2.0+gpu")
    site.install(cuda="gpu")
    site.install(again=True)  # as `repair` does
    assert site.record()["torch_set"] == "gpu"
    site.install(cuda="cpu")
    assert site.record()["versions"]["tinytorch"] == "1.0+cpu"
    with pytest.raises(UsageError, match="no torch build `cu999`"):
        site.install(cuda="cu999")


# --- what makes it not ready, and how it heals


def installed_site(site):
    site.offer("1.0+cpu")
    site.install()
    return site


def test_newer_pins_leave_the_environment_usable_until_the_update(site):
    installed_site(site)
    site.offer_locked("tiny-acc", "1.1", requires=["tiny-dep"])
    assert site.ready is None
    assert proof.outdated(site.paths, "tiny") == "tiny-acc 1.0 -> 1.1"
    assert not site.install().changed
    site.install(update=True)
    assert site.record()["versions"]["tiny-acc"] == "1.1"
    assert proof.outdated(site.paths, "tiny") is None
    upkeep.roll_back(site.paths, "tiny")
    assert site.record()["versions"]["tiny-acc"] == "1.0"
    assert site.ready is None


@pytest.mark.parametrize("change", [b"", b"mixed_precision: no\n"])
def test_changed_accelerate_config_is_written_again(change, site):
    installed_site(site)
    site.paths.accelerate_config("tiny").write_bytes(change)
    assert "accelerate.yaml" in site.ready
    [difference] = upkeep.differences(site.paths, "tiny")
    assert not difference.needs_new  # the packages are as they were proved
    upkeep.mend_in_place(site.paths, "tiny")
    assert site.ready is None
    assert upkeep.differences(site.paths, "tiny") == []


def lose_installer(site):
    next(site.glob("tiny_dep-*.dist-info/INSTALLER")).unlink()


def lose_file(site):
    (site / "tiny_dep" / "data.txt").unlink()


def cut_file(site):
    (site / "tiny_dep" / "data.txt").write_text("x")


def lose_record(site):
    next(site.glob("tiny_dep-*.dist-info/RECORD")).unlink()


DAMAGES = [lose_installer, lose_file, cut_file, lose_record]


@pytest.mark.parametrize("damage", DAMAGES)
def test_repair_finds_what_is_damaged_and_the_new_environment_is_whole(damage, site):
    """With hard links a cut file is cut in uv's cache too: a new environment must not get it from there."""
    installed_site(site)
    damage(packages.site_packages(site.venv))
    [difference, *_] = upkeep.differences(site.paths, "tiny")
    assert "tiny" in difference.what
    assert difference.needs_new
    site.install(again=True)
    assert upkeep.differences(site.paths, "tiny") == []
    assert (packages.site_packages(site.venv) / "tiny_dep" / "data.txt").read_text() == "x" * 99


@pytest.mark.parametrize("engine", ["uv", "pip"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_half_packages_are_installed_again(damage, engine, site, monkeypatch):
    """Left to itself uv calls such a package satisfied; here the proof fails once, so that half an environment stays."""
    site.offer("1.0+cpu")
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "prove", fail_once)
        with pytest.raises(InstallError, match="power cut"):
            site.install(engine=engine)
    venv = site.growing / "venv"
    damage(packages.site_packages(venv))
    site.install(engine=engine)
    assert site.worked == ["heal", "packages", "proof", "current"]
    assert packages.broken(site.venv) == []
    assert (packages.site_packages(site.venv) / "tiny_dep" / "data.txt").read_text() == "x" * 99


def fail_once(_job, _tell):
    raise InstallError("power cut")


def test_lost_python_makes_it_anew(site):
    installed_site(site)
    site.paths.trainer_python("tiny").unlink()
    assert "Python is gone" in site.ready
    site.install()
    assert site.worked == STEPS
    assert site.ready is None
    assert not list(site.paths.trainer("tiny").glob("*.trash-*"))


def test_failed_proof_is_not_ready(site):
    site.offer("1.0+cpu")
    site.edit('"tiny_dep"]', '"tiny_dep", "tiny_missing"]')
    with pytest.raises(InstallError) as caught:
        site.install()
    assert "tiny_missing" in caught.value.why
    assert Path(caught.value.where).is_file()
    assert "not installed" in site.ready
    assert site.events[-1].state is StepState.FAILED


def test_failed_proof_leaves_the_working_one(site):
    installed_site(site)
    site.edit('"tiny_dep"]', '"tiny_dep", "tiny_missing"]')
    with pytest.raises(InstallError):
        site.install(again=True)
    assert site.ready is None
    assert site.paths.generations("tiny") == ("1",)


def test_link_to_an_environment_is_cut_and_what_it_leads_to_is_left(site, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs").touch()
    site.paths.trainer("tiny").mkdir(parents=True)
    site.venv.symlink_to(elsewhere, target_is_directory=True)
    installed_site(site)
    assert site.ready is None
    assert list(elsewhere.iterdir()) == [elsewhere / "theirs"]


# --- refusals


def test_full_drive_is_refused_before_anything_is_made(site):
    site.edit("disk_mib = 1", "disk_mib = 999999999")
    with pytest.raises(InstallError, match="drive is too full: about 999999999 MiB are needed"):
        site.install()
    assert not site.venv.exists()


def test_build_larger_than_the_drive_is_refused_before_the_download(site, monkeypatch):
    site.offer("1.0+cpu")
    monkeypatch.setattr(wheels, "UNPACKED", 10**12)
    with pytest.raises(InstallError, match="drive is too full"):
        site.install()
    assert "tinytorch" not in packages.installed(site.growing / "venv")


def test_python_that_is_nowhere_and_cannot_be_brought(site):
    site.edit('["3.8", "3.99"]', '["3.5", "3.5"]')
    with pytest.raises(InstallError, match=r"Python 3\.5"):
        site.install()
    assert "not installed" in site.ready


@pytest.mark.parametrize("text", ["title = ", "title = 'x'", "\x00", "sets = 1\ndefault_set = 1\ntitle = 1"])
def test_damaged_pins(text, site):
    (site.paths.pins / "tiny.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InstallError, match="pins of `tiny` are damaged"):
        site.install()


def test_wrong_hash_in_the_lock_installs_nothing(site):
    site.offer("1.0+cpu")
    lock = site.paths.pins / "locks" / "tiny-cpu.txt"
    lock.write_text(
        lock.read_text().replace("sha256:", "sha256:00000000")[: -len("00000000")], encoding="utf-8"
    )
    text = "".join(
        line.replace(line[-70:-62], "00000000") if "sha256" in line else line
        for line in lock.read_text().splitlines(keepends=True)
    )
    lock.write_text(text, encoding="utf-8")
    with pytest.raises(InstallError) as caught:
        site.install()
    assert "tiny_acc" not in packages.installed(site.growing / "venv")
    assert caught.value.fix
    assert "not installed" in site.ready


def test_unknown_trainer(site):
    with pytest.raises(InstallError, match="no environment to install for `nobody`"):
        install_trainer(site.paths, "nobody")
    assert trainer_ready(site.paths, "nobody") is not None


def test_drive_that_fills_up(site, monkeypatch):
    site.offer("1.0+cpu")
    monkeypatch.setattr("launcher.install.job.write_json", _full)
    with pytest.raises(InstallError, match="could not be written") as caught:
        site.install()
    assert "room" in caught.value.fix


def _full(*_):
    raise OSError(28, "No space left on device")


# --- kills and crowds

CHILD = (
    "import sys; from pathlib import Path; from launcher.install import install_trainer; from launcher.paths import Paths\n"
    "root = Path(sys.argv[1])\n"
    "install_trainer(Paths(root=root, home=root / 'data', shipped=root / 'shipped'), 'tiny', engine=sys.argv[2], update=True,\n"
    "                report=lambda event: print(event.step, event.state.value, event.detail, flush=True))\n"
)


def start_install(site, engine="uv"):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, site.paths.root, engine], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        encoding="utf-8",
    )  # fmt: skip


def heavy(site, files=1500):
    """Wheels of many files, so that linking them takes long enough to be killed in the middle."""
    for name, requires in (("tiny-acc", ["tiny-dep"]), ("tiny-dep", [])):
        module = name.replace("-", "_")
        contents = {
            f"{module}/__init__.py": "",
            **{f"{module}/part{n // 50}/f{n}.txt": f"{n}" for n in range(files)},
        }
        site.offer_locked(name, "1.1", files=contents, requires=requires)
    contents = {
        "tinytorch/__init__.py": "",
        **{f"tinytorch/part{n // 50}/f{n}.txt": f"{n}" for n in range(files)},
    }
    make_wheel(site.wheels, "tinytorch", "1.0+cpu", files=contents)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize(
    ("engine", "kills"),
    [("uv", 6), ("pip", 2), pytest.param("uv", 30, marks=[pytest.mark.slow, LONG])],
)
def test_killed_at_random_moments(engine, kills, site):
    """Each kill hits what the one before left; the environment that worked before stays usable all along."""
    installed_site(site)
    first = site.paths.generations("tiny")
    heavy(site)
    moments = random.Random(20261123)
    for _ in range(kills):
        process = start_install(site, engine)
        time.sleep(0.6 + moments.random() * (2.5 if engine == "uv" else 6.0))
        process.kill()  # uv or pip, its child, lives on and holds the lock
        process.communicate()
        assert site.ready is None
        assert tries(site)
    site.install(engine=engine, update=True)
    assert site.ready is None
    assert site.paths.generations("tiny") != first
    assert upkeep.differences(site.paths, "tiny") == []
    assert len(list((packages.site_packages(site.venv) / "tiny_dep").rglob("*.txt"))) == 1500


def tries(site):
    """The environment that is current really starts and imports what it should."""
    python = site.paths.trainer_python("tiny")
    done = subprocess.run(
        [python, "-I", "-c", "import tinytorch, tiny_acc, tiny_dep"], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_uv_killed_while_linking_is_healed(site):
    """The scar itself: uv dies with files half linked, its next run would call that satisfied."""
    heavy(site, files=4000)
    process = start_install(site)
    deadline = time.monotonic() + TIMEOUT_S
    while (
        not list(site.paths.trainer("tiny").glob("1/venv/lib/*/site-packages/tinytorch"))
        and process.poll() is None
    ):
        assert time.monotonic() < deadline
    import psutil

    for child in psutil.Process(process.pid).children(recursive=True):
        child.send_signal(signal.SIGKILL)
    process.kill()
    process.communicate()
    site.install()
    assert site.ready is None
    assert packages.broken(site.venv) == []
    assert len(list((packages.site_packages(site.venv) / "tinytorch").rglob("*.txt"))) == 4000


def test_two_at_once(site):
    heavy(site)
    both = [start_install(site) for _ in range(2)]
    outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert site.ready is None
    assert sum("proof done" in output for output in outputs) == 1
    assert sum("another window is installing this" in output for output in outputs) == 1


# --- parts


def test_a_step_that_does_not_take_is_an_error(tmp_path):
    step = Step(name="x", title="Part", check=lambda: "it is missing", do=lambda _: None)
    with pytest.raises(InstallError, match="Part: done, and yet it is missing"):
        run_steps([step], journal=tmp_path / "journal.jsonl", report=lambda _: None)


def test_steps_stop_at_the_first_failure(tmp_path):
    done = []

    def fail(_):
        raise InstallError("no")

    steps = [
        Step(name="bad", title="Bad", check=lambda: "x", do=fail),
        Step(name="next", title="Next", check=lambda: done.append(1), do=done.append),
    ]
    with pytest.raises(InstallError, match="no"):
        run_steps(steps, journal=tmp_path / "journal.jsonl", report=lambda _: None)
    assert done == []


@pytest.mark.parametrize(
    ("download", "words"),
    [
        (Download(packages=0, known_bytes=0, unknown=0, local_bytes=0), "nothing"),
        (Download(packages=1, known_bytes=200 << 20, unknown=0, local_bytes=0), "1 package, 200 MiB"),
        (Download(packages=2, known_bytes=0, unknown=2, local_bytes=0), "2 packages, size unknown"),
        (
            Download(packages=9, known_bytes=210 << 20, unknown=2, local_bytes=183 << 20),
            "9 packages, 210 MiB (of which 183 MiB on this computer already); the size of 2 is unknown",
        ),
        (
            Download(packages=1, known_bytes=3 << 20, unknown=0, local_bytes=3 << 20),
            "1 package, 3.0 MiB (on this computer already)",
        ),
    ],
)
def test_sizes_in_words(download, words):
    assert download.in_words() == words


def test_sizes_come_from_the_index_the_disk_or_the_server(tmp_path):
    wheel = make_wheel(tmp_path, "tinytorch", "1.0")
    with serve(tmp_path) as host:
        lock = {
            "packages": [
                {
                    "name": "told",
                    "version": "1",
                    "wheels": [{"url": "https://x.test/told.whl", "size": 1000}],
                },
                {"name": "here", "version": "1", "wheels": [{"url": wheel.as_uri()}]},
                {"name": "asked", "version": "1", "wheels": [{"url": f"http://{host}/{wheel.name}"}]},
                {"name": "gone", "version": "1", "wheels": [{"url": f"http://{host}/gone.whl"}]},
                {
                    "name": "Have_It",
                    "version": "1",
                    "wheels": [{"url": "https://x.test/have.whl", "size": 5}],
                },
            ]
        }
        download = measure(lock, {"have-it": "1"}, PipSettings())
    size = wheel.stat().st_size
    assert download == Download(packages=4, known_bytes=1000 + 2 * size, unknown=1, local_bytes=size)


@pytest.mark.parametrize(
    "url", ["", "ftp://x.test/y", "file:///etc/passwd", "http://127.0.0.1:9/x", "http://[bad/x"]
)
def test_no_size_is_no_error(url):
    assert remote_size(url, PipSettings()) is None


# --- the shipped pins and the real environment


def test_accelerate_config_says_what_the_facts_say(site):
    """Facts 2.6: the file of 0.25.0, without the keys that some version refuses."""
    installed_site(site)
    text = site.paths.accelerate_config("tiny").read_bytes().decode("ascii")
    keys = [line.partition(":")[0] for line in text.splitlines()]
    assert keys == sorted(keys)
    assert "mixed_precision: fp8\n" in text
    assert "use_cpu: false\n" in text
    assert "distributed_type: 'NO'\n" in text
    assert {"enable_cpu_affinity", "fp8_config", "downcase_fp16"}.isdisjoint(keys)
    assert "\r" not in text
