"""What becomes of the images' shapes: buckets that are too empty, images that lose too much of themselves, and the length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.pictures import look_at
from launcher.plan.document_schema import REHEARSAL
from launcher.plan.shapes import make_tables
from launcher.preflight.images import MOST_THREADS, wants_of
from launcher.preflight.steps import check_length, count
from launcher.preflight.tagging import MOST_NAMED, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan
    from launcher.plan.buckets import Size
    from launcher.plan.shapes import Fit, Table

LONGEST = 2048  # pixels of a bucket's longer side; SDXL was trained up to it
STEP = 64  # pixels, the usual bucket_reso_steps
MUCH = 0.25  # of an image's area: what was drawn at its edges is not trained


def check_shapes(paths: Paths, plan: Plan, machine: Machine) -> Iterator[Problem]:
    """Buckets, crops and steps, from the sizes that the check of the images remembers."""
    threads = max(1, min(MOST_THREADS, machine.cores))
    looks = look_at(list(wants_of(plan)), store=paths.picture_store, threads=threads)
    sizes = {look.path: look.stored_size for look in looks if not look.fault}
    cut = Cut()
    tables = tables_of(plan, sizes, cut.take)
    yield from shape_problems(plan, tables, cut)


def tables_of(
    plan: Plan, sizes: Mapping[Path, Size], each: Callable[[Path, Fit | None], None]
) -> tuple[Table, ...]:
    """The bucket tables of a plan from known sizes."""
    return make_tables(plan.options, plan.dataset, plan.trainer, sizes.get, each)


def loses_much(found: Fit) -> bool:
    """Whether more is cut off than the rest beyond whole steps, which tiny images lose too."""
    lost = max(found.resized[0] - found.bucket[0], found.resized[1] - found.bucket[1])
    return found.cropped >= MUCH and lost >= STEP


class Cut:
    """Images that lose much; the first of them by name."""

    def __init__(self) -> None:
        self.count = 0
        self.files: list[tuple[Path, str]] = []

    def take(self, path: Path, found: Fit | None) -> None:
        """Look at one image."""
        if found is None or not loses_much(found):
            return
        self.count += 1
        if len(self.files) < MOST_NAMED:
            self.files.append((path, f"{found.cropped:.0%}"))


def shape_problems(plan: Plan, tables: tuple[Table, ...], cut: Cut) -> Iterator[Problem]:
    """What speaks against these buckets and this length."""
    for table in tables:
        yield from _short(plan, table)
    if cut.count:
        yield Problem(
            severity=Severity.NOTE, what=f"1 image loses {cut.files[0][1]} of itself" if cut.count == 1 else f"{cut.count} images lose a quarter or more of themselves",
            why="no bucket has their shape: what is at their edges is cut off", fix=_less_cut(plan),
            where=names_of(cut.files, cut.count),
        )  # fmt: skip
    yield from check_length(plan, count(plan, tables))


def _less_cut(plan: Plan) -> str:
    """What would cut off less, as far as an option does."""
    by_hand = "crop them by hand to what matters"
    bucketed, longest = plan.options.get("enable_bucket"), plan.options.get("max_bucket_reso")
    if bucketed is None or not bucketed.value:
        return f"{by_hand}, or sort images by shape: --set enable_bucket=true"
    if longest is not None and isinstance(longest.value, int) and longest.value < LONGEST:
        return f"{by_hand}, or allow longer buckets: --set max_bucket_reso={LONGEST}"
    return by_hand


def _short(plan: Plan, table: Table) -> Iterator[Problem]:
    if table.batch_size < 2 or not table.short or plan.trainer == REHEARSAL:  # it sorts by a rule of its own
        return
    rows = table.short
    names = ", ".join(f"{row.size[0]} × {row.size[1]} ({row.shown})" for row in rows[:3])
    few = "1 bucket has" if len(rows) == 1 else f"{len(rows)} buckets have"
    yield Problem(
        severity=Severity.NOTE, what=f"{few} fewer images than a batch of {table.batch_size}: {names}{' …' if len(rows) > 3 else ''}",
        why="a step with fewer images moves the weights as far as a full one: odd shapes count more than the others",
        fix="crop those images to a more usual shape, or take a smaller batch", where=str(plan.data),
    )  # fmt: skip
