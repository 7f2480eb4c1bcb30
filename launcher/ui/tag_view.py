"""A tagging on the screen: what will be done, what came of it. Lines are pure functions of the records."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from launcher.ui import console, transfer
from launcher.ui.formats import clean, count, duration, fit, pad, wrap
from launcher.ui.palette import columns
from launcher.ui.progress import bar_signs
from launcher.ui.sheet import bar, spans
from launcher.ui.tag_progress import BAR, MARGIN, device_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.text import Text

    from launcher.tagger.models import Model
    from launcher.tagger.records import Left, Result, Survey, Wish
    from launcher.tagger.runtime import Runtime
    from launcher.tagger.undo import Undone
    from launcher.ui.palette import Glyphs

MOST_TAGS = 12
MOST_NAMED = 3
TAG = 28  # columns


def _put(lines: Sequence[Text]) -> None:
    from rich.console import Group

    console.show(Group(*lines))


# --- afterwards


def show_vouched(model: str, words: str) -> None:
    """What the checksums of a model are worth."""
    lines = wrap(clean(f"{model}: {words}."), columns() - 1 - len(MARGIN))
    _put([spans(MARGIN, (line, "muted")) for line in lines])


def show_result(result: Result, *, undo: str) -> None:
    """What was written, the most frequent tags, what was left alone, and how to take it back."""
    _put(result_lines(result, undo=undo, glyphs=bar_signs(), width=columns() - 1))


def result_lines(result: Result, *, undo: str, glyphs: Glyphs, width: int) -> list[Text]:
    """The screen after a tagging."""
    sign = (glyphs.tick, "good") if result.written else (glyphs.ring, "warn")
    took = f" in {duration(result.seconds)}" if result.seconds else ""
    lines = [
        spans(MARGIN, sign, " ", (f"{count(result.written, 'caption')} written", "strong"), took),
        spans(MARGIN, "  ", (clean(result.folder), "muted")),
    ]
    if result.ready:
        note = f": {result.ready.note}" if result.ready.note else ""
        lines.append(spans(MARGIN, "  ", (f"{clean(result.model)}, {device_words(result)}{note}", "muted")))
    lines += _tag_lines(result, glyphs)
    lines += left_lines(result.left, result.folder, glyphs, width)
    if undo and result.written:
        lines += [spans(), spans(MARGIN, "Take it back:  ", (undo, "accent"))]
    return lines


def _tag_lines(result: Result, glyphs: Glyphs) -> list[Text]:
    top = result.most_frequent[:MOST_TAGS]
    if not top:
        return []
    most = top[0][1]
    found = [
        spans(),
        spans(MARGIN, ("The most frequent tags", "strong"), (f"  of {len(result.tags)}", "muted")),
    ]
    for tag, number in top:
        line = spans(MARGIN, "  ", pad(fit(clean(tag), TAG, glyphs.ellipsis), TAG), " ")
        found.append(line.append_text(bar(number / most, BAR, glyphs)).append(f" {number:>5}", "muted"))
    return found


def left_lines(left: Sequence[Left], folder: Path, glyphs: Glyphs, width: int) -> list[Text]:
    """What was left alone: each reason once, with the first names."""
    if not left:
        return []
    lines = [spans(), spans(MARGIN, (f"Left alone: {count(len(left), 'image')}", "strong"))]
    for why, number in Counter(one.why for one in left).most_common():
        lines.append(spans(MARGIN, "  ", (f"{number:>5}", "warn"), f"  {why}"))
        some = [one for one in left if one.why == why and one.detail][:MOST_NAMED]
        for one in some:
            words = f"{_inside(one.image, folder)}: {one.detail}"
            lines.append(
                spans(MARGIN, " " * 9, (fit(clean(words), max(width - 12, 20), glyphs.ellipsis), "muted"))
            )
    return lines


def _inside(image: Path, folder: Path) -> str:
    try:
        return str(image.relative_to(folder))
    except ValueError:
        return str(image)


def show_interrupted(result: Result, *, undo: str) -> None:
    """After ^C or a failure: what stands."""
    words = f"{count(result.written, 'caption')} had been written. The same command goes on with the rest."
    _put([spans(MARGIN, words), spans(MARGIN, "Take them back:  ", (undo, "accent"))])


def show_undone(done: Undone, *, again: str) -> None:
    """What was taken back."""
    _put(undone_lines(done, again=again, glyphs=console.signs()))


def undone_lines(done: Undone, *, again: str, glyphs: Glyphs) -> list[Text]:
    """The screen after an undoing."""
    parts = [
        f"{count(done.removed, 'new caption')} removed" if done.removed else "",
        f"{count(done.restored, 'caption')} restored" if done.restored else "",
        f"{count(done.untouched, 'caption')} as before already" if done.untouched else "",
    ]
    words = ", ".join(part for part in parts if part) or "nothing had been written"
    lines = [
        spans(MARGIN, (glyphs.tick, "good"), " ", ("Taken back", "strong"), f": {words}"),
        spans(MARGIN, "  ", (clean(done.folder), "muted")),
    ]
    if done.left:
        lines += [spans(), spans(MARGIN, (f"Left alone: {count(len(done.left), 'caption')}", "strong"))]
        lines += [
            spans(MARGIN, "  ", (clean(path.name), ""), ("  " + why, "warn"))
            for path, why in done.left[:MOST_TAGS]
        ]
        if len(done.left) > MOST_TAGS:
            lines.append(spans(MARGIN, "  ", (f"and {len(done.left) - MOST_TAGS} more", "muted")))
    if done.more:
        lines += [
            spans(),
            spans(MARGIN, "An earlier tagging of this folder can be taken back too:  ", (again, "accent")),
        ]
    return lines


# --- beforehand


def show_downloads(model: Model | None, packages: int) -> None:
    """What has to come over the network before it can begin."""
    lines = [spans(MARGIN, ("To be downloaded once", "strong"))]
    if packages:
        lines.append(
            spans(MARGIN, "  ", pad("packages of the tagger", TAG), f" about {transfer.size(packages)}")
        )
    if model:
        much = transfer.size(model.size) if model.size else "its size is asked for"
        lines.append(spans(MARGIN, "  ", pad(fit(clean(model.name), TAG), TAG), f" {much}"))
        lines.append(spans(MARGIN, "  ", (f"{clean(model.repository)} of the hub", "muted")))
    _put(lines)


def show_plan(
    wish: Wish, found: Survey, model: Model, where: Runtime, lacking: Mapping[str, str | None]
) -> None:
    """`--dry-run`: everything that would be done."""
    glyphs, width = console.signs(), columns() - 1
    device = "the graphics card" if where.wants_gpu else f"the processor: {where.note}"
    rows = [
        ("images", f"{count(len(found.targets), 'image')} to tag of {found.images}"),
        ("tagger", f"{model.name}{_lacks(lacking['model'])}"),
        ("packages", f"{where.packages.name}{_lacks(lacking['packages'])}"),
        ("works on", device),
        ("thresholds", f"general {wish.general:g}, character {wish.character:g}"),
        ("captions", f"{wish.extension}, those that are there: {wish.existing}"),
        ("spelling", "blanks" if wish.has_spaces else "underscores"),
    ]
    if wish.prefix:
        rows.append(("prefix", wish.prefix))
    lines = [
        spans(MARGIN, ("A tagging, not carried out", "strong")),
        spans(MARGIN, (clean(wish.folder), "muted")),
        spans(),
    ]
    lines += [spans(MARGIN, (pad(name, 12), "muted"), clean(words)) for name, words in rows]
    _put([*lines, *left_lines(found.left, wish.folder, glyphs, width)])


def _lacks(reason: str | None) -> str:
    return f" (to be brought: {reason})" if reason else ""


def show_models(models: Sequence[Model], *, default: str) -> None:
    """The shipped table."""
    lines = [spans(MARGIN, ("Taggers", "strong"))]
    for model in models:
        sign = "(default) " if model.name == default else ""
        lines.append(
            spans(
                MARGIN,
                pad(model.name, TAG),
                f" {transfer.size(model.size):>7}  ",
                (sign, "accent"),
                (model.title, "muted"),
            )
        )
    lines += [
        spans(),
        spans(
            MARGIN,
            (
                "Others: --model OWNER/NAME of the hub, or a folder with model.onnx and selected_tags.csv.",
                "muted",
            ),
        ),
    ]
    _put(lines)
