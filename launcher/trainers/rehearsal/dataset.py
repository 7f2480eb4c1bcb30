"""What is trained on: the dataset configuration, the images and captions it names, sorted into buckets."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.trainers.rehearsal.buckets import BucketBatches, BucketSettings, Size
from launcher.trainers.rehearsal.config import read_toml
from launcher.trainers.rehearsal.images import SUFFIXES, read_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

# Names and defaults: kohya-ss/sd-scripts v0.10.1 library/config_util.py; None: take the command line's value.
_DATASET_KEYS = {
    "resolution", "batch_size", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps",
    "bucket_no_upscale", "validation_seed", "validation_split", "network_multiplier", "resize_interpolation",
}  # fmt: skip
_SUBSET_KEYS = {
    "num_repeats", "class_tokens", "caption_extension", "caption_prefix", "caption_suffix", "caption_separator",
    "keep_tokens", "shuffle_caption", "caption_dropout_rate", "flip_aug", "cache_info", "color_aug",
    "random_crop", "face_crop_aug_range", "keep_tokens_separator", "secondary_separator", "enable_wildcard",
    "token_warmup_min", "token_warmup_step", "custom_attributes", "resize_interpolation",
    "caption_dropout_every_n_epochs", "caption_tag_dropout_rate", "image_dir", "is_reg", "alpha_mask",
}  # fmt: skip
_DEFAULTS = {"num_repeats": 1, "class_tokens": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """A folder of images and how its captions are used."""

    image_dir: Path
    num_repeats: int
    class_tokens: str | None
    caption_extension: str
    caption_prefix: str
    caption_suffix: str
    caption_separator: str
    keep_tokens: int
    shuffle_caption: bool
    caption_dropout_rate: float
    flip_aug: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One image with its caption; sizes in pixels of a real SDXL run."""

    path: Path
    caption: str
    size: Size
    bucket: Size
    subset: Subset


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Images that share a resolution and a batch size."""

    buckets: BucketSettings
    batch_size: int
    subsets: tuple[Subset, ...]
    items: tuple[Item, ...]

    def bucket_counts(self) -> dict[Size, int]:
        return dict(sorted(Counter(item.bucket for item in self.items).items()))


def load_datasets(args: argparse.Namespace) -> tuple[Dataset, ...]:
    """Read `--dataset_config` (or `--train_data_dir`) and look at every image's size and caption.

    Raises:
        InputError: the file is wrong, a folder is missing or empty, an image or a caption cannot be read.
    """
    if args.dataset_config:
        config = read_toml(Path(args.dataset_config))
        where = str(args.dataset_config)
    elif args.train_data_dir:
        config = {"datasets": [{"subsets": [{"image_dir": args.train_data_dir}]}]}
        where = "--train_data_dir"
    else:
        raise InputError("neither dataset_config nor train_data_dir says where the images are")
    general = config.get("general", {})
    datasets = tuple(_read_dataset(entry, general, args, where) for entry in config.get("datasets", ()))
    if not any(dataset.items for dataset in datasets):
        raise InputError(f"{where} names no images")
    return datasets


def _read_dataset(
    entry: Mapping[str, Any], general: Mapping[str, Any], args: argparse.Namespace, where: str
) -> Dataset:
    _refuse_unknown(general, _DATASET_KEYS | _SUBSET_KEYS, where)
    _refuse_unknown(entry, _DATASET_KEYS | _SUBSET_KEYS | {"subsets"}, where)
    look = _Lookup(entry, general, args=args, where=where)
    buckets = BucketSettings(
        resolution=_read_resolution(look.get("resolution", (int, str, list)), where),
        enabled=look.get("enable_bucket", bool),
        min_reso=look.get("min_bucket_reso", int),
        max_reso=look.get("max_bucket_reso", int),
        steps=look.get("bucket_reso_steps", int),
        no_upscale=look.get("bucket_no_upscale", bool),
    )
    buckets.check()
    subsets = tuple(_read_subset(inner, entry, general, args, where) for inner in entry.get("subsets", ()))
    items = tuple(item for subset in subsets for item in find_items(subset, buckets))
    size = look.get("batch_size", int, option="train_batch_size")
    return Dataset(buckets=buckets, batch_size=size, subsets=subsets, items=items)


def _read_subset(
    inner: Mapping[str, Any],
    entry: Mapping[str, Any],
    general: Mapping[str, Any],
    args: argparse.Namespace,
    where: str,
) -> Subset:
    _refuse_unknown(inner, _SUBSET_KEYS, where)
    look = _Lookup(inner, entry, general, args=args, where=where)
    return Subset(
        image_dir=Path(look.get("image_dir", str)),
        num_repeats=look.get("num_repeats", int),
        class_tokens=look.get("class_tokens", (str, type(None))),
        caption_extension=look.get("caption_extension", str),
        caption_prefix=look.get("caption_prefix", (str, type(None))) or "",
        caption_suffix=look.get("caption_suffix", (str, type(None))) or "",
        caption_separator=look.get("caption_separator", str),
        keep_tokens=look.get("keep_tokens", int),
        shuffle_caption=look.get("shuffle_caption", bool),
        caption_dropout_rate=float(look.get("caption_dropout_rate", (int, float))),
        flip_aug=look.get("flip_aug", bool),
    )


class _Lookup:
    """Subset, dataset, general, command line: the first that has the key wins (upstream's order)."""

    def __init__(self, *levels: Mapping[str, Any], args: argparse.Namespace, where: str) -> None:
        self._levels = levels
        self._args = args
        self._where = where

    def get(self, key: str, types: type | tuple[type, ...], option: str | None = None) -> Any:
        value = _DEFAULTS.get(key, getattr(self._args, option or key, None))
        for level in self._levels:
            if key in level:
                value = level[key]
                break
        allowed = types if isinstance(types, tuple) else (types,)
        is_number_for_flag = isinstance(value, bool) and bool not in allowed
        if not isinstance(value, allowed) or is_number_for_flag:
            raise InputError(f"{self._where}: {key} = {value!r} is missing or of a wrong type")
        return value


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise InputError(f"{where}: nobody knows the keys {', '.join(unknown)}")


def _read_resolution(value: int | str | list[int], where: str) -> Size:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in {1, 2}:
        raise InputError(f"{where}: resolution {value!r} is not one or two numbers")
    return numbers[0], numbers[-1]


def find_items(subset: Subset, buckets: BucketSettings) -> list[Item]:
    """The images of a folder (not of folders inside it), sorted by name, with their captions.

    Raises:
        InputError: the folder cannot be read or an image cannot be opened.
    """
    try:
        files = sorted(path for path in subset.image_dir.iterdir() if _is_image(path))
    except OSError as error:
        raise InputError(f"{subset.image_dir} cannot be read: {error.strerror or error}") from error
    items = []
    without = 0
    for path in files:
        caption = _read_caption(path.with_suffix(subset.caption_extension), subset)
        without += caption is None
        size = read_size(path)
        text = " ".join(
            part for part in (subset.caption_prefix, caption or "", subset.caption_suffix) if part
        )
        items.append(Item(path=path, caption=text, size=size, bucket=buckets.choose(size), subset=subset))
    if without:
        logger.warning("%d of %d images in %s have no caption file", without, len(items), subset.image_dir)
    if not items:
        logger.warning("%s holds no images", subset.image_dir)
    return items


def _is_image(path: Path) -> bool:
    """By its suffix; hidden files (macOS' `._photo.png`) are none, as for upstream's glob."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _read_caption(path: Path, subset: Subset) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return subset.class_tokens
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save the caption as UTF-8") from error
    text = lines[0].strip() if lines else ""
    if not text:
        raise InputError(f"{path} is empty; write a caption into it or delete it")
    return text


def make_batches(datasets: tuple[Dataset, ...], seed: int) -> tuple[tuple[Item, ...], BucketBatches]:
    """All items in one row, and the batches of their numbers (repeats included)."""
    items = tuple(item for dataset in datasets for item in dataset.items)
    groups: list[tuple[list[int], int]] = []
    first = 0
    for dataset in datasets:
        by_bucket: dict[Size, list[int]] = {}
        for number, item in enumerate(dataset.items, start=first):
            by_bucket.setdefault(item.bucket, []).extend([number] * item.subset.num_repeats)
        groups += [(numbers, dataset.batch_size) for _, numbers in sorted(by_bucket.items())]
        first += len(dataset.items)
    return items, BucketBatches(groups, seed)
