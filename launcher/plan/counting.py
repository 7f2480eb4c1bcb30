"""Steps of a training, counted as upstream counts them: images, repeats, regularisation images, buckets, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.plan.buckets import Buckets, count_batches, regularise
from launcher.plan.dataset import parts_of
from launcher.plan.document_schema import FORK, REHEARSAL
from launcher.plan.metadata import read_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.plan.buckets import Size
    from launcher.plan.dataset import Part
    from launcher.plan.folders import Survey
    from launcher.preset import Setting

# An image's file, its size where a metadata file says it, how often it is shown.
Shown = tuple["Path", "Size | None", int]

MOST_LOOKED_INTO = 20_000  # headers of images are read at some thousands a second


def count_steps(options: Mapping[str, Setting], dataset: Mapping[str, Any], found: Survey) -> int | None:
    """Optimizer steps of the whole training; None when only the trainer can tell (an image cannot be read)."""
    steps = options.get("max_train_steps")
    if steps is not None:
        return int(str(steps.value))
    epochs = options.get("max_train_epochs")
    if epochs is None:
        return None
    batches = count_epoch(options, dataset, found.trainer)
    if not batches:
        return None
    accumulation = options.get("gradient_accumulation_steps")
    return int(str(epochs.value)) * -(-batches // int(str(accumulation.value if accumulation else 1)))


def count_epoch(options: Mapping[str, Setting], dataset: Mapping[str, Any], trainer: str) -> int | None:
    """Batches of one epoch over all datasets."""
    defaults = {key: setting.value for key, setting in options.items()}
    general = dataset.get("general", {})
    total = 0
    parts = parts_of(dataset)
    for number, entry in enumerate(dataset["datasets"]):
        values = {**defaults, **general, **entry}
        count = _count(values, [part for part in parts if part.number == number], trainer)
        if count is None:
            return None
        total += count
    return total


def _count(values: Mapping[str, Any], parts: list[Part], trainer: str) -> int | None:
    """Batches of one dataset; without batches of several the buckets do not matter: every image is one of its own."""
    if float(values.get("validation_split") or 0):
        return None  # chance decides which images are held back
    batch = int(values["batch_size"])
    is_sorted = batch > 1 and bool(values.get("enable_bucket"))
    if is_sorted and trainer == REHEARSAL:  # it sorts by a rule of its own
        return None
    try:
        shown = shown_images(parts, trainer)
    except InputError:  # a metadata file that the preflight will complain about
        return None
    if not is_sorted and not any(size for _, size, _ in shown):
        return -(-sum(repeats for _, _, repeats in shown) // batch)
    buckets = buckets_of(values, trainer)
    is_preset = trainer == FORK and bool(shown) and all(size for _, size, _ in shown)
    return _sorted(shown, buckets, batch, is_preset=is_preset)


def _sorted(shown: list[Shown], buckets: Buckets, batch: int, *, is_preset: bool) -> int | None:
    """`is_preset`: the fork takes the sizes of a metadata file that has them all for the buckets themselves."""
    if batch == 1:
        return sum(repeats for _, _, repeats in shown)
    if len(shown) > MOST_LOOKED_INTO:
        return None
    chosen: list[tuple[Size, int]] = []
    for path, known, repeats in shown:
        size = known or image_size(path)
        bucket = size if is_preset else size and buckets.choose(size)
        if not bucket:
            return None
        chosen.append((bucket, repeats))
    return count_batches(chosen, batch)


def buckets_of(values: Mapping[str, Any], trainer: str) -> Buckets:
    size = values["resolution"]
    sides = [int(side) for side in (size if isinstance(size, list) else str(size).split(","))]
    return Buckets(
        resolution=(sides[0], sides[-1]),
        enabled=bool(values.get("enable_bucket")),
        min_reso=int(values.get("min_bucket_reso", 256)),
        max_reso=int(values.get("max_bucket_reso", 1024)),
        steps=int(values.get("bucket_reso_steps", 64)),
        no_upscale=bool(values.get("bucket_no_upscale")),
        rounds_limits=trainer != FORK,
    )


def shown_images(parts: list[Part], trainer: str) -> list[Shown]:
    """Every image of a dataset: file, known size, how often it is shown. A folder that stands twice counts once."""
    train: list[Shown] = []
    reg: list[Shown] = []
    seen: set[Path] = set()
    for part in parts:
        place = part.metadata or part.folder.path
        if place in seen or part.repeats < 1:
            continue
        seen.add(place)
        images: list[Shown] = [(part.folder.path / name, None, part.repeats) for name in part.folder.images]
        if part.metadata is not None:
            folder = part.folder.path
            entries = read_metadata(part.metadata, folder, trainer)
            images = [(entry.path, entry.size, part.repeats) for entry in entries]
        (reg if part.folder.is_reg else train).extend(images)
    if trainer == REHEARSAL:  # it trains them like all others
        return train + reg
    times = regularise(sum(count for *_, count in train), [count for *_, count in reg])
    return train + [(path, size, count) for (path, size, _), count in zip(reg, times, strict=True) if count]


def image_size(path: Path) -> Size | None:
    """Width and height as they are stored (upstream does not turn photos either); None for what is no image."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            size: Size = image.size
    except Exception:  # noqa: BLE001  (Pillow's decoders raise anything; the preflight tells what is wrong)
        return None
    return size
