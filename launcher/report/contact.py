"""The contact sheet of a dataset: one HTML page with the pictures, what is wrong with each, copies side by side, tags, buckets."""

from __future__ import annotations

import time
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.captions import Caption, read_caption
from launcher.errors import LauncherError, Severity
from launcher.files import write_atomic
from launcher.report import words
from launcher.report.content import said
from launcher.report.page import _asset, _environment
from launcher.report.thumbs import load_thumbs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.errors import Problem
    from launcher.plan.shapes import Fit
    from launcher.preflight.dataset import DatasetReport, Entry

LONGEST_CAPTION = 1000  # characters shown
MOST_COPIES = 8  # pictures of one group that are shown
MOST_GROUPS = 40
MOST_TAGS = 150
KINDS = {Severity.ERROR: "bad", Severity.WARNING: "wait", Severity.NOTE: "note"}
HIDDEN = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One picture with what is to be said of it; texts are harmless, the template escapes them."""

    name: str
    folder: str
    uri: str
    size: str
    caption: str
    marks: tuple[tuple[str, str], ...]  # kind and words
    frame: tuple[float, float] | None  # share of the width and of the height that is trained
    ratio: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """All that the page says."""

    report: DatasetReport
    name: str
    verdict: str
    verdict_kind: str
    problems: tuple[tuple[str, Problem], ...]
    cards: tuple[Card, ...]
    groups: tuple[tuple[str, tuple[Card, ...]], ...]
    left_out: str
    groups_left_out: int
    written: str


def write_sheet(report: DatasetReport, file: Path, tell: Callable[[int, int], None] | None = None) -> Path:
    """Write the page and return its path.

    Raises:
        LauncherError: nothing can be written there.
    """
    text = lay_out(gather(report, tell))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, text)
    except OSError as error:
        raise LauncherError(
            f"The contact sheet cannot be written: {error.strerror or error}",
            fix="check that the disk has room and that the folder may be written to, or name another place with --html FILE",
            where=str(file),
        ) from error  # fmt: skip
    return file


def gather(report: DatasetReport, tell: Callable[[int, int], None] | None = None) -> Sheet:
    """All that the page says; the pictures are read here."""
    same, alike = report.same[:MOST_GROUPS], report.alike[:MOST_GROUPS]
    grouped = [entry for group in (*same, *alike) for entry in group[:MOST_COPIES]]
    paths = list(dict.fromkeys(entry.path for entry in (*grouped, *report.entries) if entry.size))
    thumbs = load_thumbs(paths, tell)

    def cards(entries: tuple[Entry, ...]) -> tuple[Card, ...]:
        return tuple(_card(entry, thumbs.get(entry.path, "")) for entry in entries)

    order = list(Severity)
    problems = sorted(report.problems, key=lambda problem: order.index(problem.severity))
    verdict, kind = _verdict(problems)
    groups = [("the same file", cards(group[:MOST_COPIES])) for group in same]
    groups += [("nearly the same", cards(group[:MOST_COPIES])) for group in alike]
    return Sheet(
        report=report, name=plain(report.data.name or str(report.data)), verdict=verdict, verdict_kind=kind,
        problems=tuple((KINDS[problem.severity], problem) for problem in problems),
        cards=cards(report.entries), groups=tuple(groups), left_out=_left_out(report),
        groups_left_out=len(report.same) + len(report.alike) - len(groups), written=words.moment(time.time()),
    )  # fmt: skip


def lay_out(sheet: Sheet) -> str:
    """The page as one HTML document that needs nothing else and runs no script at all."""
    template = _environment().get_template("contact.html.j2")
    text = template.render(
        sheet=sheet, report=sheet.report, plain=plain, most_tags=MOST_TAGS, style=_asset("report.css") + _asset("contact.css")
    )  # fmt: skip
    return str(text).encode("utf-8", "replace").decode("utf-8")


def plain(text: object) -> str:
    """Foreign text without what hides or reorders it; the home folder's name is nobody's business."""
    return "".join(
        "\ufffd" if char in HIDDEN or (char != "\n" and unicodedata.category(char) in {"Cc", "Cs"}) else char for char in said(text)
    )  # fmt: skip


def _card(entry: Entry, uri: str) -> Card:
    size = f"{entry.size[0]} × {entry.size[1]}" if entry.size else ""
    if entry.fit:
        size += f" → {entry.fit.bucket[0]} × {entry.fit.bucket[1]}"
    return Card(
        name=plain(entry.path.name), folder=plain(entry.path.parent.name), uri=uri, size=size,
        caption=_caption(entry), marks=tuple((KINDS[severity], plain(text)) for severity, text in entry.marks),
        frame=_frame(entry.fit) if entry.fit else None,
        ratio=entry.size[0] / entry.size[1] if entry.size and entry.size[1] else 1.0,
    )  # fmt: skip


def _caption(entry: Entry) -> str:
    caption = read_caption(entry.caption) if entry.caption else Caption()
    text = caption.text
    return plain(text[:LONGEST_CAPTION]) + (" …" if len(text) > LONGEST_CAPTION else "")


def _frame(fit: Fit) -> tuple[float, float] | None:
    """How much of the width and the height is trained, in per cent; None: practically all of it."""
    wide = min(100.0, 100 * fit.bucket[0] / fit.resized[0])
    high = min(100.0, 100 * fit.bucket[1] / fit.resized[1])
    return (round(wide, 1), round(high, 1)) if min(wide, high) < 97 else None


def _verdict(problems: list[Problem]) -> tuple[str, str]:
    count = [problem.severity for problem in problems].count
    if count(Severity.ERROR):
        return f"{words.plural(count(Severity.ERROR), 'error')} to put right", "bad"
    if count(Severity.WARNING):
        return f"can be trained on, with {words.plural(count(Severity.WARNING), 'warning')}", "wait"
    return "can be trained on", "good"


def _left_out(report: DatasetReport) -> str:
    more = report.images - len(report.entries)
    if more <= 0:
        return ""
    return f"{len(report.entries):,} of {report.images:,} pictures are shown, those with marks first, the others from everywhere in the set."
