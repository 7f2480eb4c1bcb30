"""The whole check of a dataset: problems, words, buckets, steps, and which pictures to show. One look at each file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from launcher import captions
from launcher.errors import Problem, Severity
from launcher.pictures import Copies, look_at
from launcher.pictures.record import UNREADABLE
from launcher.plan import parts_of
from launcher.plan.counting import buckets_of
from launcher.plan.shapes import fit, values_of
from launcher.preflight.captions import KINDS, check_words, kind_of
from launcher.preflight.data import check_data
from launcher.preflight.groups import Groups
from launcher.preflight.images import MOST_THREADS, copy_problems, kinds_of, wants_of
from launcher.preflight.pairs import check_pairs
from launcher.preflight.shapes import Cut, loses_much, shape_problems, tables_of
from launcher.preflight.steps import count
from launcher.preflight.words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from launcher.captions import Words
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Part, Plan
    from launcher.plan.buckets import Buckets, Size
    from launcher.plan.shapes import Fit, Table
    from launcher.preflight.images import Want
    from launcher.preflight.steps import Steps

    Tell = Callable[[str, int, int], None]

MOST_ENTRIES = 300  # pictures that are shown of a set, the worst first
MOST_GROUPS = 60  # groups of copies
ORDER = tuple(Severity)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A picture to show: its caption file and what is to be said of it."""

    path: Path
    caption: Path | None
    size: Size | None
    marks: tuple[tuple[Severity, str], ...] = ()
    fit: Fit | None = None  # what becomes of it; None: it is not readable


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetReport:
    """Everything that the check found out. `entries`, `same` and `alike` hold no more than can be shown."""

    data: Path
    preset: str
    trainer: str
    problems: tuple[Problem, ...]
    images: int
    formats: tuple[tuple[str, int], ...]
    words: Words
    tables: tuple[Table, ...]
    steps: Steps
    entries: tuple[Entry, ...]
    same: tuple[tuple[Entry, ...], ...]  # groups with the same bytes
    alike: tuple[tuple[Entry, ...], ...]  # groups that show nearly the same
    is_lasting: bool = True  # the same folders give the same again


def examine(
    paths: Paths, plan: Plan, machine: Machine, tell: Tell = lambda _what, _done, _total: None
) -> DatasetReport:
    """Check the dataset of a plan.

    Args:
        paths: this installation, with what it remembers of files that were looked at before.
        plan: the plan; neither its model nor its training environment matters.
        machine: how many images are decoded at a time.
        tell: called now and then with what is looked at, how many are done, of how many.
    """
    words = words_of(paths, plan, lambda done, total: tell("captions", done, total))
    shelf = Shelf()
    parts, wants = parts_of(plan.dataset), wants_of(plan)
    captioned = dict(_captioned(parts, wants))
    shelf.mark_captions(plan, parts, words, captioned)
    looked = _Pictures()
    looked.look(paths, wants, machine, shelf, lambda done, total: tell("images", done, total))
    cut = Cut()

    def each(path: Path, found: Fit | None) -> None:
        cut.take(path, found)
        if found and loses_much(found):
            shelf.mark(path, Severity.NOTE, f"loses {found.cropped:.0%} of itself")

    tables = tables_of(plan, looked.sizes, each)
    found = [
        *_named("data", check_data(paths, plan, machine)),
        *_named("images", looked.problems()),
        *_named("captions", _pairs(parts)),
        *_named("captions", check_words(paths, plan, words)),
        *_named("shapes", shape_problems(plan, tables, cut)),
    ]

    buckets = _buckets(plan, parts)

    def entry(path: Path) -> Entry:
        marks = sorted(shelf.marks.get(path, ()), key=lambda mark: ORDER.index(mark[0]))
        size = looked.sizes.get(path)
        shape = buckets.get(path.parent, next(iter(buckets.values()), None))
        return Entry(
            path=path, caption=captioned.get(path), size=size, marks=tuple(marks), fit=fit(shape, size) if shape and size else None
        )  # fmt: skip

    return DatasetReport(
        data=plan.data, preset=plan.preset, trainer=plan.trainer, problems=tuple(found), images=len(captioned), formats=tuple(looked.formats.most_common()),
        words=words, tables=tables, steps=count(plan, tables),
        entries=tuple(entry(path) for path in shelf.chosen(list(captioned))),
        same=_groups(looked.copies.same_files(), entry), alike=_groups(looked.copies.alike(), entry),
        is_lasting=_is_lasting(parts, words, looked),
    )  # fmt: skip


def _is_lasting(parts: tuple[Part, ...], words: Words, looked: _Pictures) -> bool:
    """Not with files that could not be read, and not where a metadata file names images from anywhere."""
    are_plain = all(part.metadata is None and part.masks is None and not part.folder.error for part in parts)
    return are_plain and not looked.unreadable and captions.UNREADABLE not in words.faults


def _buckets(plan: Plan, parts: tuple[Part, ...]) -> dict[Path, Buckets]:
    """How the images of each folder are sorted; for a folder in two datasets, by the first."""
    values = values_of(plan.options, plan.dataset)
    found: dict[Path, Buckets] = {}
    for part in parts:
        found.setdefault(part.folder.path, buckets_of(values[part.number], plan.trainer))
    return found


def _named(check: str, problems: Iterable[Problem]) -> list[Problem]:
    return [replace(problem, check=check) for problem in problems]


def _pairs(parts: tuple[Part, ...]) -> Iterator[Problem]:
    for part in parts:
        if part.metadata is None:
            yield from check_pairs(part)


def _groups(groups: list[list[Path]], entry: Callable[[Path], Entry]) -> tuple[tuple[Entry, ...], ...]:
    return tuple(tuple(entry(path) for path in group[:MOST_ENTRIES]) for group in groups[:MOST_GROUPS])


def _captioned(parts: tuple[Part, ...], wants: Mapping[Path, Want]) -> Iterator[tuple[Path, Path | None]]:
    """Every image with its caption file, in the order in which they are trained on first."""
    seen = set()
    for part in parts:
        for image in part.folder.images:
            seen.add(part.folder.path / image)
            yield part.folder.path / image, _caption_path(part, image)
    for path in wants:  # those of metadata files
        if path not in seen:
            yield path, None


def _caption_path(part: Part, image: str) -> Path | None:
    name = part.folder.caption_of(image, part.caption_extension)
    return part.folder.path / name if name else None


class _Copies(Copies):
    """Near pairs are looked for once: it takes a while among many."""

    @cached_property
    def _alike(self) -> list[list[Path]]:
        return super().alike()

    def alike(self) -> list[list[Path]]:
        return self._alike


@dataclass(kw_only=True, slots=True)
class _Pictures:
    """What the decoded images came to."""

    sizes: dict[Path, Size] = field(default_factory=dict)
    groups: Groups = field(default_factory=Groups)
    copies: Copies = field(default_factory=_Copies)
    formats: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    def look(self, paths: Paths, wants: Mapping[Path, Want], machine: Machine, shelf: Shelf, tell: Callable[[int, int], None]) -> None:  # fmt: skip
        threads = max(1, min(MOST_THREADS, machine.cores))
        for look in look_at(list(wants), store=paths.picture_store, threads=threads, tell=tell):
            self.formats[look.format or "no image"] += 1
            self.unreadable += look.fault == UNREADABLE
            if not look.fault:
                self.sizes[look.path] = look.stored_size
            for kind, detail in kinds_of(look, wants[look.path]):
                self.groups.add(kind, look.path, detail)
                shelf.mark(look.path, kind.severity, f"{kind.what} ({detail})" if detail else kind.what)
            self.copies.add(look)

    def problems(self) -> Iterator[Problem]:
        yield from self.groups.problems("image")
        yield from copy_problems(self.copies)


@dataclass(kw_only=True, slots=True)
class Shelf:
    """Marks of pictures, of each severity not more pictures than can be shown."""

    marks: dict[Path, list[tuple[Severity, str]]] = field(default_factory=dict)
    taken: Counter[Severity] = field(default_factory=Counter)

    def mark(self, path: Path, severity: Severity, text: str) -> None:
        """Say something about a picture; it may be said only of the first ones."""
        if path in self.marks:
            self.marks[path].append((severity, text))
        elif self.taken[severity] < MOST_ENTRIES:
            self.taken[severity] += 1
            self.marks[path] = [(severity, text)]

    def mark_captions(
        self, plan: Plan, parts: tuple[Part, ...], words: Words, captioned: dict[Path, Path | None]
    ) -> None:
        """Faults of the captions, and captions that are missing."""
        said: dict[Path, list[tuple[Severity, str]]] = {}
        for fault, named in words.faults.items():
            kind = kind_of(fault, plan.trainer) if fault in KINDS else None
            for path, detail in named.files:
                text = f"caption {kind.what if kind else fault}"
                said.setdefault(path, []).append(
                    (kind.severity if kind else Severity.NOTE, f"{text}: {detail}" if fault == captions.NOT_UTF8 and detail else text)
                )  # fmt: skip
        for path, tokens in words.over.files:
            said.setdefault(path, []).append(
                (Severity.WARNING, f"caption of {tokens} tokens, {words.limit} are read")
            )
        has_class = {part.folder.path for part in parts if part.class_tokens or part.metadata}
        for image, caption in captioned.items():
            if caption is None and image.parent not in has_class:
                self.mark(image, Severity.WARNING, "no caption")
            for severity, text in said.get(caption, ()) if caption else ():
                self.mark(image, severity, text)

    def chosen(self, images: list[Path]) -> list[Path]:
        """The pictures to show: marked ones, the worst first, then others from everywhere in the set."""
        place = {path: number for number, path in enumerate(images)}

        def worst(path: Path) -> tuple[int, int]:
            return min(ORDER.index(severity) for severity, _ in self.marks[path]), place.get(path, 0)

        marked = sorted((path for path in self.marks if path in place), key=worst)[:MOST_ENTRIES]
        others = [path for path in images if path not in self.marks]
        room = MOST_ENTRIES - len(marked)
        step = max(1, -(-len(others) // room)) if room else 0
        return marked + (others[::step] if step else [])
