"""The proof of an environment: what works counts, what crashes, hangs or lies is found, and nothing hides the rest."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install import accelerate, findings, proof, proving
from launcher.install.commands import Commands, Log
from launcher.install.findings import FAILED, FELL_BACK, OK, SKIPPED, Check, ProofError, Report, death
from launcher.install.index import PipSettings
from launcher.install.pins import SourcePin, load_pins
from launcher.install.probe import serves
from launcher.paths import Paths

ROOT = Path(__file__).resolve().parent.parent
PINS = """\
title = "Tiny"
default_set = "cpu"

[sets.cpu]
title = "CPU"
packages = ["tinytorch==1.0+cpu"]
fallback = ["tinytorch==1.0"]
python = ["3.8", "3.99"]
disk_mib = 1

[packages]
tiny_acc = "1.0"

[proof]
imports = []
"""
BUSY = "raise RuntimeError('CUDA error: all CUDA-capable devices are busy or unavailable')"
MODULES = {  # what foreign code may do while it is imported
    "good": "",
    "broken": "import nowhere_to_be_found",
    "crasher": "import ctypes; ctypes.string_at(0)",
    "sleeper": "import time; time.sleep(600)",
    "quitter": "import sys; sys.exit(3)",
    "vanisher": "import os; os._exit(7)",
    "noisy": "import sys; sys.stdout.write('no line end'); sys.stderr.write('probe-result nonsense\\n')",
    "busy": BUSY,
}


class Bench:
    """A small environment with packages that misbehave, and the means to prove it."""

    def __init__(self, folder, base=None):
        self.folder = folder
        self.venv = folder / "an environment 訓練"
        words = [sys.executable if base is None else base, "-m", "venv", "--without-pip", self.venv]
        subprocess.run(words, check=True)
        self.python = next(
            path for path in (self.venv / "bin/python", self.venv / "Scripts/python.exe") if path.exists()
        )
        self.site = next(self.venv.rglob("site-packages"))
        self.log = Log(folder / "log.txt")
        self.commands = Commands(settings=PipSettings(), cache=folder / "cache", log=self.log)
        self.planned = {}
        self.told = []
        self.package("tiny", "1.0")
        (folder / "vendor").mkdir()
        (folder / "vendor" / "tiny.toml").write_text(PINS)
        self.paths = Paths(root=folder, home=folder, shipped=folder)
        self.pins = load_pins(self.paths, "tiny")
        self.torch_set = self.pins.sets["cpu"]

    def package(self, name, version, **files):
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        for path, text in files.items():
            file = self.site / name / f"{path}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(text))
        self.planned[name] = version

    def modules(self, *names):
        for name in names:
            (self.site / f"{name}.py").write_text(MODULES[name])
        self.pins = replace(self.pins, proof_imports=names)

    def prove(self, *, code=None, attention="xformers", **options):
        return proof.probe(
            self.commands, self.python, code, self.pins, self.planned, torch_set=self.torch_set,
            attention=attention, tell=lambda words, **_: self.told.append(words), **options,
        )  # fmt: skip

    def fails(self, **options):
        with pytest.raises(ProofError) as caught:
            self.prove(**options)
        return caught.value


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def rows(report):
    return {check.title: check for check in report.checks}


# --- one check must not hide another


def test_what_works_is_told(bench):
    bench.modules("good", "noisy")
    report = bench.prove()
    assert [check.state for check in report.checks] == [OK, OK]
    assert rows(report)["Packages"].value == f"Python {report.python}, 1 of 1 as planned"
    assert report.versions == {"tiny": "1.0"}
    assert report.device == "cpu"
    assert (report.attention, report.attention_reason) == ("sdpa", "this environment has no xformers")
    assert bench.told[0] == "trying: Packages"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_every_failure_is_found_at_once(bench, monkeypatch):
    monkeypatch.setattr(proving, "CHECK_LIMIT_S", 3.0)
    monkeypatch.setattr(findings, "CHECK_LIMIT_S", 3.0)
    bench.modules("broken", "good", "crasher", "sleeper", "quitter", "vanisher", "noisy")
    error = bench.fails()
    assert error.what == "The new environment does not pass its proof."
    assert "import broken: ModuleNotFoundError: No module named 'nowhere_to_be_found'" in error.why
    assert "import crasher: it crashed (SIGSEGV)" in error.why
    assert "import sleeper: it did not end within 3 s" in error.why
    assert "import quitter: SystemExit: 3" in error.why
    assert "import vanisher: it ended with code 7" in error.why
    assert "good" not in error.why
    assert "noisy" not in error.why
    assert rows(error.report)["Imports"].value == "2 of 7"
    assert Path(error.where).is_file()
    log = bench.log.path.read_text(encoding="utf-8")
    assert "Fatal Python error: Segmentation fault" in log  # the place, for those who look
    assert "Traceback" in log


def test_wrong_and_missing_packages_are_named(bench):
    bench.planned.update({"tiny": "2.0", "nothing": "1.0"})
    error = bench.fails()
    assert "tiny is 1.0 and should be 2.0" in error.why
    assert "nothing is None and should be 1.0" in error.why
    assert error.exit_code == InstallError.exit_code


def test_busy_card_is_not_called_broken(bench):
    bench.modules("busy", "broken")
    error = bench.fails(accelerate_config=bench.folder / "none.yaml")
    assert error.what == "The graphics card has no room for the proof of the new environment."
    assert "a training" in error.why
    assert "only the proof is repeated" in error.fix
    assert "nowhere_to_be_found" not in error.why  # nothing more was tried
    assert "accelerate launch" not in rows(error.report)


def test_environment_that_does_not_start(bench):
    bench.python.unlink()
    with pytest.raises(InstallError, match="does not start") as caught:
        bench.prove()
    assert "cannot be started" in caught.value.why


def test_nothing_from_outside_is_taken(bench, monkeypatch, tmp_path):
    """A module of that name on the user's PYTHONPATH neither helps nor harms."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "good.py").write_text("raise RuntimeError('taken from outside')")
    (outside / "only_there.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(outside))
    bench.modules("good")
    bench.prove()
    bench.pins = replace(bench.pins, proof_imports=("only_there",))
    assert "No module named 'only_there'" in bench.fails().why


# --- the trainer's own help

SOURCE = SourcePin(
    git="", zip="", commit="abc", tree="", ref="", executables=(), omitted={}, script="train 訓練.py"
)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("print('usage: --fp8_base ✓ 訓練')", None),
        ("print('usage: --other')", "its help does not know --fp8_base"),
        ("import sys; print('--fp8_base'); sys.exit('no torch')", "no torch"),
        ("import os; assert os.environ['HF_HUB_OFFLINE'] == '1'; print('--fp8_base')", None),
        ("import helper; print(helper.TEXT)", None),  # what lies beside the script is found, from any folder
    ],
)
def test_help_of_the_trainer(script, problem, bench, monkeypatch):
    monkeypatch.delenv("PYTHONUTF8", raising=False)
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")  # a Western Windows
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    code = bench.folder / "code"
    code.mkdir()
    (code / SOURCE.script).write_text(script, encoding="utf-8")
    (code / "helper.py").write_text("TEXT = '--fp8_base'")
    bench.pins = replace(bench.pins, source=SOURCE, probe_help=True)
    report = bench.fails(code=code).report if problem else bench.prove(code=code)
    check = rows(report)["train 訓練.py --help"]
    assert check.state == (FAILED if problem else OK)
    assert (problem or "") in check.detail


# --- with a real torch


@pytest.fixture
def torch_bench(tmp_path, training_python):
    """The same on top of the rehearsal's environment: real torch, real accelerate."""
    bench = Bench(tmp_path, base=training_python)
    site = next((training_python.parent.parent).rglob("site-packages"))
    (bench.site / "below.pth").write_text(f"{site}\n", encoding="utf-8")
    code = "import importlib.metadata as m; print(m.version('torch'))"
    told = subprocess.run([training_python, "-c", code], capture_output=True, text=True, check=True)
    bench.planned["torch"] = told.stdout.strip()
    return bench


@pytest.mark.training
def test_real_torch_and_accelerate(torch_bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # must not reach the launch
    config = tmp_path / "accelerate.yaml"
    accelerate.write_config(config, "1.15.0")
    torch_bench.planned["numpy"] = json.loads(_version_of(torch_bench, "numpy"))
    torch_bench.planned["safetensors"] = json.loads(_version_of(torch_bench, "safetensors"))
    torch_bench.pins = replace(
        torch_bench.pins, accelerate="1.15.0", proof_operations=("bf16", "fp8", "unknown")
    )
    report = torch_bench.prove(accelerate_config=config)
    found = rows(report)
    assert {check.state for check in report.checks} <= {OK, SKIPPED}
    assert found["Weights stored in fp8"].value.startswith("float8_e4m3fn on ")
    assert "off by at most" in found["Attention by PyTorch (SDPA)"].value
    assert found["fp8 weights in a file"].state == OK
    assert found["accelerate launch"].value == "1.15.0 with accelerate.yaml, precision as asked for"
    assert json.loads(json.dumps(report.to_json()))["checks"][0]["title"] == "Packages"


def _version_of(bench, name):
    code = f"import importlib.metadata as m, json; print(json.dumps(m.version('{name}')))"
    return subprocess.run([bench.python, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.training
@pytest.mark.parametrize(
    ("operations", "library", "words"),
    [
        ("raise ImportError('DLL load failed while importing _C')", "", "DLL load failed"),
        ("", "_cpp_library_load_exception = 'built for: PyTorch 2.4'", "built for: PyTorch 2.4"),
        pytest.param(
            "import os; os.abort()",
            "",
            "SIGABRT",
            marks=pytest.mark.skipif(os.name == "nt", reason="signals"),
        ),
    ],
)
def test_xformers_that_does_not_work_gives_way_to_sdpa(operations, library, words, torch_bench):
    torch_bench.package("xformers", "0.0.1", __init__="", ops=operations, _cpp_lib=library)
    report = torch_bench.prove()
    assert rows(report)["Attention by xformers"].state == FELL_BACK
    assert report.must_remove_xformers
    assert report.attention == "sdpa"
    assert words in report.attention_reason
    assert rows(report)["Attention by PyTorch (SDPA)"].state == OK


@pytest.mark.training
def test_busy_card_does_not_cost_xformers(torch_bench):
    torch_bench.package("xformers", "0.0.1", __init__="", ops=BUSY)
    error = torch_bench.fails()
    assert "no room" in error.what
    assert not error.report.must_remove_xformers


@pytest.mark.training
def test_working_xformers_is_taken_as_wished(torch_bench):
    """A stand-in that computes with the formula: where there is no card it is only looked at."""
    torch_bench.package("xformers", "0.0.1", __init__="", _cpp_lib="", ops=WORKING)
    report = torch_bench.prove()
    check = rows(report)["Attention by xformers"]
    assert (check.state, report.attention) in {(OK, "xformers"), (SKIPPED, "sdpa")}
    assert not report.must_remove_xformers
    assert torch_bench.prove(attention="sdpa").attention == "sdpa"


WORKING = """\
import torch
def memory_efficient_attention(q, k, v):
    turned = (tensor.transpose(1, 2) for tensor in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(*turned).transpose(1, 2)
"""


@pytest.mark.training
def test_torch_from_another_channel_is_found(torch_bench):
    """The record may say what was planned: torch itself is asked."""
    version = torch_bench.planned["torch"].partition("+")[0]
    for info in torch_bench.site.glob("torch-*"):
        info.unlink()
    torch_bench.package("torch", f"{version}+cu121")
    torch_bench.torch_set = replace(torch_bench.torch_set, cuda="12.1")
    error = torch_bench.fails()
    assert f"and should be {version}+cu121" in error.why
    assert "nvidia-smi" in error.fix
    assert rows(error.report)["Graphics card"].state == FAILED


@pytest.mark.training
def test_library_that_computes_nonsense_is_found(torch_bench):
    torch_bench.package(
        "cv2", "1.0", __init__="__version__ = '1'\nINTER_AREA = 0\ndef resize(a, *_, **__): return a\n"
    )
    torch_bench.package("opencv-python", "1.0")
    assert "Images (OpenCV): ArithmeticError: the picture is wrong" in torch_bench.fails().why


# --- parts


@pytest.mark.parametrize(
    ("build", "capability", "runs"),
    [
        ("sm_86", (8, 9), True),  # RTX 40 runs the code of RTX 30
        ("sm_86", (8, 6), True),
        ("sm_86", (8, 0), False),
        ("sm_80", (9, 0), False),  # machine code stays within its major version
        ("sm_90", (12, 0), False),  # RTX 50 with cu121
        ("sm_61", (6, 0), False),
        ("sm_60", (6, 1), True),
        ("compute_90", (12, 0), True),  # PTX is compiled by the driver for later cards
        ("compute_90", (8, 6), False),
        ("sm_90a", (9, 0), True),
        ("sm_90a", (9, 1), False),
        ("sm_120", (12, 0), True),
        ("sm_103f", (10, 3), True),
        ("gfx90a", (9, 0), False),
        ("", (9, 0), False),
    ],
)
def test_which_code_runs_on_which_card(build, capability, runs):
    assert serves(build, capability) is runs


@pytest.mark.parametrize(
    ("code", "lines", "words"),
    [
        (-9, [], "(SIGKILL: perhaps the memory was full)"),
        (-11, [], "it crashed (SIGSEGV)"),
        (-250, [], "it crashed (signal 250)"),
        (0xC0000005, [], "access violation"),
        (0xC0000135 - 2**32, [], "a DLL is missing"),
        (1, ["Timeout (0:05:00)!", "x"], "did not end within"),
        (1, ["one", "two", "three", "four"], "two / three / four"),
        (3, [], "ended with code 3"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="signal names")
def test_ends_of_processes_in_words(code, lines, words):
    assert words in death(code, lines)


# --- the record

REPORT = Report(
    checks=(Check(title="Packages"),), python="3.11.7", versions={"tinytorch": "1.0+cpu", "tiny-acc": "1.0"},
    attention="sdpa", attention_reason="x", cuda=None, device="cpu", capability=None,
)  # fmt: skip


@pytest.fixture
def proved(bench):
    """A generation that was proved."""
    folder = bench.paths.generation("tiny")
    folder.mkdir(parents=True)
    (folder / "venv").symlink_to(bench.venv, target_is_directory=True)
    accelerate.write_config(folder / "accelerate.yaml", "0.30.0")
    proof.record(folder, bench.pins, "cpu", "uv", REPORT)
    return bench


def test_recorded_is_ready(proved):
    assert proof.not_ready(proved.paths, "tiny") is None
    assert proof.not_ready(proved.paths, "tiny", "cpu") is None
    assert proof.outdated(proved.paths, "tiny") is None
    record = json.loads(proof.marker(proved.paths, "tiny").read_text(encoding="utf-8"))
    assert record["attention"] == "sdpa"
    assert record["checks"] == [{"title": "Packages", "value": "", "state": "ok", "detail": ""}]
    assert record["engine"] == "uv"


def test_another_folder_is_asked_by_itself(proved):
    assert proof.not_proved(proved.paths.generation("tiny")) is None
    assert "not installed" in proof.not_proved(proved.paths.generation("tiny", "7"))


def edit(proved, **changes):
    file = proof.marker(proved.paths, "tiny")
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**record, **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: proof.marker(it.paths, "tiny").unlink(), "not installed"),
        (lambda it: proof.marker(it.paths, "tiny").write_text("[]"), "damaged"),
        (lambda it: proof.marker(it.paths, "tiny").write_text("{"), "not installed"),
        (lambda it: edit(it, torch_set=["cpu"], v=[3]), "another version of the launcher"),
        (lambda it: edit(it, v=4), "another version of the launcher"),
        (lambda it: it.python.unlink(), "its Python is gone"),
        (lambda it: it.paths.accelerate_config("tiny").write_text("mixed_precision: no"), "accelerate.yaml"),
        (lambda it: it.paths.accelerate_config("tiny").unlink(), "accelerate.yaml"),
    ],
)
def test_what_makes_it_not_ready(change, words, proved):
    change(proved)
    assert words in proof.not_ready(proved.paths, "tiny")


def test_other_torch_build_is_not_this_one(proved):
    assert "it has the torch build `cpu`" in proof.not_ready(proved.paths, "tiny", "cu121")


def test_environment_of_0_1_0_stays_good(proved):
    """Its marker said less, and its configuration was the one form."""
    accelerate.write_config(proved.paths.accelerate_config("tiny"), "0.25.0")
    edit(proved, v=2, accelerate_config=None, versions={"tinytorch": "1.0+cpu"})
    assert proof.not_ready(proved.paths, "tiny") is None
    assert proof.outdated(proved.paths, "tiny") is None  # it did not record everything: that is no change
    accelerate.write_config(proved.paths.accelerate_config("tiny"), "0.30.0")
    assert "accelerate.yaml" in proof.not_ready(proved.paths, "tiny")


def repin(proved, old, new):
    file = proved.paths.pins / "tiny.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('tiny_acc = "1.0"', 'tiny_acc = "1.1"', "tiny-acc 1.0 -> 1.1"),
        ("1.0+cpu", "2.0+cpu", "tinytorch 1.0+cpu -> 2.0+cpu"),
        ('tiny_acc = "1.0"', 'tiny_acc = "1.0"\nnew = "3"', "new not there -> 3"),
        ('tiny_acc = "1.0"', "\n".join(f'p{n} = "1"' for n in range(7)), "p3 not there -> 1, 3 more"),
        ("[sets.cpu]", "[sets.other]", "the torch build `cpu` is no longer planned for"),
        ('title = "Tiny"', 'title = "Another name"', None),
    ],
)
def test_newer_pins_are_told_and_cost_nothing(old, new, words, proved):
    repin(proved, old, new)
    assert proof.not_ready(proved.paths, "tiny") is None
    assert (proof.outdated(proved.paths, "tiny") or "None").endswith(str(words))


def test_fallback_build_is_no_change(proved):
    edit(proved, versions={**REPORT.versions, "tinytorch": "1.0"})
    assert proof.outdated(proved.paths, "tiny") is None


def test_newer_code_of_the_trainer_is_told(proved):
    edit(proved, commit="0123456789abcdef")
    assert proof.outdated(proved.paths, "tiny").startswith("the trainer's code 0123456 -> ")


@pytest.mark.parametrize("text", ["{", "[]", '{"versions": 1}', '{"versions": {}, "torch_set": "cpu"}'])
def test_damaged_records_are_no_news(text, proved):
    proof.marker(proved.paths, "tiny").write_text(text)
    assert proof.outdated(proved.paths, "tiny") is None
