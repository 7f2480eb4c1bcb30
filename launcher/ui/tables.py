"""Presets, runs, check-up, problems and endings as things that rich can draw. Pure: records in, renderables out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from launcher.errors import Problem, Severity
from launcher.failures import title_of
from launcher.history import standing_of
from launcher.paths import COMMAND
from launcher.ui import formats
from launcher.ui.advice import next_step
from launcher.ui.formats import clean
from launcher.ui.menu import STATUS_WORDS, progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from launcher.history import RunRecord
    from launcher.machine import Gpu
    from launcher.plan import Proposal
    from launcher.ui.palette import Glyphs

MARGIN = (0, 0, 0, 2)
WIDE_RUNS = 96  # columns from which the history shows the runs' ids
ID_BEGIN = 15  # yyyymmdd-hhmmss names a run; the rest of the id repeats its name


def lines_of(text: object, role: str = "") -> Text:
    """Foreign text of any number of lines, each made harmless."""
    return Text("\n".join(clean(line) for line in str(text).split("\n")), style=role)


def grid(*columns: dict[str, Any], gap: int = 3) -> Table:
    """A table without lines: columns are told apart by space."""
    table = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(**column)
    return table


def headed(*columns: tuple[str, dict[str, Any]], gap: int = 3) -> Table:
    """`grid` with a quiet headline."""
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="muted")
    for title, options in columns:
        table.add_column(title, **options)
    return table


def inset(renderable: RenderableType) -> RenderableType:
    """With the product's left margin."""
    return Padding(renderable, MARGIN)


def problem_list(problems: Iterable[Problem], glyphs: Glyphs) -> RenderableType:
    """Each problem: what in bold, where and why in grey, what to do behind an arrow."""
    marks = {
        Severity.ERROR: (glyphs.cross, "bad.strong"),
        Severity.WARNING: (glyphs.alert, "warn"),
        Severity.NOTE: (glyphs.dot, "accent"),
    }
    table = grid({"width": 2}, {"overflow": "fold"}, gap=0)
    for number, problem in enumerate(problems):
        if number:
            table.add_row("", "")
        mark, role = marks[problem.severity]
        table.add_row(
            Text(mark, style=role), lines_of(problem.what, role if role == "bad.strong" else "strong")
        )
        for text, style in ((problem.where, "muted"), (problem.why, "muted")):
            if text:
                table.add_row("", lines_of(text, style))
        if problem.fix:
            table.add_row("", Text.assemble((f"{glyphs.arrow} ", "accent"), lines_of(problem.fix)))
    return inset(table)


def preset_table(
    presets: Sequence[Any], glyphs: Glyphs, *, proposal: Proposal | None = None, gpu: Gpu | None = None
) -> RenderableType:
    """Presets to train with, the proposed one marked; then the bases, on one line; then what is broken, with its reason."""
    broken = [entry for entry in presets if hasattr(entry, "error")]
    usable = [entry for entry in presets if not hasattr(entry, "error")]
    table = headed(
        ("", {"width": 1}),
        ("preset", {"no_wrap": True}),
        ("VRAM", {"justify": "right", "no_wrap": True}),
        ("what it is for", {"ratio": 1}),
        gap=2,
    )
    for preset in usable:
        if not getattr(preset, "is_base", False):
            table.add_row(*_preset_row(preset, glyphs, proposal, gpu))
    parts: list[RenderableType] = [inset(table)]
    if proposal is not None:
        said = Text.assemble(
            (f"{glyphs.pointer} ", "accent"), (clean(proposal.preset), "key"), (" fits this card: ", "muted"), clean(proposal.reason)
        )  # fmt: skip
        parts += ["", inset(said)]
    bases = ", ".join(clean(preset.name) for preset in usable if getattr(preset, "is_base", False))
    if bases:
        parts += ["", inset(Text.assemble(("to extend: ", "muted"), bases))]
    for entry in broken:
        what = f"{entry.name} cannot be used: {entry.error.what}"
        parts += [
            "",
            problem_list(
                [Problem(severity=Severity.ERROR, what=what, where=str(entry.path)), *entry.error.problems],
                glyphs,
            ),
        ]
    return Group(*parts)


def _preset_row(
    preset: Any, glyphs: Glyphs, proposal: Proposal | None, gpu: Gpu | None
) -> list[RenderableType]:
    """The purpose says more than the title, whose size has a column of its own; a preset without one shows its title."""
    from launcher.plan import why_too_large

    is_proposed = proposal is not None and preset.name == proposal.preset
    too_large = why_too_large(preset, gpu) is not None if gpu is not None else False
    vram = f"{preset.min_vram_gib:g} GB" if preset.min_vram_gib else formats.UNKNOWN
    about = lines_of(preset.purpose or preset.title, "faint" if too_large else "")
    if not getattr(preset, "is_shipped", True):
        about.append("  yours", "accent")
    return [
        Text(glyphs.pointer if is_proposed else "", style="accent"),
        Text(clean(preset.name), style="faint" if too_large else "key"),
        Text(vram, style="warn" if too_large else ""),
        about,
    ]


def run_table(
    runs: Sequence[RunRecord], glyphs: Glyphs, *, width: int = 80, now: float | None = None
) -> RenderableType:
    """The history, newest first. The run's id has a column where `width` has room for it: names do mostly."""
    if not runs:
        return inset(
            Text.assemble("Nothing has been trained yet. ", (f"{COMMAND} demo", "key"), " shows the way.")
        )
    has_ids = width >= WIDE_RUNS
    fixed: dict[str, Any] = {"no_wrap": True}
    table = headed(
        ("name", {"overflow": "ellipsis", "no_wrap": True, "ratio": 1, "min_width": 12}), ("status", fixed),
        ("step", {"justify": "right", **fixed}), ("took", {"justify": "right", **fixed}), ("when", fixed),
        *([("run", {"style": "muted", **fixed})] if has_ids else []), gap=3,
    )  # fmt: skip
    for run in runs:
        word, role = STATUS_WORDS[run.status.value]
        sign = glyphs.dot
        if run.resumed_by:  # it went on as another run: a step of a story, not its end
            word, role, sign = "resumed", "muted", glyphs.ring
        took = run.ended - run.created if run.ended is not None and run.created is not None else None
        name = Text(clean(run.name), style="muted" if run.resumed_by else "strong")
        title = "" if run.resumed_by else title_of(run.error) or _why_paused(run)
        if title:  # on a line of its own: there is no room beside it on 80 columns
            name.append(f"\n  {title}", "muted")
        cells: list[RenderableType] = [
            name, Text(f"{sign} {word}", style=role),
            progress(run), formats.short_duration(took), formats.when(run.created, now),
        ]  # fmt: skip
        table.add_row(*cells, *([clean(run.id)[:ID_BEGIN]] if has_ids else []))
    return inset(table)


def _why_paused(run: RunRecord) -> str:
    """Two short lines: `the disk was nearly full`, `there is room again`."""
    if run.reason is None:
        return ""
    now = standing_of(run.reason, run.folder)
    return clean(run.reason.title) + (f"\n  {clean(now)}" if now else "")


def doctor_table(findings: Sequence[tuple[str, str, Problem | None]], glyphs: Glyphs) -> RenderableType:
    """The check-up: a tick or a sign for each finding, what is wrong right below it."""
    table = grid({"width": 1}, {"no_wrap": True, "style": "muted"}, {"overflow": "fold", "ratio": 1}, gap=2)
    for title, value, problem in findings:
        sign, role = glyphs.tick, "good"
        if problem is not None:
            is_error = problem.severity is Severity.ERROR
            sign, role = (glyphs.cross, "bad") if is_error else (glyphs.alert, "warn")
        about = lines_of(value)
        if problem is not None:
            about.append("\n").append_text(lines_of(problem.what, role))
            about.append_text(lines_of(f"\n{problem.why}" if problem.why else "", "muted"))
            if problem.fix:
                about.append(f"\n{glyphs.arrow} ", "accent").append_text(lines_of(problem.fix))
        table.add_row(Text(sign, style=role), clean(title), about)
    bad = sum(problem is not None and problem.severity is Severity.ERROR for _, _, problem in findings)
    verdict = (
        Text("Everything is in order.", style="good")
        if not bad
        else Text(f"{formats.count(bad, 'thing')} to put right.", style="bad")
    )
    return Group(inset(table), "", inset(verdict))


def success_note(run: RunRecord, glyphs: Glyphs) -> RenderableType:
    """The end that everybody wants: what was trained, and how long it took."""
    took = run.ended - run.created if run.ended is not None and run.created is not None else None
    line = Text.assemble(
        (f"{glyphs.tick} ", "good"),
        (clean(run.name), "strong"),
        " is trained",
        (_facts(run, took, glyphs), "muted"),
    )
    return inset(line)


def _facts(run: RunRecord, took: float | None, glyphs: Glyphs) -> str:
    facts = [
        formats.count(run.step, "step") if run.step else "",
        formats.duration(took) if took is not None else "",
    ]
    return "".join(f" {glyphs.between} {fact}" for fact in facts if fact)


def ending_note(run: RunRecord, glyphs: Glyphs) -> RenderableType:
    """How a run stands that has ended without its result, and the command to go on with."""
    word, role = STATUS_WORDS[run.status.value]
    words, command = next_step(run.status, clean(run.id), can_resume=bool(run.last_state or run.parent))
    where = f" at step {progress(run)}" if run.step else ""
    line = Text.assemble(
        (f"{glyphs.dot} ", role), (clean(run.name), "strong"), f" is {word}", (where, "muted")
    )
    parts: list[RenderableType] = [line]
    if run.reason is not None:
        now = standing_of(run.reason, run.folder)
        fix = f"{run.reason.fix}{f' Now {now}.' if now else ''}"
        parts += [inset(lines_of(run.reason.message, "warn")), inset(lines_of(fix))]
    if command:
        # On a line of its own: a command that wraps cannot be copied.
        parts += [Text(f"  {words.partition('. ')[2] or words}", "muted"), Text(f"    {command}", "key")]
    return inset(Group(*parts))


def resume_note(run: RunRecord, point: Any, glyphs: Glyphs) -> RenderableType:
    """Where a resumed run goes on, and the newer states that were not trusted."""
    where = (
        f"goes on from step {point.step}" if point.state is not None else "starts again: it has no state yet"
    )
    parts: list[RenderableType] = [
        Text.assemble((f"{glyphs.arrow} ", "accent"), (clean(run.name), "strong"), f" {where}")
    ]
    parts += [
        Text.assemble(
            (f"{glyphs.alert} ", "warn"), clean(path.name), (f" is not used: {clean(reason)}", "muted")
        )
        for path, reason in point.rejected
    ]
    return inset(Group(*parts))
