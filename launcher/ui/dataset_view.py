"""The check of a dataset on the screen: what it is, what is wrong with it, its words, buckets and steps. Records in, renderables out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from launcher.errors import Severity
from launcher.ui import formats
from launcher.ui.formats import clean
from launcher.ui.tables import grid, headed, inset, lines_of, problem_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.captions import Tags, Words
    from launcher.plan.shapes import Bucket, Table
    from launcher.preflight.dataset import DatasetReport
    from launcher.preflight.steps import Steps
    from launcher.ui.palette import Glyphs

MOST_ROWS = 16  # buckets; all of them are in the contact sheet and in --json
MOST_TAGS = 14
NOTABLE = 0.1  # of an image's area: less is cut off from nearly everything
ORDER = tuple(Severity)


def dataset_view(
    report: DatasetReport, glyphs: Glyphs, *, page: str = "", command: str = ""
) -> RenderableType:
    """The whole screen. `page`: where the contact sheet was written; else `command` says how to get one."""
    problems = sorted(report.problems, key=lambda problem: ORDER.index(problem.severity))
    parts: list[RenderableType] = [inset(_heading(report, glyphs)), "", inset(_facts(report)), ""]
    if problems:
        parts += [problem_list(problems, glyphs), ""]
    for table in report.tables:
        if table.rows:
            parts += [inset(bucket_table(table, len(report.tables))), ""]
    parts.append(inset(verdict(report)))
    if page:
        parts.append(inset(Text.assemble(("contact sheet  ", "muted"), clean(page))))
    elif command and report.images:
        parts.append(inset(Text.assemble(("the pictures side by side:  ", "muted"), (clean(command), "key"))))
    return Group(*parts)


def _heading(report: DatasetReport, glyphs: Glyphs) -> RenderableType:
    about = f" {glyphs.between} ".join(clean(part) for part in (report.preset, report.trainer))
    return Text.assemble(
        (clean(report.data.name or report.data), "title"),
        "   ",
        (f"as {about} would train it", "muted"),
    )


def _facts(report: DatasetReport) -> RenderableType:
    table = grid({"no_wrap": True, "style": "muted", "min_width": 8}, {"overflow": "fold"})
    formats_ = ", ".join(f"{count} {clean(name)}" for name, count in report.formats)
    table.add_row(
        "images", Text.assemble(str(report.images), (f"   {formats_}" if formats_ else "", "muted"))
    )
    table.add_row("captions", _captions(report.words))
    for title, line in _tags(report.words.tags):
        table.add_row(title, line)
    for number, line in enumerate(step_lines(report.steps)):
        table.add_row("" if number else "steps", line)
    return table


def _captions(words: Words) -> Text:
    if not words.files:
        return Text("none" if not words.tags.captions else f"{words.tags.captions}, in a metadata file")
    about = "" if words.is_exact else "at least "
    said = f"   {about}{words.median} tokens in the middle, {about}{words.longest} the longest; {words.limit} are read"
    return Text.assemble(str(words.files), (said if words.longest else "", "muted"))


def _tags(tags: Tags) -> Iterator[tuple[str, Text]]:
    if not tags.captions:
        return
    if tags.everywhere:
        yield "on all", lines_of(", ".join(tags.everywhere[:MOST_TAGS]))
    if tags.is_prose:
        yield "tags", Text("sentences rather than tags", style="muted")
        return
    rest = [(tag, count) for tag, count in tags.top if tag not in tags.everywhere][:MOST_TAGS]
    if rest:
        line = Text(", ".join(f"{clean(tag)} {count}" for tag, count in rest))
        line.append(
            f"   {'at least ' if tags.is_cut else ''}{tags.distinct} different, {tags.once} only once",
            "muted",
        )
        yield "tags", line


def step_lines(steps: Steps) -> Iterator[Text]:
    """`40 images × 10 = 400 an epoch, / batch 1 = 400 steps an epoch`, and what the whole comes to."""
    if not steps.batches:
        return
    images = formats.count(steps.images, "image")
    times = ", with repeats" if steps.shown != steps.images else ""
    if steps.shown != steps.images and steps.shown % steps.images == 0:
        times = f" × {steps.shown // steps.images}"
    shown = f"{images}{times} = {_number(steps.shown)} an epoch" if times else f"{images} an epoch"
    divided = "".join(
        f" / {name} {count}"
        for name, count in (("batch", steps.batch_size), ("accumulation", steps.accumulation), ("cards", steps.cards))
        if count > 1 or name == "batch"
    )  # fmt: skip
    yield Text.assemble(shown, (divided, "muted"), f" = {formats.count(steps.an_epoch, 'step')} an epoch")
    if steps.total is None:
        yield Text("how many in all, only the trainer can tell", style="muted")
    elif steps.epochs is not None and steps.seen is not None:
        yield Text.assemble(
            (formats.count(steps.total, "step"), "strong"), f" in all = {_plain(steps.epochs)} epochs: each image is seen {_plain(steps.seen)} times"
        )  # fmt: skip


def bucket_table(table: Table, of: int) -> RenderableType:
    """The buckets of one dataset, by size; of many those with most images."""
    right: dict[str, Any] = {"justify": "right", "no_wrap": True}
    has_batches = table.batch_size > 1
    has_enlarged = any(row.enlarged for row in table.rows)
    shown = headed(
        ("bucket", right), ("images", right), ("an epoch", right), *([("batches", right)] if has_batches else []),
        ("cut off", right), *([("enlarged", {"no_wrap": True})] if has_enlarged else []), gap=3,
    )  # fmt: skip
    most = {row.size for row in sorted(table.rows, key=lambda row: -row.images)[:MOST_ROWS]}
    for row in table.rows:
        if row.size in most:
            shown.add_row(*_row(row, table, has_batches=has_batches, has_enlarged=has_enlarged))
    width, height = table.resolution
    title = f"Buckets at {width} × {height}" + (f", dataset {table.number + 1}" if of > 1 else "")
    more = len(table.rows) - len(most)
    lines: list[RenderableType] = [Text(title, style="strong"), shown]
    if more > 0:
        lines.append(Text(f"and {more} more with fewer images", style="muted"))
    if table.lost:
        lines.append(Text(f"{formats.count(table.lost, 'image')} in none: not readable", style="bad"))
    return Group(*lines)


def _row(row: Bucket, table: Table, *, has_batches: bool, has_enlarged: bool) -> list[RenderableType]:
    cut = Text(f"{row.cropped:.0%}")
    if row.most_cropped >= max(NOTABLE, row.cropped + 0.02):
        cut.append(f", up to {row.most_cropped:.0%}", "muted")
    if row.most_cropped >= 0.25:
        cut.stylize("warn")
    enlarged = Text(f"{row.enlarged}, up to {row.most_enlarged:.1f} times" if row.enlarged else "")
    if row.most_enlarged >= 2:
        enlarged.stylize("warn")
    batches = Text(str(row.batches), style="warn" if row.shown < table.batch_size else "")
    return [
        f"{row.size[0]} × {row.size[1]}", _number(row.images), _number(row.shown),
        *([batches] if has_batches else []), cut, *([enlarged] if has_enlarged else []),
    ]  # fmt: skip


def verdict(report: DatasetReport) -> Text:
    """The last line."""
    found = [problem.severity for problem in report.problems]
    errors, warnings, notes = (found.count(severity) for severity in ORDER)
    if errors:
        return Text(f"{formats.count(errors, 'error')} to put right before a training.", style="bad")
    if warnings:
        return Text(f"It can be trained on, with {formats.count(warnings, 'warning')}.", style="warn")
    also = f" {formats.count(notes, 'note')} to read." if notes else ""
    return Text(f"It can be trained on.{also}", style="good")


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _plain(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 100 else f"{value:.0f}"
