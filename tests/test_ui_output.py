"""Tables, errors, plans, installation steps and the plain dashboard, as text."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from launcher.errors import InputError, Problem, Severity
from launcher.events import Status
from launcher.install.steps import StepEvent, StepState
from launcher.preset import Setting
from launcher.ui import console, dashboard, plan_view, tables
from launcher.ui.palette import ASCII, FULL
from launcher.ui.progress import LiveSteps, install_progress
from tests import ui_views as views


def text_of(renderable, width=80):
    stream = io.StringIO()
    console.make_console(stream, width=width).print(renderable)
    text = stream.getvalue()
    assert max(map(cell_len, text.splitlines()), default=0) <= width
    return text


@pytest.fixture(autouse=True)
def fresh_console():
    console.get_console.cache_clear()
    yield
    console.get_console.cache_clear()


def test_problem_says_what_where_why_and_what_to_do():
    problem = Problem(
        severity=Severity.ERROR,
        what="[red]unknown key[/red]",
        why="first\nsecond",
        fix="use lr",
        where="a.toml:3",
    )
    text = text_of(tables.problem_list([problem], ASCII))
    assert [line.strip() for line in text.splitlines()] == [
        "x [red]unknown key[/red]",
        "a.toml:3",
        "first",
        "second",
        "-> use lr",
    ]


def test_errors_come_first(capsys):
    console.show_problems(
        [Problem(severity=severity, what=severity.value) for severity in reversed(Severity)]
    )
    text = capsys.readouterr().out
    assert text.index("error") < text.index("warning") < text.index("note")


def test_show_error_goes_to_stderr_with_all_problems(capsys):
    problems = tuple(Problem(severity=Severity.ERROR, what=f"problem {number}") for number in range(3))
    console.show_error(InputError("the preset is wrong", problems=problems, fix="correct it", where="p.toml"))
    captured = capsys.readouterr()
    assert captured.out == ""
    for words in ("problem 0", "problem 1", "problem 2", "the preset is wrong", "correct it", "p.toml"):
        assert words in captured.err


def test_out_prints_literally_and_unwrapped_in_a_pipe(capsys):
    console.out("[bold]a[/bold]\n  " + "x" * 300 + "\x1b[2J")
    assert capsys.readouterr().out == "[bold]a[/bold]\n  " + "x" * 300 + "?[2J\n"


def test_runs():
    text = text_of(tables.run_table(views.records(), FULL, now=views.NOW))
    lines = text.splitlines()
    assert "training" in lines[1]
    assert "620 / 1000" in lines[2]
    assert "yesterday" in lines[2]
    assert "訓練 データ" in lines[3]
    assert "fox [red]x[/red]" in lines[5]
    assert "resumed" in lines[6]
    assert "…" not in text


def test_runs_show_their_ids_where_there_is_room():
    runs = views.records()
    assert runs[1].id[:15] not in text_of(tables.run_table(runs, FULL, width=80))
    assert runs[1].id[:15] in text_of(tables.run_table(runs, FULL, width=110), 110)


def test_no_runs_shows_the_way():
    assert "setup_env.py demo" in text_of(tables.run_table([], FULL))


def test_ending_names_the_command():
    paused = views.records()[1]
    assert f"setup_env.py resume {paused.id}" in text_of(tables.ending_note(paused, FULL)).replace("\n", " ")


def test_a_resumed_run_that_died_before_its_first_state_still_goes_on_from_its_parents():
    run = SimpleNamespace(**{**vars(views.records()[1]), "last_state": None, "parent": "20260101-000000-aki"})
    assert "Go on from the last state" in text_of(tables.ending_note(run, FULL))
    run.parent = None
    assert "Start again" in text_of(tables.ending_note(run, FULL))


def test_success_names_the_files_each_on_one_line(capsys):
    lora = "/a/" + "a long name with blanks, " * 12 + "b.safetensors"
    console.get_console.cache_clear()
    console.show_success(views.records()[3], lora=lora, report="/a/r.html")
    console.get_console.cache_clear()
    lines = capsys.readouterr().out.splitlines()
    assert any("demo is trained" in line for line in lines)
    assert [line.split(maxsplit=1)[1] for line in lines if line.strip().startswith(("LoRA", "report"))] == [
        lora,
        "/a/r.html",
    ]


def test_doctor_counts_what_is_wrong():
    problem = Problem(severity=Severity.ERROR, what="not installed", fix="launcher install")
    text = text_of(tables.doctor_table([("Python", "3.11", None), ("trainer", "not ready", problem)], FULL))
    assert "✓  Python" in text
    assert "✗  trainer" in text
    assert "launcher install" in text
    assert "1 thing to put right" in text


def test_resume_note_says_what_was_not_trusted(tmp_path):
    point = SimpleNamespace(
        state=tmp_path / "step00000400",
        step=400,
        run_id="x",
        rejected=((tmp_path / "step00000600", "model.safetensors is cut off"),),
    )
    text = text_of(tables.resume_note(views.records()[1], point, FULL))
    assert "goes on from step 400" in text
    assert "step00000600 is not used: model.safetensors is cut off" in text


OPTIONS = {
    "network_dim": Setting(value=16, source="presets/style-8gb.toml:14"),
    "learning_rate": Setting(value=1e-4, source="--set"),
    "fp8_base": Setting(value=True, source="presets/sdxl-fp8.toml:12"),
    "optimizer_args": Setting(value=["a=1", "b=2"], source="user/settings.toml:4"),
    "something_new": Setting(value="[red]x[/red]", source="[bold]"),
}


def test_every_setting_has_its_group_and_source():
    groups = {title: [name for name, _ in found] for title, found in plan_view.grouped(OPTIONS)}
    assert groups == {
        "training": ["learning_rate", "optimizer_args"], "network": ["network_dim"], "memory and speed": ["fp8_base"],
        "other": ["something_new"],
    }  # fmt: skip
    text = text_of(plan_view.settings_table(OPTIONS))
    for words in (
        "1.00e-4",
        "--set",
        "true",
        "a=1 b=2",
        "style-8gb.toml:14",
        "[red]x[/red]",
        "[bold]",
    ):
        assert words in text


def test_a_preset_says_why():
    setting = Setting(value=32, source="presets/a.toml:3", why="room for a style")
    shown = text_of(plan_view.explained_settings({"network_dim": setting}))
    assert "room for a style" in shown
    assert "a.toml:3" in shown
    assert "room for a style" not in text_of(plan_view.settings_table({"network_dim": setting}))


def test_plan_shows_everything():
    plan = SimpleNamespace(
        name="aki", preset="style-8gb", trainer="rehearsal", total_steps=1000, data="/my pictures/aki", model=None, parent="20260101-000000-aki",
        resume_state="/runs/x/states/step00000400", machine={"mixed_precision": {"value": "bf16", "reason": "capability 8.6"}},
        options=OPTIONS, argv=("python", "-m", "accelerate", "{run}"), env={"PYTHONUTF8": "1", "PYTHONHOME": None}, notes=("8-bit AdamW is replaced",),
    )  # fmt: skip
    text = text_of(plan_view.plan_view(plan, FULL))
    for words in (
        "aki",
        "1 000 steps",
        "/my pictures/aki",
        "step00000400",
        "bf16",
        "capability 8.6",
        "PYTHONUTF8=1",
        "removed",
        "PYTHONHOME",
        "8-bit AdamW",
        "accelerate",
    ):
        assert words in text


def test_presets_and_the_broken_one(tmp_path):
    good = SimpleNamespace(
        name="style-8gb",
        title="Style on 8 GB",
        purpose="for styles",
        min_vram_gib=8.0,
        is_base=False,
        is_shipped=False,
    )
    base = SimpleNamespace(
        name="sdxl-fp8", title="Base", purpose="", min_vram_gib=None, is_base=True, is_shipped=True
    )
    wrong = InputError("it is not TOML", problems=(Problem(severity=Severity.ERROR, what="line 3"),))
    broken = SimpleNamespace(name="mine", path=tmp_path / "mine.toml", error=wrong)
    text = text_of(tables.preset_table([good, base, broken], FULL))
    for words in (
        "style-8gb",
        "8 GB",
        "yours",
        "to extend: sdxl-fp8",
        "mine cannot be used: it is not TOML",
        "line 3",
    ):
        assert words in text


def step(state, title="Download torch", detail=""):
    return StepEvent(step="torch", title=title, state=state, detail=detail, number=2, total=7)


def test_installation_without_a_terminal(capsys):
    events = (
        step(StepState.BEGIN), step(StepState.PROGRESS, detail="812 MiB"), step(StepState.PROGRESS, detail="813 MiB"),
        step(StepState.DONE), step(StepState.SKIPPED, "Verify"), step(StepState.FAILED, "Probe [red]", "no\x1b[2J"),
    )  # fmt: skip
    with install_progress() as report:
        for event in events:
            report(event)
    assert capsys.readouterr().out.splitlines() == [
        "  2/7 Download torch: ...", "      812 MiB", "  2/7 Download torch: done", "  2/7 Verify: nothing to do",
        "  2/7 Probe [red]: FAILED (no?[2J)",
    ]  # fmt: skip


def test_installation_on_a_terminal():
    stream = io.StringIO()
    steps = LiveSteps(console.make_console(stream, width=60))
    steps.take(step(StepState.BEGIN))
    steps.take(step(StepState.PROGRESS, detail="812 MiB of 2.1 GiB " * 8))
    running = text_of(steps, 60)
    assert "2/7 Download torch" in running
    assert "812 MiB" in running
    steps.take(step(StepState.DONE))
    steps.take(step(StepState.FAILED, "Probe", "torch cannot be imported"))
    assert [line.split()[1:] for line in stream.getvalue().splitlines()] == [
        ["Download", "torch"],
        ["Probe", "torch", "cannot", "be", "imported"],
    ]
    assert text_of(steps, 60).strip() == ""


def test_waiting_for_another_installation_is_shown():
    steps = LiveSteps(console.make_console(io.StringIO(), width=70))
    steps.take(
        StepEvent(
            step="wait", title="Waiting", state=StepState.PROGRESS, detail="another window is installing"
        )
    )
    assert "Waiting  another window is installing" in text_of(steps, 70)


class Polls:
    """A monitor that shows prepared views, one each poll."""

    def __init__(self, *found):
        self.views = list(found)

    def poll(self):
        return self.views.pop(0)


def test_plain_dashboard_tells_what_happens_and_ends(monkeypatch, capsys):
    monkeypatch.setattr(dashboard, "FRAME_S", 0)
    running = views.running()
    quiet = replace(views.caching(), last_state=None)
    monitor = Polls(quiet, quiet, running, replace(running, step=621), views.ended(Status.PAUSED))
    assert dashboard.follow_plain(monitor, every_s=1000) == "ended"
    assert capsys.readouterr().out.splitlines() == [
        "cyanotype: caching latents",
        "training",
        "state of step 600 is saved",
        "LoRA of step 600: output/cyanotype-step00000600.safetensors",
        "warning: 3 images are smaller than 1024 px and were enlarged",
        f"step 620/1000 (62 %), epoch 16/25, loss {running.loss:.4f} (average {running.avg_loss:.4f}), 1.61 s/step",
        "cyanotype: paused",
    ]


def test_plain_dashboard_tells_the_error(monkeypatch, capsys):
    monkeypatch.setattr(dashboard, "FRAME_S", 0)
    assert dashboard.follow_plain(Polls(views.failed())) == "ended"
    assert "OutOfMemoryError: CUDA out of memory" in capsys.readouterr().out


def test_plain_dashboard_is_used_without_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert (
        dashboard.follow(Polls(views.ended(Status.SUCCEEDED)), on_pause=pytest.fail, on_stop=pytest.fail)
        == "ended"
    )
    assert "cyanotype: finished" in capsys.readouterr().out


def test_a_deleted_run_folder_ends_the_watching(monkeypatch, capsys):
    monkeypatch.setattr(dashboard, "FRAME_S", 0)
    gone = replace(views.running(), gone=True)
    assert dashboard.follow_plain(Polls(views.running(), gone)) == "ended"
    assert "its folder is gone" in capsys.readouterr().out
