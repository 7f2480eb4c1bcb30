"""What a LoRA file tells of its images: settings that all folders share, and the folders by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.tools.gathering import is_plain, number, said
from launcher.importer.tools.lora_keys import OF_DATASET, OF_SUBSET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.importer.tools.gathering import Gathered

KEY = "ss_datasets"
MOST_FOLDERS = 12


def common_settings(out: Gathered, datasets: Any) -> Iterator[tuple[str, Any, str]]:
    """Options that all datasets and folders have alike, as (option, value, key); where they differ it is said."""
    tables = _tables(datasets)
    for key, name in OF_DATASET.items():
        yield from _one(out, [table.get(key) for table in tables if key in table], name)
    subsets = [subset for table in tables for subset in _tables(table.get("subsets"))]
    trained = [subset for subset in subsets if subset.get("is_reg") is not True]
    for key in OF_SUBSET:
        yield from _one(out, [subset.get(key) for subset in trained if key in subset], key)


def _one(out: Gathered, values: list[Any], name: str) -> Iterator[tuple[str, Any, str]]:
    if not values:
        return
    if any(value != values[0] for value in values):
        out.leave(name, values[:4], "differs between its folders, and a preset has one value for all")
        return
    value = values[0]
    if name == "resolution" and isinstance(value, list):
        value = ",".join(said(side) for side in value[:2])
    if is_plain(value):
        yield name, None if value == "" else value, KEY


def _tables(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def name_images(out: Gathered, meta: Mapping[str, str], dirs: Any, reg_dirs: Any, datasets: Any) -> None:
    """The folders, their repeats and number of images: the names only, as sd-scripts keeps no path."""
    for title, found in (("images", dirs), ("regularisation images", reg_dirs)):
        if isinstance(found, dict) and found:
            shown = [_folder(name, item) for name, item in list(found.items())[:MOST_FOLDERS]]
            more = f" and {len(found) - MOST_FOLDERS} more" if len(found) > MOST_FOLDERS else ""
            flag = "--data DIR=REPEATS" if title == "images" else "--reg DIR=REPEATS"
            out.note(f"Its {title}: {'; '.join(shown)}{more}. Name yours with {flag}.")
    regs = [subset for table in _tables(datasets) for subset in _tables(table.get("subsets")) if subset.get("is_reg") is True]  # fmt: skip
    if regs:
        shown = [_folder(said(item.get("image_dir")), {"n_repeats": item.get("num_repeats"), "img_count": item.get("img_count")}) for item in regs[:MOST_FOLDERS]]  # fmt: skip
        out.note(f"Its regularisation images: {'; '.join(shown)}. Name yours with --reg DIR=REPEATS.")
    count = meta.get("ss_num_train_images", "")
    if count.isdecimal() and not (isinstance(dirs, dict) and dirs):
        out.note(f"It was trained on {count[:12]} images (repeats counted).")


def _folder(name: str, item: Any) -> str:
    table = item if isinstance(item, dict) else {}
    repeats, count = number(table.get("n_repeats")), number(table.get("img_count"))
    shown = f"{name[:60]}, {int(repeats)} repeat{'' if repeats == 1 else 's'}" if repeats else name[:60]
    return f"{shown}, {int(count)} images" if count else shown
