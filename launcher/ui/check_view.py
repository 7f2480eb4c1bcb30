"""What preflight says on the screen: every check with a sign, then the problems, then whether it may start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from launcher.errors import Severity
from launcher.preflight import ABOUT
from launcher.ui import formats
from launcher.ui.tables import grid, inset, problem_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.preflight import Outcome
    from launcher.ui.palette import Glyphs

LONG_S = 1.0  # shorter ones are not worth a number


def checks_view(outcomes: Sequence[Outcome], glyphs: Glyphs) -> RenderableType:
    """All of it; the problems with the worst first."""
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    order = list(Severity)
    problems.sort(key=lambda problem: order.index(problem.severity))
    parts = [inset(_signs(outcomes, glyphs)), ""]
    if problems:
        parts += [problem_list(problems, glyphs), ""]
    return Group(*parts, inset(_verdict(outcomes)))


def _signs(outcomes: Sequence[Outcome], glyphs: Glyphs) -> RenderableType:
    marks = {
        Severity.ERROR: (glyphs.cross, "bad"),
        Severity.WARNING: (glyphs.alert, "warn"),
        Severity.NOTE: (glyphs.dot, "accent"),
        None: (glyphs.tick, "good"),
    }
    table = grid({"width": 1}, {"no_wrap": True}, {"style": "muted", "overflow": "fold"}, gap=2)
    for outcome in outcomes:
        mark, role = marks[outcome.worst]
        title = ABOUT.get(outcome.check, (outcome.check, ""))[0]
        took = f"{outcome.seconds:.1f} s" if outcome.seconds >= LONG_S else ""
        table.add_row(Text(mark, style=role), title, took)
    return table


def _verdict(outcomes: Sequence[Outcome]) -> Text:
    found = [problem.severity for outcome in outcomes for problem in outcome.problems]
    errors, warnings = found.count(Severity.ERROR), found.count(Severity.WARNING)
    if errors:
        return Text(f"It would not start: {formats.count(errors, 'error')} to put right.", style="bad")
    if warnings:
        return Text(f"It can start, with {formats.count(warnings, 'warning')}.", style="warn")
    return Text("Nothing speaks against starting it.", style="good")
