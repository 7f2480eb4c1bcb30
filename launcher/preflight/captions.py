"""Does every image have a caption that the trainer can read, and are the words in it good for what is trained?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher import captions
from launcher.captions import MOST_BYTES
from launcher.errors import Problem, Severity
from launcher.plan import parts_of
from launcher.plan.document_schema import REHEARSAL
from launcher.preflight.groups import Kind
from launcher.preflight.pairs import check_pairs
from launcher.preflight.tagging import check_tags, names_of
from launcher.preflight.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.captions import Words
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

NOT_UTF8 = Kind(
    severity=Severity.ERROR, what="not saved as UTF-8", why="the trainer stops at the first such file", fix="save it again with the encoding UTF-8"
)  # fmt: skip
EMPTY = Kind(
    severity=Severity.ERROR, what="empty", why="sd-scripts stops at an empty caption", fix="write a caption into it, or delete the file"
)  # fmt: skip
BLANK = Kind(
    severity=Severity.WARNING, what="without a word", why="there are only blanks: its image is trained without words", fix="write a caption into it"
)  # fmt: skip
LATER_WORDS = Kind(
    severity=Severity.WARNING, what="blank in the first line", why="the trainer reads only that line: the words below it are lost",
    fix="move the words into the first line",
)  # fmt: skip
LATER_LINES = Kind(
    severity=Severity.WARNING, what="longer than one line", why="the trainer reads only the first line: the others are lost",
    fix="write everything into one line, or let a line be drawn by chance: enable_wildcard = true in a dataset.toml",
)  # fmt: skip
LONG = Kind(
    severity=Severity.WARNING,
    what="far too long",
    why=f"more than {MOST_BYTES // 1024} KiB",
    fix="check that this is a caption",
)
UNREADABLE = Kind(severity=Severity.ERROR, what="unreadable", fix="check the file's permissions")
MARK = Kind(
    severity=Severity.NOTE, what="marked with a byte order mark", why="sd-scripts takes it for a part of the first tag in the LoRA's tag list; the training is the same",
    fix='save as "UTF-8", not as "UTF-8 with BOM", if you like it tidy',
)  # fmt: skip
CONTROL = Kind(
    severity=Severity.NOTE, what="sprinkled with control characters", why="they are dropped before the words are read", fix="take them out"
)  # fmt: skip

KINDS = {
    captions.UNREADABLE: UNREADABLE, captions.EMPTY: EMPTY, captions.NOT_UTF8: NOT_UTF8, captions.BLANK: BLANK,
    captions.LATER_WORDS: LATER_WORDS, captions.LATER_LINES: LATER_LINES, captions.LONG: LONG, captions.MARK: MARK,
    captions.CONTROL: CONTROL,
}  # fmt: skip
# What the rehearsal takes for an empty caption, and sd-scripts does not.
STRICT = {
    captions.BLANK: replace(
        BLANK, severity=Severity.ERROR, what="as good as empty", why="there are only blanks, and the rehearsal stops there"
    ),
    captions.LATER_WORDS: replace(
        LATER_WORDS, severity=Severity.ERROR, what="empty in the first line", why="the rehearsal reads only that line, and stops there"
    ),
}  # fmt: skip


def check_captions(paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Captions are there, can be read, and have words that fit what is trained."""
    for part in parts_of(plan.dataset):
        if part.metadata is None:
            yield from check_pairs(part)
    yield from check_words(paths, plan, words_of(paths, plan))


def check_words(paths: Paths, plan: Plan, words: Words) -> Iterator[Problem]:
    """What is wrong with captions that have been read."""
    yield from _faults(plan, words)
    yield from check_tags(paths, plan, words)


def kind_of(fault: str, trainer: str) -> Kind:
    """The kind of trouble that a fault of a caption means to a trainer."""
    return STRICT.get(fault, KINDS[fault]) if trainer == REHEARSAL else KINDS[fault]


def _faults(plan: Plan, words: Words) -> Iterator[Problem]:
    for fault in KINDS:
        named = words.faults.get(fault)
        if named is None:
            continue
        kind = kind_of(fault, plan.trainer)
        says = "it looks like {}" if fault == captions.NOT_UTF8 else "{}"
        files = [(path, says.format(detail) if detail else "") for path, detail in named.files]
        yield Problem(
            severity=kind.severity, what=f"1 caption file is {kind.what}" if named.count == 1 else f"{named.count} caption files are {kind.what}",
            why=kind.why, fix=kind.fix, where=names_of(files, named.count),
        )  # fmt: skip
