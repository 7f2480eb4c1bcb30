"""Whatever is named as a model, preset, dataset, image or caption: a verdict in words, no crash, no waiting, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import InputError, Severity
from launcher.machine import Fact, Machine
from launcher.paths import HOME_VARIABLE
from launcher.plan import Request, resolve
from launcher.preflight import CHECKS, ask, name_of
from launcher.preflight.describe import describe_model
from launcher.preset import load_preset
from tests.hostile import CAPTIONS, DATASETS, IMAGES, MODELS, PLACES, PRESETS
from tests.hostile.images import sound

pytestmark = pytest.mark.timeout(
    30
)  # far more than any of them takes (tests/benchmarks/bench_hostile.py): only a hang meets it
ROOT = Path(__file__).resolve().parent.parent
MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="none", has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "訓練 'a"
    folder.mkdir()
    return folder


def is_clean(text):
    """No control character reaches a record that is shown as it is."""
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_model(paths, place, case):
    found = describe_model(paths, case.build(place))
    if not case.says:
        assert (found.kind, found.problems) == ("sdxl", ())
        return
    assert case.says in "\n".join(problem.what for problem in found.problems)
    assert {problem.severity for problem in found.problems} == {Severity(case.severity)}
    assert all(problem.fix and problem.where for problem in found.problems)


def said_by(error):
    """All words of a refusal; none of them may draw on the screen."""
    problems = getattr(error, "problems", ()) or (error,)
    assert all(it.what and (it.fix or it.why) for it in problems)
    return "\n".join(f"{it.what} {it.why}" for it in problems)


@pytest.mark.parametrize("case", PRESETS, ids=str)
def test_preset(paths, place, case):
    path = case.build(place)
    if not case.says:
        assert load_preset(paths, path).title
        return
    with pytest.raises(InputError) as caught:
        load_preset(paths, path)
    assert case.says in said_by(caught.value)


def try_plan(paths, data):
    """The plan for a dataset, or why there is none."""
    try:
        return resolve(paths, Request(preset="demo", trainer="sd-scripts", data=data), MACHINE), None
    except InputError as error:
        return None, error


@pytest.mark.parametrize("case", DATASETS, ids=str)
def test_dataset(paths, place, case):
    """Refused when it is read, or by preflight when what it names is wrong."""
    plan, refused = try_plan(paths, case.build(place))
    if plan is None:
        assert case.says in said_by(refused)
        return
    problems = [problem for outcome in ask(paths, plan, MACHINE, CHECKS) for problem in outcome.problems]
    found = [problem for problem in problems if case.says in problem.what]
    assert {problem.severity for problem in found} == {Severity(case.severity)}
    assert not any("broke off" in problem.what for problem in problems)


def problems_in(paths, data, *names):
    """What some of the checks say about a folder."""
    plan = resolve(paths, Request(preset="style-8gb", trainer="rehearsal", data=data), MACHINE)
    checks = [check for check in CHECKS if name_of(check) in names]
    return [problem for outcome in ask(paths, plan, MACHINE, checks) for problem in outcome.problems]


def verdict(case, problems):
    """The case's words are said with its severity; a sound input gets no error at all."""
    assert not any("broke off" in problem.what for problem in problems)
    if not case.says:
        assert not [problem for problem in problems if problem.severity is Severity.ERROR]
        return
    found = [problem for problem in problems if case.says in f"{problem.what} {problem.where}"]
    assert case.severity in {problem.severity.value for problem in found}, problems
    assert all(problem.fix for problem in found)


@pytest.mark.parametrize("case", IMAGES, ids=str)
def test_image(paths, place, case):
    case.build(place)
    verdict(case, problems_in(paths, place, "images"))


@pytest.mark.parametrize("case", CAPTIONS, ids=str)
def test_caption(paths, place, case):
    (place / "x.png").write_bytes(sound())
    case.build(place)
    verdict(case, problems_in(paths, place, "captions"))


@pytest.mark.parametrize("case", PLACES, ids=str)
def test_place(paths, place, case):
    data = case.build(place)
    try:
        verdict(case, problems_in(paths, data, "data", "images", "captions", "shapes"))
    finally:
        if data.is_dir():
            data.chmod(0o700)


def test_there_are_enough_of_them():
    cases = [*CAPTIONS, *DATASETS, *IMAGES, *MODELS, *PLACES, *PRESETS]
    assert len(cases) >= 60
    for group in (CAPTIONS, DATASETS, IMAGES, MODELS, PLACES, PRESETS):
        assert len({case.name for case in group}) == len(group)


# --- the same through the real command line: a few of each kind at once, as a user meets them


def launch(home, *words):
    environment = {**os.environ, HOME_VARIABLE: str(home), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert b"Traceback" not in said
    assert not any(sign in said for sign in (b"\x1b", b"\x07", b"\x9b2J"))
    said.decode("utf-8")
    return done


@pytest.mark.timeout(120)
def test_a_folder_of_everything_through_the_command_line(tmp_path, place):
    for number, case in enumerate(IMAGES):
        inner = tmp_path / f"i{number}"
        inner.mkdir()
        made = case.build(inner)
        (place / f"{number} {case.name}{made.suffix}".replace("/", "")).write_bytes(made.read_bytes())
    for number, case in enumerate(CAPTIONS[:20]):
        made = case.build(tmp_path / f"i{number}")
        stem = next(path.stem for path in place.iterdir() if path.name.startswith(f"{number} "))
        (place / f"{stem}.txt").write_bytes(made.read_bytes())
    (place / "\x1b[31mred\x07.png").write_bytes(b"<svg>")
    (place / "loop.png").symlink_to("loop.png")
    done = launch(tmp_path / "home", "preflight", "demo", "--data", str(place), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] == 5
    assert {"images", "captions"} <= {problem["check"] for problem in found["problems"]}
    assert "broke off" not in done.stdout.decode()
    assert launch(tmp_path / "home", "preflight", "demo", "--data", str(place)).returncode == 5


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["a pickle that would run a program", "length 2^63", "names with colours for a terminal", "a pipe", "a name of many scripts"])  # fmt: skip
def test_models_through_the_command_line(tmp_path, place, name):
    case = next(case for case in MODELS if case.name == name)
    (place / "x.png").write_bytes(sound())
    path = case.build(tmp_path)
    done = launch(tmp_path / "home", "preflight", "style-8gb", "--trainer", "sd-scripts", "--data", str(place), "--model", str(path), "--json")  # fmt: skip
    found = [problem for problem in json.loads(done.stdout)["problems"] if problem["check"] == "model"]
    assert [case.says in problem["what"] for problem in found] == [True] * bool(case.says)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["deep lists", "binary", "a ring of two", "an endless device", "a pipe"])
def test_presets_through_the_command_line(tmp_path, place, name):
    case = next(case for case in PRESETS if case.name == name)
    done = launch(tmp_path / "home", "validate", str(case.build(place)))
    assert done.returncode == 4
    assert case.says in done.stderr.decode()
