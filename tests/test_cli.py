"""The command line as a program: exit codes, what goes to which stream, and the error boundary."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.cli import execute, make_parser
from launcher.commands import common, guide, menu
from launcher.errors import EXIT_CODES, LauncherError, TrainingError
from launcher.events import Status
from launcher.history import RunState, write_state
from launcher.install.development import whole_suite
from launcher.paths import HOME_VARIABLE, RunPaths
from launcher.plan import check_name
from launcher.ui import prompts
from launcher.ui.menu import MenuAction
from tests.fake_runs import Script, write_run

ROOT = Path(__file__).resolve().parent.parent


def run(*words, home, stdin=subprocess.DEVNULL, python=("-m", "launcher")):
    environment = {**os.environ, HOME_VARIABLE: str(home), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *python, *words], cwd=ROOT, env=environment, stdin=stdin, capture_output=True,
        text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def home(tmp_path):
    return tmp_path / "a'; echo foo 訓練"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["bogus"], 2, "invalid choice"),
        (["train", "demo"], 2, "--data"),
        (["train", "demo", "--data", "x", "--name", "a/b"], 2, "it is a name, not a path"),
        (["train", "demo", "--data", "/no/such/folder", "--yes"], 5, "is not there"),
        (["train", "dem", "--data", "x"], 4, "demo"),
        (["train", "demo", "--data", "x", "--set", "max_train_stesp=3"], 2, "max_train_steps"),
        (["validate", "pyproject.toml"], 4, "pyproject.toml"),
        (["show", "nothing"], 4, "no preset"),
        (["resume"], 8, "no run"),
        (["pause"], 8, "no training"),
        (["watch", "x"], 8, "no run"),
    ],
)
def test_a_mistake_has_its_code_and_words_and_leaves_nothing(words, code, says, home):
    done = run(*words, home=home)
    assert done.returncode == code, done.stderr
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (home / "runs").exists() or not list((home / "runs").iterdir())


def test_without_a_terminal_the_menu_asks_nothing(home):
    done = run(home=home)
    assert done.returncode == 0
    assert "--help" in done.stdout


def test_json_is_json_and_nothing_else(home):
    write_run(home / "runs" / "20260101-000000-x", Script(steps=30))
    for words in (
        ["runs", "--json"],
        ["presets", "--json"],
        ["doctor", "--json"],
        ["show", "demo", "--json"],
    ):
        done = run(*words, home=home)
        assert json.loads(done.stdout), words
    assert [record["id"] for record in json.loads(run("runs", "--json", home=home).stdout)] == [
        "20260101-000000-x"
    ]


def test_the_dry_run_as_json_has_plan_and_problems(home):
    data = ROOT / "launcher" / "demo" / "images"
    done = run("train", "demo", "--data", str(data), "--dry-run", "--json", home=home)
    document = json.loads(done.stdout)
    assert document["plan"]["options"]["max_train_steps"]["source"].startswith("presets/demo.toml:")
    assert isinstance(document["problems"], list)
    assert not (home / "runs").exists()


def test_a_report_is_written_for_a_run(home):
    write_run(home / "runs" / "20260101-000000-x", Script(steps=30))
    done = run("report", home=home)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_bug_ends_in_one_line_and_a_log_to_send(home):
    code = "import launcher.cli, launcher.__main__ as m\nlauncher.cli.execute = lambda argv, paths: 1 / 0\nraise SystemExit(m.main(['runs']))"
    done = run(home=home, python=("-c", code))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    log = Path(done.stderr.strip().splitlines()[-1].rpartition(": ")[2])
    assert "ZeroDivisionError" in log.read_text(encoding="utf-8")
    assert home in log.parents


def test_an_interrupt_has_its_own_code(home):
    code = "import launcher.cli, launcher.__main__ as m, os, signal\nlauncher.cli.execute = lambda argv, paths: os.kill(os.getpid(), signal.SIGINT)\nraise SystemExit(m.main(['runs']))"
    done = run(home=home, python=("-c", code))
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)


@pytest.mark.skipif(os.name == "nt", reason="head is not there")
def test_a_reader_that_leaves_early_is_no_error(home):
    environment = {**os.environ, HOME_VARIABLE: str(home)}
    words = [sys.executable, "-m", "launcher", "show", "style-8gb"]
    child = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert b"Traceback" not in child.stderr.read()
    child.stderr.close()
    child.wait()


def commands():
    return next(
        action.choices for action in make_parser()._actions if hasattr(action, "choices") and action.choices
    )


@pytest.mark.parametrize("kind", ["install", "demo", "resume", "watch", "report", "check-up", "tag"])
def test_every_entry_of_the_menu_is_a_command_line(kind):
    words = menu.words_of(MenuAction(kind=kind, run="20260101-000000-x"))
    make_parser().parse_args(words)
    assert words[0] in commands()


def test_going_back_leaves_nothing_to_read(paths, monkeypatch):
    monkeypatch.setattr(guide, "ask_for_plan", lambda _: None)
    monkeypatch.setattr(prompts, "pause_for_enter", lambda: pytest.fail("waits for Enter"))
    menu.carry_out(paths, MenuAction(kind="train"))


@pytest.mark.parametrize("folder", ["..", "con", "ink. ", "x" * 200])
def test_the_suggested_name_is_one_that_can_be_used(folder):
    assert check_name(guide._suggest_name(Path(folder))) is None


def test_answers_that_cannot_be_remembered_do_not_end_the_menu(paths):
    paths.home.mkdir(parents=True, exist_ok=True)
    (paths.home / "user").write_text("a file where a folder should be")
    guide.remember(paths, preset="demo")
    assert guide.last_answers(paths) == {}


@pytest.mark.parametrize("last_state", [None, "states/step00000002"])
def test_a_failed_training_without_any_state_is_not_said_to_have_one(paths, last_state):
    """What counts is what lies there and proves whole, not what was written down about it."""
    done = RunPaths(folder=paths.runs / "20260101-000000-x")
    done.output.mkdir(parents=True)
    state = RunState(name="x", preset="demo", trainer="t", created=1.0, status=Status.FAILED)
    write_state(done, replace(state, last_state=last_state))
    with pytest.raises(TrainingError) as caught:
        common.conclude(paths, done)
    assert "There is no state to go on from" in caught.value.fix
    assert "resume 20260101-000000-x" in caught.value.fix


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".pt"])
def test_the_lora_is_named_whatever_form_it_was_saved_in(tmp_path, suffix):
    run = RunPaths(folder=tmp_path / "run")
    run.output.mkdir(parents=True)
    assert common.final_lora(run) is None
    for number, stem in enumerate(("x", "x-step00000002", "x-step00000004")):
        path = run.output / f"{stem}{suffix}"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    (run.output / "report.html").write_bytes(b"")
    assert common.final_lora(run) == str(run.output / f"x{suffix}")


def test_exit_codes_are_documented():
    def subclasses(kind):
        return {kind} | {found for child in kind.__subclasses__() for found in subclasses(child)}

    used = {kind.exit_code for kind in subclasses(LauncherError)}
    assert used <= set(EXIT_CODES)
    assert all(f"{code:>3}  " in make_parser().format_help() for code in EXIT_CODES)


def test_words_for_pytest_pass_through_unread(monkeypatch, paths):
    seen = []
    monkeypatch.setattr(
        "launcher.install.development.run_tests", lambda _paths, words: seen.append(words) or 0
    )
    assert execute(["test", "-k", "resume", "--maxfail=1", "-x"], paths) == 0
    assert seen == [["-k", "resume", "--maxfail=1", "-x"]]


@pytest.mark.parametrize(("cores", "workers"), [(None, None), (1, None), (2, "2"), (64, "4")])
def test_the_whole_suite_is_shared_among_the_cores(monkeypatch, cores, workers):
    """Files stay whole: their tests share trainings. One core: plain pytest."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    words = whole_suite()
    assert words == (
        [] if workers is None else ["-n", workers, "--dist", "loadfile", "--no-loadscope-reorder"]
    )


@pytest.mark.slow
@pytest.mark.training
def test_demo_ends_with_a_lora_and_a_report(training_python, home):
    done = run("demo", "--steps", "6", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = next((home / "runs").iterdir())
    assert str(folder / "output" / "demo.safetensors") in done.stdout.replace("\n", "")
    assert (folder / "output" / "demo.safetensors").stat().st_size > 1_000_000
    assert "<svg" in (folder / "output" / "report.html").read_text(encoding="utf-8")
