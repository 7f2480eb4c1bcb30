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
from launcher.install import forget_marker, install_trainer, packages, proof, torchset, trainer_ready
from launcher.install.commands import advice
from launcher.install.index import PipSettings
from launcher.install.pins import load_pins
from launcher.install.sizes import Download, measure, remote_size
from launcher.install.steps import Step, StepState, run_steps
from launcher.paths import Paths
from tests.tiny_wheels import make_index, make_wheel, serve

ROOT = Path(__file__).resolve().parent.parent
UNREACHABLE = "http://127.0.0.1:9/whl"  # the discard port: nobody listens
TIMEOUT_S = 120
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

[packages]
tiny_acc = "1.0"

[proof]
imports = ["tinytorch", "tiny_acc", "tiny_dep"]
"""


class Site:
    """A place to install into, with its own pins and its own folder of wheels."""

    def __init__(self, folder):
        self.paths = Paths(root=folder, home=folder / "data", shipped=folder / "shipped")
        self.wheels = folder / "wheels"
        self.events = []
        make_wheel(self.wheels, "tiny-acc", "1.0", requires=["tiny-dep"])
        make_wheel(
            self.wheels, "tiny-dep", "1.0", files={"tiny_dep/__init__.py": "", "tiny_dep/data.txt": "x" * 99}
        )
        self.pin()

    def pin(self, index=UNREACHABLE, **changes):
        text = PINS.replace("{index}", index)
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        self.paths.pins.mkdir(parents=True, exist_ok=True)
        (self.paths.pins / "tiny.toml").write_text(text, encoding="utf-8")

    def edit(self, old, new):
        file = self.paths.pins / "tiny.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def offer(self, version, folder=None):
        return make_wheel(folder or self.wheels, "tinytorch", version)

    def install(self, **options):
        self.events.clear()
        install_trainer(self.paths, "tiny", report=self.events.append, **options)

    @property
    def ready(self):
        return trainer_ready(self.paths, "tiny")

    @property
    def venv(self):
        return self.paths.trainer_venv("tiny")

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
    (folder / "empty index").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (folder / "empty index").as_uri())
    return site


# --- made once, then found


def test_installed_proved_and_then_nothing_to_do(site):
    site.offer("1.0+cpu")
    assert "not installed" in site.ready
    site.install()
    assert site.ready is None
    assert site.worked == ["venv", "torch", "packages", "accelerate", "proof"]
    assert [event.number for event in site.events if event.state is StepState.BEGIN] == [3, 5, 6, 7, 8]
    record = site.record()
    assert record["versions"] == {"tiny-acc": "1.0", "tinytorch": "1.0+cpu"}
    assert record["torch_set"] == "cpu"
    assert record["engine"] == "uv"
    site.install()
    assert site.events == []


def test_journal_tells_what_happened(site):
    site.offer("1.0+cpu")
    site.install()
    lines = (site.paths.trainer("tiny") / "install.jsonl").read_text(encoding="utf-8").splitlines()
    told = [(event["step"], event["state"]) for event in map(json.loads, lines)]
    assert told[:2] == [("python", "skipped"), ("space", "skipped")]
    assert told[-1] == ("proof", "done")


def test_pip_does_it_too(site):
    site.offer("1.0+cpu")
    site.install(engine="pip")
    assert site.ready is None
    assert site.record()["engine"] == "pip"
    assert (
        "to download: size unknown" in site.words
    )  # pip cannot tell before it downloads, and we do not guess


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
    forget_marker(site.paths, "tiny")
    with pytest.raises(InstallError, match="uv does not start"):
        site.install(engine="uv")


def test_uv_environment_can_be_completed_by_pip(site):
    """uv's environments have no pip."""
    site.offer("1.0+cpu")
    site.install(engine="uv")
    site.edit('tiny_acc = "1.0"', 'tiny_acc = "1.1"')
    make_wheel(site.wheels, "tiny-acc", "1.1", requires=["tiny-dep"])
    site.install(engine="pip")
    assert site.record()["versions"]["tiny-acc"] == "1.1"


# --- where torch comes from


def test_own_copy_is_preferred_to_the_index(site):
    site.offer("1.0+cpu")
    site.install()
    assert (
        "tinytorch==1.0+cpu from your pip configuration: 1 package, 0.0 MiB (on this computer already)"
        in site.words
    )


def test_pytorch_index_is_asked_and_its_size_told(site, tmp_path):
    index = make_index(tmp_path / "whl", site.offer("1.0+cpu", tmp_path / "elsewhere"))
    with serve(index) as host:
        site.pin(index=f"http://{host}/")
        site.install()
    assert "tinytorch==1.0+cpu from the PyTorch index: 1 package, 0.0 MiB" in site.words
    assert "unknown" not in site.words  # no size on the page: the server was asked
    assert site.ready is None


def test_unreachable_index_falls_back_and_says_so(site):
    site.offer("1.0")
    site.install()
    assert site.ready is None
    assert (
        "the PyTorch index cannot be used, so tinytorch==1.0 from your pip configuration: 1 package"
        in site.words
    )
    assert site.record()["versions"]["tinytorch"] == "1.0"


def test_gpu_build_is_never_replaced_by_another(site):
    site.offer("2.0")
    with pytest.raises(InstallError, match="torch build GPU could not be had") as caught:
        site.install(cuda="gpu")
    assert "the PyTorch index: " in caught.value.why
    assert "network" in caught.value.fix
    assert Path(caught.value.where).is_file()
    assert "not installed" in site.ready


def test_build_that_cannot_be_had_leaves_the_working_one(site):
    installed_site(site)
    with pytest.raises(InstallError, match="could not be had"):
        site.install(cuda="gpu")
    assert site.ready is None
    assert site.record()["torch_set"] == "cpu"
    site.install()
    assert site.events == []


def test_choice_of_build_is_kept(site):
    site.offer("1.0+cpu")
    site.offer("2.0+gpu")
    site.install(cuda="gpu")
    forget_marker(site.paths, "tiny")
    site.install()  # as `repair` does
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


def test_changed_pins_install_only_what_differs(site):
    installed_site(site)
    make_wheel(site.wheels, "tiny-acc", "1.1", requires=["tiny-dep"])
    site.edit('tiny_acc = "1.0"', 'tiny_acc = "1.1"')
    assert "versions it is planned from have changed" in site.ready
    site.install()
    assert site.worked == ["packages", "proof"]


def test_windows_line_ends_are_no_change(site):
    installed_site(site)
    file = site.paths.pins / "tiny.toml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert site.ready is None


@pytest.mark.parametrize("change", [b"", b"mixed_precision: no\n"])
def test_changed_accelerate_config_is_written_again(change, site):
    installed_site(site)
    site.paths.accelerate_config("tiny").write_bytes(change)
    assert "accelerate.yaml" in site.ready
    site.install()
    assert site.worked == ["accelerate"]  # the packages are as they were proved
    assert site.ready is None


def lose_installer(site):
    next(site.glob("tiny_dep-*.dist-info/INSTALLER")).unlink()


def lose_file(site):
    (site / "tiny_dep" / "data.txt").unlink()


def cut_file(site):
    (site / "tiny_dep" / "data.txt").write_text("x")


def lose_record(site):
    next(site.glob("tiny_dep-*.dist-info/RECORD")).unlink()


@pytest.mark.parametrize("engine", ["uv", "pip"])
@pytest.mark.parametrize("damage", [lose_installer, lose_file, cut_file, lose_record])
def test_half_packages_are_installed_again(damage, engine, site):
    """Left to itself uv calls such a package satisfied; `tiny-dep` is nobody's pin, only a dependency."""
    site.offer("1.0+cpu")
    site.install(engine=engine)
    damage(packages.site_packages(site.venv))
    forget_marker(site.paths, "tiny")
    site.install(engine=engine)
    assert site.worked == ["heal", "packages", "proof"]
    assert packages.broken(site.venv) == []
    assert (packages.site_packages(site.venv) / "tiny_dep" / "data.txt").read_text() == "x" * 99


def test_lost_python_makes_it_anew(site):
    installed_site(site)
    site.paths.trainer_python("tiny").unlink()
    assert "Python is gone" in site.ready
    site.install()
    assert site.worked[:2] == ["venv", "torch"]
    assert site.ready is None
    assert not list(site.paths.trainer("tiny").glob("*.trash-*"))


def test_failed_proof_is_not_ready(site):
    site.offer("1.0+cpu")
    site.edit('"tiny_dep"]', '"tiny_dep", "tiny_missing"]')
    with pytest.raises(InstallError, match="does not pass its proof") as caught:
        site.install()
    assert "import tiny_missing: ModuleNotFoundError" in caught.value.why
    assert Path(caught.value.where).is_file()
    assert "not installed" in site.ready
    assert site.events[-1].state is StepState.FAILED


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
    monkeypatch.setattr(torchset, "UNPACKED", 10**12)
    with pytest.raises(InstallError, match="drive is too full"):
        site.install()
    assert "tinytorch" not in packages.installed(site.venv)


def test_unfit_python_is_refused_with_the_right_one(site):
    site.edit('["3.8", "3.99"]', '["3.6", "3.8"]')
    with pytest.raises(InstallError, match=r"needs a 64-bit Python from 3\.6 to 3\.8") as caught:
        site.install()
    assert "Install Python 3.8" in caught.value.fix


@pytest.mark.parametrize("text", ["title = ", "title = 'x'", "\x00", "sets = 1\ndefault_set = 1\ntitle = 1"])
def test_damaged_pins(text, site):
    (site.paths.pins / "tiny.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InstallError, match="pins of `tiny` are damaged"):
        site.install()


def test_unknown_trainer(site):
    with pytest.raises(InstallError, match="no environment to install for `nobody`"):
        install_trainer(site.paths, "nobody")
    assert trainer_ready(site.paths, "nobody") is not None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a small tmpfs")
def test_drive_that_fills_up(site, monkeypatch):
    site.offer("1.0+cpu")
    monkeypatch.setattr("launcher.install.trainer.write_json", _full)
    with pytest.raises(InstallError, match="could not be written") as caught:
        site.install()
    assert "room" in caught.value.fix


def _full(*_):
    raise OSError(28, "No space left on device")


# --- kills and crowds

CHILD = (
    "import sys; from pathlib import Path; from launcher.install import install_trainer; from launcher.paths import Paths\n"
    "root = Path(sys.argv[1])\n"
    "install_trainer(Paths(root=root, home=root / 'data', shipped=root / 'shipped'), 'tiny', engine=sys.argv[2],\n"
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
        make_wheel(site.wheels, name, "1.0", files=contents, requires=requires)
    contents = {
        "tinytorch/__init__.py": "",
        **{f"tinytorch/part{n // 50}/f{n}.txt": f"{n}" for n in range(files)},
    }
    make_wheel(site.wheels, "tinytorch", "1.0+cpu", files=contents)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize(
    ("engine", "kills"),
    [("uv", 6), ("pip", 2), pytest.param("uv", 40, marks=pytest.mark.slow)],
)
def test_killed_at_random_moments(engine, kills, site):
    """Seeds are printed by pytest on failure; each kill hits the tree of the one before."""
    heavy(site)
    moments = random.Random(20261123)
    for _ in range(kills):
        process = start_install(site, engine)
        time.sleep(0.6 + moments.random() * (1.2 if engine == "uv" else 5.0))
        process.kill()  # uv or pip, its child, lives on and holds the lock
        process.communicate()
        if moments.random() < 0.3:
            forget_marker(site.paths, "tiny")
    site.install(engine=engine)
    assert site.ready is None
    assert packages.broken(site.venv) == []
    assert len(list((packages.site_packages(site.venv) / "tiny_dep").rglob("*.txt"))) == 1500


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_uv_killed_while_linking_is_healed(site):
    """The scar itself: uv dies with files half linked, its next run would call that satisfied."""
    heavy(site, files=4000)
    process = start_install(site)
    deadline = time.monotonic() + TIMEOUT_S
    while not list(site.venv.glob("lib/*/site-packages/tinytorch")) and process.poll() is None:
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


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: failed to write: No space left on device (os error 28)", "Make room"),
        ("cause: dns error: failed to lookup address", "network connection"),
        ("invalid peer certificate: UnknownIssuer", "global.cert"),
        ("ProxyError('Cannot connect to proxy.', 407 Proxy Authentication Required)", "proxy"),
        ("HTTP status client error (401 Unauthorized)", "refuses the name or password"),
        ("Because torch was not found in the package registry", "does not have what is needed"),
        ("failed to remove file: Access is denied. (os error 5)", "virus scanner"),
        ("something new", "goes on where it stopped"),
    ],
)
def test_advice_fits_the_failure(output, words):
    assert words in advice(output)


def test_answer_of_the_probe_is_found_among_noise():
    noise = "warning\nprobe-result nonsense\nmore\n"
    good = 'probe-result {"versions": {}, "problems": []}\n'
    assert proof.parse_answer(noise + good + "bye\n") == {"versions": {}, "problems": []}
    assert proof.parse_answer(good + noise) is None
    assert proof.parse_answer("") is None


# --- the shipped pins and the real environment


@pytest.mark.parametrize("python", [(3, 10), (3, 11), (3, 14)])
def test_shipped_pins_are_exact(python):
    pins = load_pins(Paths(root=ROOT, home=ROOT, shipped=ROOT), "rehearsal")
    assert set(pins.sets) == {"cpu", "cu121"}
    assert pins.torch_set("cu121").fallback == ()
    for torch_set in pins.sets.values():
        assert all(package.count("==") == 1 for package in (*torch_set.packages, *torch_set.fallback))
    versions = pins.versions(python)
    assert {"accelerate", "diffusers", "safetensors", "pillow", "numpy", "psutil"} <= set(versions)
    assert ("tomli" in versions) == (python == (3, 10))
    assert all(version[0].isdigit() for version in versions.values())


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


@pytest.mark.training
def test_accelerate_reads_its_config(training_python, tmp_path):
    (tmp_path / "accelerate.yaml").write_text(proof.ACCELERATE_CONFIG, encoding="ascii")
    code = (
        "import sys; from accelerate.commands.config.config_args import load_config_from_file as load\n"
        "config = load(sys.argv[1]); print(config.mixed_precision, config.num_processes, config.use_cpu)"
    )
    answer = subprocess.run(
        [training_python, "-c", code, tmp_path / "accelerate.yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["fp8", "1", "False"]


@pytest.mark.training
def test_probe_of_the_real_environment(training_python, tmp_path):
    pins = load_pins(Paths(root=ROOT, home=ROOT, shipped=ROOT), "rehearsal")
    question = {
        "imports": pins.proof_imports,
        "operations": pins.proof_operations,
        "versions": ["torch", "nothing"],
    }
    answer = subprocess.run(
        [training_python, "-I", "-X", "utf8", proof.PROBE, json.dumps(question)], capture_output=True, text=True,
        encoding="utf-8", check=True, cwd=tmp_path,
    )  # fmt: skip
    found = proof.parse_answer(answer.stdout)
    assert found is not None
    assert found["problems"] == []
    assert found["versions"]["nothing"] is None
    assert found["versions"]["torch"]
