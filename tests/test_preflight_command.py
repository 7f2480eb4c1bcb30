"""`launcher preflight`: every check by its name, one rule for the exit code, nothing started; and what `resume` asks before it goes on."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from launcher.checkpoint import quick_print
from launcher.cli import make_parser
from launcher.commands import check, control
from launcher.errors import EXIT_CODES, InputError, PreflightError, Problem, Severity, exit_code_of
from launcher.events import Status
from launcher.files import sha256_of
from launcher.history import read_state, write_state
from launcher.machine import Fact, Machine
from launcher.paths import HOME_VARIABLE, RunPaths
from launcher.plan import Request, resolve
from launcher.preflight import ABOUT, CHECKS, RESUME_CHECKS, ask, check_resume, name_of
from launcher.preflight.changes import check_changes, check_same_model
from launcher.run import create_run
from tests.hostile.models import checkpoint


@pytest.mark.parametrize(
    ("severities", "code", "forced"),
    [
        ((), 0, 0),
        ((Severity.NOTE,), 0, 0),
        ((Severity.NOTE, Severity.WARNING), 9, 0),
        ((Severity.WARNING, Severity.ERROR, Severity.NOTE), 5, 5),
    ],
)
def test_the_exit_code_follows_the_worst_problem(severities, code, forced):
    problems = [Problem(severity=severity, what="x") for severity in severities]
    assert exit_code_of(problems) == code
    assert exit_code_of(problems, force=True) == forced
    assert {code, forced} <= set(EXIT_CODES)


ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "launcher" / "demo" / "images"


def check_broken(_paths, _plan, _machine):
    yield Problem(severity=Severity.NOTE, what="said before")
    raise ZeroDivisionError("a bug")


def check_refuses(_paths, _plan, _machine):
    raise InputError("the file is damaged", fix="mend it", where="a.json")
    yield


def check_last(_paths, _plan, _machine):
    yield Problem(severity=Severity.NOTE, what="still asked")


def test_a_check_that_breaks_is_told_and_the_others_are_asked(paths):
    outcomes = list(ask(paths, None, None, (check_broken, check_refuses, check_last)))
    assert [outcome.check for outcome in outcomes] == ["broken", "refuses", "last"]
    said, bug = outcomes[0].problems
    assert said.what == "said before"
    assert (bug.severity, bug.check) == (Severity.WARNING, "broken")
    assert "mistake in the launcher" in bug.why
    assert "ZeroDivisionError: a bug" in Path(bug.where).read_text(encoding="utf-8")
    (refusal,) = outcomes[1].problems
    assert (refusal.severity, refusal.what, refusal.fix, refusal.where) == (
        Severity.ERROR,
        "the file is damaged",
        "mend it",
        "a.json",
    )
    assert outcomes[2].problems[0].what == "still asked"
    assert [outcome.worst for outcome in outcomes] == [Severity.WARNING, Severity.ERROR, Severity.NOTE]


def test_every_check_has_a_name_and_words():
    for checks in (CHECKS, RESUME_CHECKS):
        names = [name_of(check) for check in checks]
        assert len(set(names)) == len(names)
        assert set(names) <= set(ABOUT)
    assert all(title and cost for title, cost in ABOUT.values())


def launch(home, *words):
    environment = {**os.environ, HOME_VARIABLE: str(home), "PYTHONUTF8": "1", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "launcher", *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


def test_the_command_says_what_it_found_and_starts_nothing(tmp_path):
    data, home = tmp_path / "絵 'a", tmp_path / "home"
    data.mkdir()
    Image.new("RGB", (600, 600)).save(data / "1.png")
    (data / "2.png").write_bytes(b"")
    done = launch(home, "preflight", "demo", "--data", str(data), "--json", "--force")
    found = json.loads(done.stdout)
    kinds = {(it["check"], it["severity"]) for it in found["problems"]}
    assert {("images", "error"), ("captions", "warning"), ("data", "warning")} <= kinds
    assert all(
        set(it) == {"check", "severity", "what", "why", "fix", "where"} and it["what"]
        for it in found["problems"]
    )
    assert done.returncode == found["exit_code"] == 5
    assert [it["check"] for it in found["checks"]] == [name_of(check) for check in CHECKS]
    assert not (home / "runs").exists()
    shown = launch(home, "preflight", "demo", "--data", str(data))
    assert shown.returncode == 5
    assert "It would not start" in shown.stdout


# --- before a run goes on

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="none", has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "絵 'a"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (600, 600), (number, 0, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a cat", encoding="utf-8")
    return folder


@pytest.fixture
def again(paths, data):
    """The plan of a resume, of a run that was made with the images as they are."""
    plan = resolve(paths, Request(preset="demo", trainer="rehearsal", data=data), MACHINE)
    run = create_run(paths, plan)
    return replace(plan, parent=run.folder.name)


def told(paths, plan):
    return {
        (problem.what.split(" since")[0], problem.where) for problem in check_changes(paths, plan, MACHINE)
    }


def test_what_has_changed_since_the_run_began_is_told_before_it_goes_on(paths, data, again):
    assert told(paths, again) == set()
    (data / "0.png").unlink()
    (data / "0.txt").unlink()
    Image.new("RGB", (700, 600)).save(data / "1.png")
    os.utime(data / "2.png", (1, 1))
    shutil.copy(data / "3.png", data / "new.png")
    (data / "4.txt").write_text("a dog that is longer", encoding="utf-8")
    (data / "5.txt").unlink()
    assert told(paths, again) == {
        ("1 image was taken away", "0.png"),
        ("2 images were edited", "1.png, 2.png"),
        ("1 image was added", "new.png"),
        ("1 caption file was edited", "4.txt"),
        ("1 caption file was taken away", "5.txt"),
    }


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b'{"v":1,"images":3,"captions":{}}', b"[" * 99_999, b"\xff"]
)
def test_without_a_sound_inventory_nothing_is_said(paths, data, again, content):
    kept = RunPaths(folder=paths.runs / again.parent).inventory
    assert kept.is_file()
    kept.unlink()
    if content is not None:
        kept.write_bytes(content)
    (data / "0.png").unlink()
    assert told(paths, again) == set()


def test_another_base_model_is_refused_and_a_copy_is_not(paths, again, tmp_path):
    model = tmp_path / "a.safetensors"
    model.write_bytes(os.urandom(100_000))
    plan = replace(
        again,
        model=model,
        machine={**again.machine, "model_print": Fact(value=quick_print(model), reason="")},
    )
    assert list(check_same_model(paths, plan, MACHINE)) == []
    shutil.copyfile(model, tmp_path / "b.safetensors")
    assert list(check_same_model(paths, replace(plan, model=tmp_path / "b.safetensors"), MACHINE)) == []
    model.write_bytes(os.urandom(100_000))
    (problem,) = check_same_model(paths, plan, MACHINE)
    assert problem.severity is Severity.ERROR
    assert "another file" in problem.what


def test_resume_asks_the_checks_first(paths, data, again, monkeypatch):
    run = RunPaths(folder=paths.runs / again.parent)
    write_state(run, replace(read_state(run), status=Status.PAUSED))
    shutil.rmtree(data)
    words = make_parser().parse_args(["resume", run.folder.name, "--yes", "--force"])
    with pytest.raises(PreflightError, match="Nothing was started"):
        control.resume(paths, words)
    assert [path.name for path in paths.runs.iterdir()] == [run.folder.name]
    assert read_state(run).resumed_by is None


def test_old_warnings_are_not_told_again_at_a_resume(paths, data, again):
    Image.new("RGB", (60, 60)).save(data / "0.png")  # far too small: known, or told of as edited
    checks = {problem.check for problem in check_resume(paths, again, MACHINE) if problem.severity is not Severity.ERROR}  # fmt: skip
    assert checks == {"changes"}


def test_check_tells_what_a_model_file_is(tmp_path, paths, capsys):
    model = checkpoint(metadata={"modelspec.title": "mine"}, extra=[("v_pred", (0,))])(tmp_path)
    words = make_parser().parse_args(["check", str(model), "--json", "--hash"])
    assert check.check(paths, words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["precision"], found["title"], found["exit_code"]) == (
        "sdxl",
        "fp16",
        "mine",
        0,
    )
    assert found["prediction"].startswith("v (")
    assert found["sha256"] == sha256_of(model)
    assert check.check(paths, make_parser().parse_args(["check", str(model)])) == 0
    assert sha256_of(model) in capsys.readouterr().out.replace("\n", "").replace(" ", "")
    lora = tmp_path / "lora.ckpt"
    lora.write_bytes(b"\x80\x02}q\x00.")
    assert check.check(paths, make_parser().parse_args(["check", str(lora)])) == 5
    assert "pickle" in capsys.readouterr().out
