"""The bucket table as the trainer will make it: which sizes, how many images in each, what is cut off, what is blown up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.plan.counting import buckets_of, shown_images
from launcher.plan.dataset import parts_of
from launcher.plan.document_schema import FORK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.plan.buckets import Buckets, Size
    from launcher.preset import Setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What becomes of one image."""

    bucket: Size
    resized: Size  # before the rest is cut off
    cropped: float  # share of the scaled image's area that is cut off, 0 to 1
    scale: float  # above 1: enlarged


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """One row: all images of a dataset that are trained at one size."""

    size: Size
    images: int
    shown: int  # an epoch, with repeats
    batches: int
    cropped: float  # mean share of the area
    most_cropped: float
    enlarged: int  # images that are blown up
    most_enlarged: float  # the largest scale; 1.0 or less: none is


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The buckets of one dataset, by size."""

    number: int
    resolution: Size
    batch_size: int
    rows: tuple[Bucket, ...]
    lost: int = 0  # images whose size nobody could read, or at which the trainer would stop

    @property
    def images(self) -> int:
        return sum(row.images for row in self.rows)

    @property
    def shown(self) -> int:
        return sum(row.shown for row in self.rows)

    @property
    def batches(self) -> int:
        return sum(row.batches for row in self.rows)

    @property
    def short(self) -> tuple[Bucket, ...]:
        """Buckets that cannot fill a single batch."""
        return tuple(row for row in self.rows if row.shown < self.batch_size)


def fit(buckets: Buckets, size: Size) -> Fit | None:
    """What becomes of an image of this size; None: the trainer would stop."""
    bucket, resized = buckets.choose(size), buckets.resized(size)
    if bucket is None or resized is None:
        return None
    area = resized[0] * resized[1]
    cropped = max(0.0, 1 - bucket[0] * bucket[1] / area)
    scale = max(resized[0] / size[0], resized[1] / size[1])
    return Fit(bucket=bucket, resized=resized, cropped=cropped, scale=scale)


def make_tables(
    options: Mapping[str, Setting], dataset: Mapping[str, Any], trainer: str, size_of: Callable[[Path], Size | None],
    each: Callable[[Path, Fit | None], None] = lambda _path, _fit: None,
) -> tuple[Table, ...]:  # fmt: skip
    """The bucket tables of all datasets of a plan.

    Args:
        options: the plan's options: what its dataset leaves open.
        dataset: the plan's dataset.
        trainer: which trainer sorts.
        size_of: width and height of an image as stored, for those whose metadata file does not say; None: unknown.
        each: called with every image and what becomes of it.
    """
    tables = []
    parts = parts_of(dataset)
    for number, values in enumerate(values_of(options, dataset)):
        own = [part for part in parts if part.number == number]
        try:
            shown = shown_images(own, trainer)
        except InputError:  # a metadata file that the check of the data complains about
            continue
        buckets = buckets_of(values, trainer)
        is_preset = trainer == FORK and bool(shown) and all(size for _, size, _ in shown)
        sums: dict[Size, _Sum] = defaultdict(_Sum)
        lost = 0
        for path, known, repeats in shown:
            size = known or size_of(path)
            found = None
            if size:
                found = (
                    Fit(bucket=size, resized=size, cropped=0.0, scale=1.0)
                    if is_preset
                    else fit(buckets, size)
                )
            each(path, found)
            if found is None:
                lost += 1
            else:
                sums[found.bucket].take(found, repeats)
        batch = int(values["batch_size"])
        rows = tuple(sums[size].row(size, batch) for size in sorted(sums))
        tables.append(
            Table(number=number, resolution=buckets.resolution, batch_size=batch, rows=rows, lost=lost)
        )
    return tuple(tables)


def values_of(options: Mapping[str, Setting], dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What holds for each dataset: its own keys over the general ones, over the options."""
    defaults = {key: setting.value for key, setting in options.items()}
    return [{**defaults, **dataset.get("general", {}), **entry} for entry in dataset["datasets"]]


@dataclass(kw_only=True, slots=True)
class _Sum:
    images: int = 0
    shown: int = 0
    cropped: float = 0.0
    most_cropped: float = 0.0
    enlarged: int = 0
    most_enlarged: float = field(default=0.0)

    def take(self, found: Fit, repeats: int) -> None:
        self.images += 1
        self.shown += repeats
        self.cropped += found.cropped
        self.most_cropped = max(self.most_cropped, found.cropped)
        self.enlarged += found.scale > 1
        self.most_enlarged = max(self.most_enlarged, found.scale)

    def row(self, size: Size, batch: int) -> Bucket:
        return Bucket(
            size=size, images=self.images, shown=self.shown, batches=-(-self.shown // batch),
            cropped=self.cropped / self.images, most_cropped=self.most_cropped,
            enlarged=self.enlarged, most_enlarged=self.most_enlarged,
        )  # fmt: skip
