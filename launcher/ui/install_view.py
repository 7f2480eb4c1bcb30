"""What an installation is going to do: in short before the question, in full for `--dry-run`. Pure: records in, lines out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from launcher.ui import transfer
from launcher.ui.formats import cells, clean
from launcher.ui.tables import grid, inset, lines_of, problem_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from launcher.errors import Problem
    from launcher.ui.palette import Glyphs

COMMAND_INDENT = 6
LEAST_ROOM = 20  # columns for a command; below, the terminal wraps by itself
LABEL = 12  # columns of the questions' names


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Something that could be otherwise: what was decided, and why."""

    question: str  # "PyTorch", "Attention"
    answer: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """One thing that comes over the network."""

    what: str
    source: str  # without secrets
    mib: float | None = None  # None: nobody tells
    is_here: bool = False  # on this computer already: listed, not counted


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """One step and what it runs; a step of our own code has words instead of commands."""

    title: str
    commands: tuple[str, ...] = ()  # as `process.show` writes them, without secrets
    words: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredQuestion:
    """One question of `accelerate config` in its own words, with the answer that is given for the user."""

    text: str
    answer: str
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallView:
    """Everything about an installation before it begins. Sizes in MiB."""

    title: str
    folder: str
    machine: tuple[str, ...] = ()  # lines
    decisions: tuple[Decision, ...] = ()
    downloads: tuple[Download, ...] = ()
    disk_need_mib: float | None = None
    disk_free_mib: float | None = None
    steps: tuple[PlannedStep, ...] = ()
    questions: tuple[AnsweredQuestion, ...] = ()
    question_remark: str = ""
    problems: tuple[Problem, ...] = ()  # warnings and notes; what stops an installation is an error elsewhere

    @property
    def download_mib(self) -> float:
        """Of what has to come and whose size is known."""
        return sum(one.mib or 0.0 for one in self.downloads if not one.is_here)

    @property
    def unknown_downloads(self) -> int:
        return sum(one.mib is None and not one.is_here for one in self.downloads)


def render_summary(view: InstallView, glyphs: Glyphs, *, reasons: int | None = None) -> list[RenderableType]:
    """Half a screen above the question: what, on what, why so, how much. `reasons`: for how many decisions; None: all."""
    parts: list[RenderableType] = [*_head(view), "", inset(_decisions(view, glyphs, reasons))]
    if view.problems:
        parts += ["", problem_list(view.problems, glyphs)]
    return parts


def render_plan(view: InstallView, width: int | None, glyphs: Glyphs) -> list[RenderableType]:
    """Everything, for `--dry-run`. Commands are wrapped between words so that a shell still takes them as they stand.

    `width` None: where lines have no end (a pipe), every command is one line. Texts that must not be cut carry
    `overflow="ignore"` and are to be printed without cropping.
    """
    parts = render_summary(view, glyphs)
    if view.downloads:
        parts += ["", _title("Downloads"), inset(_downloads(view))]
    if view.steps:
        parts += ["", _title("Steps")]
        for number, step in enumerate(view.steps, start=1):
            parts += _step(number, step, width)
    if view.questions:
        parts += ["", _title("Questions of `accelerate config`, answered for you"), inset(questions_table(view.questions, glyphs))]  # fmt: skip
        if view.question_remark:
            parts.append(inset(lines_of(view.question_remark, "muted")))
    return parts


def _head(view: InstallView) -> list[RenderableType]:
    lines: list[RenderableType] = [inset(Text(clean(view.title), style="title"))]
    quiet = [*view.machine, view.folder]
    return [
        *lines,
        *(inset(Text(clean(line), style="muted", no_wrap=True, overflow="ellipsis")) for line in quiet),
    ]


def _title(words: str) -> RenderableType:
    return inset(Text(words, style="strong"))


def _decisions(view: InstallView, glyphs: Glyphs, reasons: int | None) -> RenderableType:
    widest = max([LABEL, *(cells(clean(one.question)) for one in view.decisions)])
    table = grid({"width": widest, "style": "muted"}, {"overflow": "fold", "ratio": 1}, gap=2)
    for number, one in enumerate(view.decisions):
        words = lines_of(one.answer)
        if one.reason and (reasons is None or number < reasons):
            words.append("\n").append_text(lines_of(one.reason, "muted"))
        table.add_row(clean(one.question), words)
    table.add_row("Download", _download_words(view))
    table.add_row("Disk", _disk_words(view, glyphs))
    return table


def _download_words(view: InstallView) -> Text:
    coming = [one for one in view.downloads if not one.is_here]
    if not coming:
        return Text("nothing: all of it is on this computer" if view.downloads else "nothing")
    if view.unknown_downloads == len(coming):
        return Text("of unknown size")
    words = Text.assemble((transfer.size_mib(view.download_mib), "strong"))
    if view.unknown_downloads:
        words.append(f" and {view.unknown_downloads} of unknown size", "muted")
    biggest = max(coming, key=lambda one: one.mib or 0.0)
    if len(coming) > 1 and biggest.mib:
        name = biggest.what.partition("-")[0] if biggest.what.endswith(".whl") else biggest.what
        words.append(f", of which {transfer.size_mib(biggest.mib)} for {clean(name)}", "muted")
    return words


def _disk_words(view: InstallView, glyphs: Glyphs) -> Text:
    need, free = view.disk_need_mib, view.disk_free_mib
    words = Text()
    if need is not None:
        words.append(f"{transfer.size_mib(need)} needed")
    if free is not None:
        is_short = need is not None and need > free
        words.append(", " if words else "").append(
            f"{transfer.size_mib(free)} free", "bad" if is_short else ""
        )
        if is_short:
            words.append(f" {glyphs.cross}", "bad")
    return words or Text("unknown")


def _downloads(view: InstallView) -> RenderableType:
    table = grid({"overflow": "fold", "ratio": 1}, {"justify": "right", "no_wrap": True}, gap=2)
    for one in view.downloads:
        amount = Text("here", style="muted") if one.is_here else Text(transfer.size_mib(one.mib))
        table.add_row(lines_of(one.what).append(f"\n{clean(one.source)}", "muted"), amount)
    total = transfer.size_mib(view.download_mib)
    unknown = f" + {view.unknown_downloads} unknown" if view.unknown_downloads else ""
    table.add_row(Text("in all", style="muted"), Text(f"{total}{unknown}", style="strong"))
    return table


def _step(number: int, step: PlannedStep, width: int | None) -> list[RenderableType]:
    parts: list[RenderableType] = [Text.assemble((f"  {number:>2}  ", "muted"), clean(step.title))]
    if step.words:
        parts.append(_uncut(f"{' ' * COMMAND_INDENT}{clean(step.words)}", "muted") if width is None else _folded(step.words))  # fmt: skip
    for command in step.commands:
        lines = wrap_command(clean(command), None if width is None else width - COMMAND_INDENT - 1)
        parts += [_uncut(f"{' ' * COMMAND_INDENT}{line}", "accent") for line in lines]
    return parts


def _folded(words: str) -> RenderableType:
    from rich.padding import Padding

    return Padding(lines_of(words, "muted"), (0, 1, 0, COMMAND_INDENT))


def _uncut(line: str, role: str) -> Text:
    return Text(line, style=role, no_wrap=True, overflow="ignore")


def wrap_command(command: str, width: int | None, *, is_windows: bool = os.name == "nt") -> list[str]:
    r"""A command in lines of at most `width` columns that a shell still understands: each but the last ends in `\` or `^`.

    An argument is never broken: one that is longer than a line has a line to itself, however long.
    """
    if width is None or cells(command) <= width:
        return [command]
    room = max(width, LEAST_ROOM) - 2
    lines: list[str] = []
    for word in _arguments(command, is_windows=is_windows):
        indent = "  " if lines else ""
        if lines and cells(lines[-1]) + 1 + cells(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{indent}{word}")
    sign = " ^" if is_windows else " \\"
    return [*(f"{line}{sign}" for line in lines[:-1]), lines[-1]]


def _arguments(command: str, *, is_windows: bool) -> list[str]:
    """The arguments as they are written, quotes and all."""
    quoted = r'"(?:\\.|[^"\\])*"' if is_windows else r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\."
    return re.findall(rf"(?:{quoted}|[^\s])+", command)


def questions_table(questions: Sequence[AnsweredQuestion], glyphs: Glyphs) -> RenderableType:
    """The questions in their own words, each with its answer below."""
    table = grid({"width": 2, "justify": "right", "style": "muted"}, {"overflow": "fold", "ratio": 1}, gap=1)
    for number, one in enumerate(questions, start=1):
        words = lines_of(one.text)
        words.append(f"\n{glyphs.arrow} ", "accent").append(clean(one.answer), "key")
        if one.why:
            words.append(f"\n{clean(one.why)}", "muted")
        table.add_row(str(number), words)
    return table
