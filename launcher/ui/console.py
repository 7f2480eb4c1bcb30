"""The one way out: a console with one theme, honest about what the terminal can show. Never crashes on an encoding."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, Problem, Severity
from launcher.ui.formats import clean
from launcher.ui.ink import write_text
from launcher.ui.palette import ROLES, Glyphs, is_tty, look_at_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from rich.console import Console, RenderableType
    from rich.text import Text

    from launcher.errors import LauncherError
    from launcher.forecast import Forecast
    from launcher.history import RunRecord
    from launcher.machine import Gpu
    from launcher.plan import Plan, Proposal
    from launcher.preflight import Outcome
    from launcher.preset import Preset
    from launcher.resume import ResumePoint

PIPE_WIDTH = 120  # columns where there is no terminal and COLUMNS does not say
MARGIN = 2
SEVERITY_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


@cache
def get_console(*, is_error: bool = False) -> Console:
    """The rich console of standard output (or standard error): theme, no markup in what it prints, no crash on names."""
    stream = sys.stderr if is_error else sys.stdout
    make_safe(stream)
    return make_console(stream)


def make_console(stream: TextIO, **options: Any) -> Console:
    """A console on any stream with the product's theme; `options` go to rich."""
    from rich.console import Console
    from rich.theme import Theme

    styles = {
        name: f"{'bold ' if role.bold else ''}{'' if role.color is None else f'color({role.color})'}".strip()
        or "none"
        for name, role in ROLES.items()
    }
    if "width" not in options and not is_tty(stream) and not os.environ.get("COLUMNS"):
        options["width"] = PIPE_WIDTH
    return Console(file=stream, theme=Theme(styles), highlight=False, markup=False, emoji=False, **options)


def make_safe(stream: TextIO) -> None:
    """Let a stream replace what its encoding lacks (cp437, cp1252) instead of raising."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def signs() -> Glyphs:
    """The signs that standard output can show."""
    return look_at_terminal(sys.stdout).glyphs


def out(text: str = "", role: str = "text") -> None:
    """Print lines of text as they are: nothing in them is markup; long lines wrap at words, with their indentation."""
    get_console().print(
        *(_safe(line, role) for line in text.split("\n")), sep="\n", soft_wrap=not is_tty(sys.stdout)
    )


def show(renderable: RenderableType) -> None:
    """Print anything that rich can draw, below an empty line; a pipe gets no blanks at line ends."""
    _draw(renderable, sys.stdout, get_console())


def _draw(renderable: RenderableType, stream: TextIO, console: Console) -> None:
    if is_tty(stream):
        console.print()
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    write_text(stream, "\n".join(["", *lines, ""]))


def write_json(value: object) -> None:
    """One JSON document for programs: never coloured, never wrapped."""
    make_safe(sys.stdout)
    write_text(sys.stdout, json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def show_error(error: LauncherError) -> None:
    """An expected failure on standard error: what, why, what to do, where to look."""
    from launcher.ui.tables import problem_list

    console = get_console(is_error=True)
    problem = Problem(
        severity=Severity.ERROR, what=str(error.what), why=error.why, fix=error.fix, where=error.where
    )
    problems = error.problems if isinstance(error, InputError) else ()
    glyphs = look_at_terminal(sys.stderr).glyphs
    if problems and problems != (problem,):  # a single problem is the error itself
        _draw(problem_list(problems, glyphs), sys.stderr, console)
    _draw(problem_list([problem], glyphs), sys.stderr, console)


def show_problems(problems: Iterable[Problem]) -> None:
    """Findings of checks, the worst first, in the order in which they were found."""
    from launcher.ui.tables import problem_list

    ordered = sorted(problems, key=lambda problem: SEVERITY_ORDER.index(problem.severity))
    if ordered:
        show(problem_list(ordered, signs()))


def show_checks(outcomes: Sequence[Outcome]) -> None:
    """Preflight: every check with a sign, the problems, the verdict."""
    from launcher.ui.check_view import checks_view

    show(checks_view(outcomes, signs()))


def show_plan(plan: Plan, forecast: Forecast | None = None) -> None:
    """Everything about a run before it starts: every value with its source, files, command, environment, notes."""
    from launcher.ui.plan_view import plan_view

    show(plan_view(plan, signs(), forecast))


def show_summary(plan: Plan, forecast: Forecast | None = None) -> None:
    """What is about to start, in half a screen; `--dry-run` has the whole plan."""
    from launcher.ui.plan_view import plan_summary

    show(plan_summary(plan, signs(), forecast))


def show_presets(presets: Sequence[Any], proposal: Proposal | None = None, gpu: Gpu | None = None) -> None:
    """The presets with what they are for, and which fits this card; broken files are listed with their first error."""
    from launcher.ui.tables import preset_table

    show(preset_table(presets, signs(), proposal=proposal, gpu=gpu))


def show_preset(preset: Preset) -> None:
    """One preset: what it is for, and every value with the file and line that set it."""
    from launcher.ui.plan_view import preset_view

    show(preset_view(preset, signs()))


def show_runs(runs: Sequence[RunRecord]) -> None:
    """The history, newest first."""
    from launcher.ui.tables import run_table

    show(run_table(runs, signs(), width=get_console().width))


def show_doctor(findings: Sequence[tuple[str, str, Problem | None]]) -> None:
    """The check-up: a line for each finding, and below it what is wrong with it."""
    from launcher.ui.tables import doctor_table

    show(doctor_table(findings, signs()))


def show_success(run: RunRecord, *, lora: str | None, report: str | None) -> None:
    """A finished run: where the LoRA and the report are."""
    from rich.text import Text

    from launcher.ui.tables import success_note

    show(success_note(run, signs()))
    get_console().print()
    for title, path in (("LoRA", lora), ("report", report)):
        if path:  # one line, however long: a path that was cut in two cannot be copied
            line = Text.assemble((f"    {title:<8} ", "muted"), clean(path))
            get_console().print(line, soft_wrap=True)


def show_ending(run: RunRecord) -> None:
    """A run that ended without failing and without its result: how it stands and how to go on."""
    from launcher.ui.tables import ending_note

    show(ending_note(run, signs()))


def show_resume_point(run: RunRecord, point: ResumePoint) -> None:
    """Where a resumed run goes on, and which newer states were not trusted."""
    from launcher.ui.tables import resume_note

    show(resume_note(run, point, signs()))


def _safe(line: str, role: str) -> Text:
    from rich.text import Text

    return Text(clean(line), style=role)
