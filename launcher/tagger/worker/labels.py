"""What the numbers that come out of a tagger mean: `selected_tags.csv`, or `tag_mapping.json` of the other form.

Files of others: held to sizes and shapes before anything is made of them. Read by the launcher too, so that a wrong
folder is refused before anything starts. Standard library only.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TABLE, MAPPING = "selected_tags.csv", "tag_mapping.json"
TABLE_MODELS = ("model.onnx",)
MAPPING_MODELS = ("model_optimized.onnx", "model.onnx")
RATING, GENERAL, CHARACTER, QUALITY = "rating", "general", "character", "quality"
OTHERS = ("copyright", "meta", "model", "artist")
CATEGORIES = {"9": RATING, "0": GENERAL, "4": CHARACTER}  # Danbooru's numbers
MOST_BYTES = 64 * 1024 * 1024
MOST_LABELS = 1_000_000
LONGEST = 300  # characters of a tag
FIX = f"Wanted is a folder with model.onnx and {TABLE}, or with model_optimized.onnx and {MAPPING}."


class LabelError(Exception):
    """The folder has no tagger, or one that cannot be used."""


@dataclass(frozen=True)
class Label:
    """One number that comes out of the model."""

    place: int
    name: str
    category: str


@dataclass(frozen=True)
class Labels:
    """All of them. `is_mapping` is the form: channels first, -1 to 1, logits; else channels last, 0 to 255, probabilities."""

    model: Path
    is_mapping: bool
    labels: tuple[Label, ...]

    @property
    def count(self) -> int:
        """How many numbers the model must give at least."""
        return 1 + max((label.place for label in self.labels), default=-1)


def files_of(folder: Path) -> tuple[Path, Path]:
    """The model and its table.

    Raises:
        LabelError: the folder does not have them.
    """
    for table, models in ((TABLE, TABLE_MODELS), (MAPPING, MAPPING_MODELS)):
        found = next((folder / name for name in models if (folder / name).is_file()), None)
        if found and (folder / table).is_file():
            return found, folder / table
    raise LabelError(f"there is no tagger in {folder}")


def read_labels(folder: Path) -> Labels:
    """The labels of the tagger in a folder.

    Raises:
        LabelError: there is none, or its table is damaged.
    """
    model, table = files_of(folder)
    try:
        size = table.stat().st_size
        if size > MOST_BYTES:
            raise LabelError(f"{table.name} has {size} bytes: no list of tags has so many")
        text = table.read_bytes().decode("utf-8-sig")
        is_mapping = table.name == MAPPING
        labels = _mapping(text) if is_mapping else _table(text)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise LabelError(f"{table.name} cannot be used: {error}") from error
    if not labels:
        raise LabelError(f"{table.name} lists no tags")
    return Labels(model=model, is_mapping=is_mapping, labels=tuple(labels))


def _table(text: str) -> list[Label]:
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, [])
    if header[:3] != ["tag_id", "name", "category"]:
        raise ValueError(f"its first line is {','.join(header)[:80]!r} instead of tag_id,name,category")
    found: list[Label] = []
    for place, row in enumerate(rows):
        if len(row) < 3:
            raise ValueError(f"line {place + 2} has {len(row)} columns instead of 3 or more")
        if row[2] in CATEGORIES:
            found.append(Label(place=place, name=_name(row[1], place + 2), category=CATEGORIES[row[2]]))
    return found


def _mapping(text: str) -> list[Label]:
    table = json.loads(text)
    if not isinstance(table, dict) or len(table) > MOST_LABELS:
        raise ValueError("it is no table of tags")
    found: dict[int, Label] = {}
    for key, value in table.items():
        if not (key.isascii() and key.isdecimal() and int(key) < MOST_LABELS and isinstance(value, dict)):
            raise ValueError(f"its entry {key[:40]!r} is not a number with a tag")
        category = str(value.get("category", "")).lower()
        if category not in {RATING, GENERAL, CHARACTER, QUALITY, *OTHERS}:
            raise ValueError(f"its entry {key} has the category {category[:40]!r}, which is not known")
        found[int(key)] = Label(place=int(key), name=_name(value.get("tag"), key), category=category)
    return [found[place] for place in sorted(found)]


def _name(value: object, where: object) -> str:
    """A tag as it may stand in a caption."""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
        raise ValueError(f"entry {where}: {str(value)[:40]!r} is no tag")
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in value):
        raise ValueError(f"entry {where}: the tag has control characters in it")
    return value
