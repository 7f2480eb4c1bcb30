"""The whole installer on the real sd-scripts, at both pins: real uv, real index, real code, minutes and gigabytes.

Never part of the normal suite. It wants
- LAUNCHER_SD_SCRIPTS and LAUNCHER_SD_SCRIPTS_FP8: folders with checkouts of the two pins,
- LAUNCHER_TOKENIZERS: a folder with the two tokenizers of SDXL,
and an index (pip's configured one) that has torch. Without them it skips, saying so.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install import generations, install_trainer, proof, trainer_ready, upkeep
from launcher.install.steps import StepState
from launcher.paths import Paths

ROOT = Path(__file__).resolve().parent.parent
CHECKOUTS = {"sd-scripts": "LAUNCHER_SD_SCRIPTS", "sd-scripts-fp8": "LAUNCHER_SD_SCRIPTS_FP8"}
KILLS = int(os.environ.get("LAUNCHER_KILLS", "3"))
CHILD = (
    "import sys; from pathlib import Path; from launcher.install import install_trainer; from launcher.paths import Paths\n"
    "root, shipped, name, source, tokenizers = sys.argv[1:]\n"
    "install_trainer(Paths(root=Path(root), home=Path(root), shipped=Path(shipped)), name, cuda='cpu', source=source,\n"
    "                tokenizers=tokenizers, again=True)\n"
)

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(3600)]


def given(name):
    place = os.environ.get(CHECKOUTS[name])
    if not place:
        pytest.skip(f"{CHECKOUTS[name]} names no checkout of {name}")
    return place


def tokenizers():
    place = os.environ.get("LAUNCHER_TOKENIZERS")
    if not place:
        pytest.skip("LAUNCHER_TOKENIZERS names no folder with the tokenizers of SDXL")
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One place for the whole file: the second trainer finds the downloads of the first, as at a user's."""
    root = tmp_path_factory.mktemp("installed")
    return Paths(root=root, home=root, shipped=ROOT)


@pytest.mark.parametrize("name", CHECKOUTS)
def test_installed_proved_and_a_second_time_nothing_to_do(name, place):
    source, words = given(name), tokenizers()
    outcome = install_trainer(place, name, cuda="cpu", source=source, tokenizers=words)
    assert trainer_ready(place, name) is None
    states = {check.title: check.state for check in outcome.report.checks}
    assert states["sdxl_train_network.py --help"] == "ok"
    assert states["Tokenizers"] == "ok"
    assert "failed" not in states.values()
    python = place.trainer_python(name)
    shown = subprocess.run(
        [python, "sdxl_train_network.py", "--help"], cwd=place.trainer_code(name), capture_output=True, text=True,
        encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}, check=True,
    )  # fmt: skip
    assert "--fp8_base" in shown.stdout
    assert upkeep.differences(place, name) == []

    events = []
    began = time.monotonic()
    again = install_trainer(place, name, report=events.append)
    assert not again.changed
    assert events == []
    print(f"{name}: nothing to do found in {time.monotonic() - began:.3f} s")


def test_changed_code_is_named_kept_and_not_used(place):
    name = "sd-scripts"
    source, words = given(name), tokenizers()
    install_trainer(place, name, cuda="cpu", source=source, tokenizers=words)
    file = place.trainer_code(name) / "train_network.py"
    text = file.read_text(encoding="utf-8") + "# mine\n"
    file.write_text(text, encoding="utf-8")
    [difference] = upkeep.differences(place, name)
    assert "train_network.py" in difference.what
    outcome = install_trainer(place, name, source=source, tokenizers=words, again=True)
    assert any("train_network.py" in remark for remark in outcome.kept)
    assert file.read_text(encoding="utf-8") == text
    assert upkeep.differences(place, name) == []


def test_killed_at_random_moments(place):
    """What worked before works all along, and in the end a new one is proved."""
    name = "sd-scripts"
    source, words = given(name), tokenizers()
    install_trainer(place, name, cuda="cpu", source=source, tokenizers=words)
    used = place.generations(name)
    moments = random.Random(20261124)
    stopped_in = []
    for _ in range(KILLS):
        argv = [sys.executable, "-c", CHILD, place.root, ROOT, name, source, words]
        process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
        try:
            process.wait(timeout=moments.uniform(0.5, 20))
        except subprocess.TimeoutExpired:
            process.kill()  # uv, its child, may live on: it holds the lock
            process.wait()
        else:
            used = place.generations(name)  # it was through before its time
        assert trainer_ready(place, name) is None
        assert place.generations(name)[0] == used[0]
        works = "import torch, diffusers, transformers, accelerate; assert torch.ones(2).sum() == 2"
        subprocess.run([place.trainer_python(name), "-I", "-c", works], check=True)
        stopped_in.append(generations.growing(place, name) is not None)
    events = []
    install_trainer(place, name, source=source, tokenizers=words, again=True, report=events.append)
    assert upkeep.differences(place, name) == []
    assert proof.not_ready(place, name) is None
    assert [event.step for event in events if event.state is StepState.FAILED] == []
    print(f"{KILLS} kills, {sum(stopped_in)} of them left a half-made environment behind")


def test_a_wrong_tree_is_refused(place):
    """The other trainer's code is code too, but not the pinned one. (A verified copy from before would be taken.)"""
    shutil.rmtree(place.sources, ignore_errors=True)
    with pytest.raises(InstallError) as caught:
        install_trainer(
            place,
            "sd-scripts",
            cuda="cpu",
            source=given("sd-scripts-fp8"),
            tokenizers=tokenizers(),
            again=True,
        )
    assert caught.value.fix
    assert trainer_ready(place, "sd-scripts") is None
