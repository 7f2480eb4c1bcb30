"""How an installation ended: the proof as a table, what is ready and what next, what was removed and what stayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from launcher.paths import command
from launcher.ui import formats, transfer
from launcher.ui.formats import clean
from launcher.ui.tables import grid, inset, lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from launcher.install.findings import Check, Report
    from launcher.ui.palette import Glyphs

MOST_LISTED = 12
ATTENTIONS = {"sdpa": "SDPA"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What an install, update, repair or rollback came to."""

    title: str  # "sd-scripts v0.10.1 is ready"
    folder: str = ""
    seconds: float | None = None
    downloaded_bytes: int | None = None
    facts: tuple[str, ...] = ()  # "torch 2.5.1+cu121", "attention: xformers"
    remarks: tuple[str, ...] = ()  # what should be known: the environment before is kept for `rollback`
    next_steps: tuple[tuple[str, str], ...] = ()  # (words, command)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """What an uninstall removed and left."""

    title: str
    removed: tuple[Path, ...] = ()
    freed_bytes: int = 0
    kept: tuple[str, ...] = ()  # what stays and why, in words


def render_proof(report: Report, glyphs: Glyphs) -> list[RenderableType]:
    """Every check with its sign, what was found, and why it is not better where it is not."""
    table = grid({"width": 1}, {"no_wrap": True, "max_width": 30, "overflow": "ellipsis"}, {"overflow": "fold", "ratio": 1}, gap=2)  # fmt: skip
    for check in report.checks:
        sign, role = _mark(check, glyphs)
        words = lines_of(check.value, "muted" if check.state == "skipped" else "")
        if check.detail:
            words.append("\n" if check.value else "").append_text(lines_of(check.detail, role if check.state != "skipped" else "muted"))  # fmt: skip
        title = Text(clean(check.title), style="bad" if check.state == "failed" else "muted")
        table.add_row(Text(sign, style=role), title, words)
    return [inset(table), "", inset(_verdict(report, glyphs))]


def _mark(check: Check, glyphs: Glyphs) -> tuple[str, str]:
    marks = {
        "ok": (glyphs.tick, "good"), "skipped": (glyphs.ring, "muted"), "failed": (glyphs.cross, "bad"),
        "fell back": (glyphs.alert, "warn"),
    }  # fmt: skip
    return marks.get(check.state, (glyphs.dot, "accent"))


def _verdict(report: Report, glyphs: Glyphs) -> Text:
    failed = sum(check.state == "failed" for check in report.checks)
    skipped = sum(check.state == "skipped" for check in report.checks)
    if failed:
        return Text(f"{formats.count(failed, 'check')} failed: this environment is not used.", style="bad")
    words = Text.assemble((f"{glyphs.tick} ", "good"), "Proved", (f" on {clean(report.device)}", "muted"))
    words.append(f", {skipped} skipped" if skipped else "", "muted")
    if report.attention:
        words.append(f"\n  attention: {ATTENTIONS.get(report.attention, clean(report.attention))}")
        words.append(f"  {clean(report.attention_reason)}" if report.attention_reason else "", "muted")
    return words


def render_done(done: Done, width: int, glyphs: Glyphs) -> list[RenderableType]:
    """What is ready, where, how long it took, what next."""
    table = grid({"width": 2}, {"overflow": "fold"}, gap=0)
    table.add_row(Text(glyphs.tick, style="good"), Text(clean(done.title), style="strong"))
    facts = f" {glyphs.between} ".join(map(clean, [*done.facts, *_took(done)]))
    if facts:
        table.add_row("", Text(facts, style="muted"))
    parts: list[RenderableType] = [inset(table)]
    if done.folder:  # one line, however long: a path that was cut in two cannot be copied
        parts.append(_uncut(("    in ", "muted"), (clean(done.folder), "")))
    parts += [inset(_bullet(remark, glyphs)) for remark in done.remarks]
    if done.next_steps:
        parts += ["", *_next(done.next_steps, width)]
    return parts


def _next(steps: Sequence[tuple[str, str]], width: int) -> list[RenderableType]:
    """Words and commands beside each other, or below where that is too wide."""
    widest = max(formats.cells(words) for words, _ in steps)
    longest = max(formats.cells(line) for _, line in steps)
    if widest + longest + 8 <= width:
        return [_uncut((f"    {words:<{widest}}   ", ""), (line, "key")) for words, line in steps]
    return [
        part
        for words, line in steps
        for part in (_uncut((f"    {words}", "")), _uncut((f"      {line}", "key")))
    ]


def next_steps(*, can_rehearse: bool) -> tuple[tuple[str, str], ...]:
    """What one does with a fresh environment."""
    rehearse = (("See the whole way first, in a minute", command("demo")),) if can_rehearse else ()
    return (
        *rehearse,
        ("Train", f"{command('train')} style-8gb --data FOLDER"),
        ("Everything else: the menu", command()),
    )


def _took(done: Done) -> list[str]:
    if done.seconds is None:
        return []
    took = formats.duration(done.seconds)
    return [f"{transfer.size(done.downloaded_bytes)} in {took}" if done.downloaded_bytes else f"took {took}"]


def render_gone(gone: Gone, glyphs: Glyphs) -> list[RenderableType]:
    """What was removed, how much room that made, and what stays with its reason."""
    if not gone.removed and not gone.kept:
        return [inset(Text.assemble((f"{glyphs.tick} ", "good"), "There was nothing to remove."))]
    head = Text.assemble((f"{glyphs.tick} ", "good"), (clean(gone.title), "strong"))
    head.append(f"   {transfer.size(gone.freed_bytes)} freed" if gone.freed_bytes else "", "muted")
    parts: list[RenderableType] = [inset(head)]
    parts += [_uncut(("    ", ""), (clean(path), "muted")) for path in gone.removed[:MOST_LISTED]]
    if len(gone.removed) > MOST_LISTED:
        parts.append(inset(Text(f"  and {len(gone.removed) - MOST_LISTED} more", style="muted")))
    if gone.kept:
        parts += ["", inset(Text("Stays", style="strong"))]
        parts += [inset(_bullet(words, glyphs)) for words in gone.kept]
    return parts


def render_changes(title: str, changes: Sequence[str], glyphs: Glyphs) -> list[RenderableType]:
    """What differs or will change, each on a line; for `repair` and `update`."""
    if not changes:
        return [inset(Text.assemble((f"{glyphs.tick} ", "good"), "Everything is as it should be."))]
    return [inset(Text(clean(title), style="strong")), *(inset(_bullet(one, glyphs)) for one in changes)]


def _bullet(words: str, glyphs: Glyphs) -> RenderableType:
    table = grid({"width": 2}, {"overflow": "fold"}, gap=0)
    table.add_row(Text(glyphs.dot, style="accent"), lines_of(words))
    return table


def _uncut(*spans: tuple[str, str]) -> Text:
    line = Text(no_wrap=True, overflow="ignore")
    for words, role in spans:
        line.append(words, role or None)
    return line
