"""`launcher preflight`: every check by its name, one rule for the exit code, nothing started; and what `resume` asks before it goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from launcher.errors import EXIT_CODES, InputError, Problem, Severity, exit_code_of
from launcher.paths import HOME_VARIABLE
from launcher.preflight import ABOUT, CHECKS, ask, name_of


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
    names = [name_of(check) for check in CHECKS]
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
