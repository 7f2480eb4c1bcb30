"""A dataset file against a trainer's schema: every mistake with its place and what to write instead."""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.plan.document_schema import (
    AT_LEAST_ONE,
    FORK,
    INTERPOLATIONS,
    MEANT,
    SHARES,
    Schema,
    Style,
)

MOST_DATASETS = 100
MOST_SUBSETS = 1000
MOST_TEXT = 4096
MOST_NUMBER = 2**31
MOST_DEPTH = 4
KINDS = {
    "flag": "true or false", "int": "a whole number", "float": "a number with a point", "number": "a number",
    "text": "a text in quotes", "pair": "two numbers with points, such as [1.0, 2.0]",
    "size": "a whole number, or two: [width, height]", "table": "a table",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One mistake."""

    what: str
    place: tuple[str | int, ...]
    why: str = ""
    fix: str = ""


class Checker:
    """Collects the mistakes of one file."""

    def __init__(self, schema: Schema, trainer: str) -> None:
        self.found: list[Found] = []
        self._schema = schema
        self._trainer = trainer

    def check(self, tables: Mapping[str, Any]) -> None:
        """Everything that stands in the file."""
        for key in tables:
            if key not in {"general", "datasets"}:
                self._add(
                    f"{_short(key)} is not part of a dataset file", key, why="only [general] and [[datasets]] are",
                    fix=MEANT.get(str(key), "if this is a preset or a training configuration, it is not what --data takes"),
                )  # fmt: skip
        general = tables.get("general", {})
        if isinstance(general, Mapping):
            self._keys(general, self._schema.general, ("general",))
        else:
            self._add("general is not a table", "general", fix="write [general]")
        self._datasets(tables.get("datasets"))

    def _datasets(self, datasets: Any) -> None:
        if not isinstance(datasets, list) or not datasets:
            self._add("the file names no datasets", "datasets", fix="begin each with a line [[datasets]]")
            return
        if len(datasets) > MOST_DATASETS:
            self._add(
                f"{len(datasets)} datasets are too many", "datasets", fix=f"write at most {MOST_DATASETS}"
            )
            return
        for number, dataset in enumerate(datasets):
            place = ("datasets", number)
            if isinstance(dataset, Mapping):
                self._dataset(dataset, place)
            else:
                self._add("this dataset is not a table", *place, fix="begin it with a line [[datasets]]")

    def _dataset(self, dataset: Mapping[str, Any], place: tuple[str | int, ...]) -> None:
        subsets = dataset.get("subsets")
        if not isinstance(subsets, list) or not subsets:
            self._add(
                "this dataset has no subsets",
                *place,
                fix="write [[datasets.subsets]] with an image_dir below it",
            )
            return
        if len(subsets) > MOST_SUBSETS:
            self._add(f"{len(subsets)} subsets are too many", *place, fix=f"write at most {MOST_SUBSETS}")
            return
        wrong = [number for number, subset in enumerate(subsets) if not isinstance(subset, Mapping)]
        if wrong:
            self._add(
                "this subset is not a table", *place, "subsets", wrong[0], fix="write [[datasets.subsets]]"
            )
            return
        style = self._style(subsets, place)
        if style is None:
            return
        self._keys(
            {key: value for key, value in dataset.items() if key != "subsets"}, style.dataset, place, style
        )
        for number, subset in enumerate(subsets):
            self._subset(subset, style, (*place, "subsets", number))

    def _style(self, subsets: list[Mapping[str, Any]], place: tuple[str | int, ...]) -> Style | None:
        """Folders, metadata or masks: all subsets of a dataset alike."""
        has_metadata = ["metadata_file" in subset for subset in subsets]
        if all("conditioning_data_dir" in subset for subset in subsets):
            if self._schema.control is None:
                self._add(
                    f"{self._trainer} takes no conditioning_data_dir", *place, "subsets", 0, "conditioning_data_dir",
                    fix="leave it out, or train with --trainer sd-scripts and masked_loss = true",
                )  # fmt: skip
            return self._schema.control
        if all(has_metadata):
            if self._schema.metadata is None:
                self._add(
                    f"{self._trainer} reads no metadata files", *place, "subsets", 0, "metadata_file",
                    fix="name folders with image_dir, or train with --trainer sd-scripts",
                )  # fmt: skip
            return self._schema.metadata
        if any(has_metadata):
            odd = has_metadata.index(True)
            self._add(
                "folders and metadata files cannot share a dataset", *place, "subsets", odd, "metadata_file",
                fix="write a second [[datasets]] for the subsets with metadata_file",
            )  # fmt: skip
            return None
        return self._schema.folder

    def _subset(self, subset: Mapping[str, Any], style: Style, place: tuple[str | int, ...]) -> None:
        for key in sorted(style.required - set(subset)):
            self._add(f"this subset has no {key}", *place, fix=f"write {key} = '…'")
        self._keys(subset, style.subset, place, style)

    def _keys(
        self, table: Mapping[str, Any], known: Mapping[str, str], place: tuple[str | int, ...], style: Style | None = None
    ) -> None:  # fmt: skip
        for key, value in table.items():
            if key not in known:
                self._add(
                    f"{_short(key)} is not known here", *place, key, fix=self._instead(str(key), known, style)
                )
                continue
            reason = why_wrong(key, known[key], value)
            if reason:
                self._add(reason[0], *place, key, fix=reason[1])

    def _instead(self, key: str, known: Iterable[str], style: Style | None) -> str:
        if key in MEANT:
            return MEANT[key]
        if key in self._schema.newer:
            return f"{FORK} does not know it yet: leave it out, or train with --trainer sd-scripts"
        if style is not None and key in style.subset:
            return "it belongs below [[datasets.subsets]]"
        if key in {"image_dir", "is_reg", "metadata_file", "conditioning_data_dir", "alpha_mask"}:
            return "it belongs below [[datasets.subsets]]" if style is None else "leave it out"
        if style is not None and key in style.dataset:
            return "it belongs below [[datasets]]"
        close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
        return f"perhaps you meant {close[0]}" if close else "leave it out"

    def _add(self, what: str, *place: str | int, why: str = "", fix: str = "") -> None:
        self.found.append(Found(what=what, place=place, why=why, fix=fix))


def why_wrong(key: str, kind: str, value: Any) -> tuple[str, str] | None:
    """What is wrong with a value, and what to write; None when it is good."""
    if not _is_kind(kind, value):
        return f"{key} needs {KINDS[kind]}", f"write {key} = {_example(kind, value)}"
    if kind == "text":
        return _why_wrong_text(key, value)
    if kind == "flag":
        return None
    if kind == "table":
        return (
            None
            if _is_plain(value, 0)
            else (f"{key} holds what cannot be written", "use texts, numbers and tables")
        )
    return _why_wrong_number(key, value if isinstance(value, list) else [value])


def _why_wrong_number(key: str, numbers: list[Any]) -> tuple[str, str] | None:
    if any(not -MOST_NUMBER < number < MOST_NUMBER for number in numbers):
        return f"{key} is too large a number", "write a smaller one"
    least = 64 if key == "resolution" else 1 if key in AT_LEAST_ONE else 0
    if any(number < least for number in numbers):
        return f"{key} must be at least {least}", f"write {key} = {max(least, 1)} or more"
    if key in SHARES and numbers[0] > 1:
        return f"{key} is a share between 0 and 1", f"write for example {key} = 0.1"
    return None


def _why_wrong_text(key: str, value: str) -> tuple[str, str] | None:
    if len(value) > MOST_TEXT:
        return f"{key} has {len(value)} characters", f"shorten it to {MOST_TEXT}"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
        return (
            f"{key} holds a control character",
            "write paths in 'single quotes': in \"double quotes\" \\t and \\n are a tab and a new line",
        )
    if key in {"image_dir", "metadata_file", "conditioning_data_dir"} and not value.strip():
        return f"{key} is empty", "write a path"
    if key == "resize_interpolation" and value not in INTERPOLATIONS:
        return f"{key} cannot be {_short(value)}", f"one of: {', '.join(sorted(INTERPOLATIONS))}"
    return None


def _is_kind(kind: str, value: Any) -> bool:  # noqa: PLR0911  (one line for each kind)
    is_int = isinstance(value, int) and not isinstance(value, bool)
    is_float = isinstance(value, float) and math.isfinite(value)
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "int":
        return is_int
    if kind == "float":
        return is_float
    if kind == "number":
        return is_int or is_float
    if kind == "text":
        return isinstance(value, str)
    if kind == "pair":
        return isinstance(value, list) and len(value) == 2 and all(_is_kind("float", item) for item in value)
    if kind == "size":
        return is_int or (
            isinstance(value, list) and len(value) == 2 and all(_is_kind("int", item) for item in value)
        )
    return isinstance(value, Mapping)


def _is_plain(value: Any, depth: int) -> bool:
    if depth > MOST_DEPTH:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_plain(item, depth + 1) for item in value)
    return isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


def _example(kind: str, value: Any) -> str:
    """The value as it was surely meant, else an example."""
    text = str(value).strip().lower()
    if kind == "flag" and text in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        return "true" if text in {"true", "yes", "on", "1"} else "false"
    if kind in {"int", "size"} and text.isascii() and text.isdigit() and len(text) <= 9:
        return text
    if kind == "size" and isinstance(value, str) and "," in value:
        return f"[{value}]" if len(value) < 20 else "[1024, 1024]"
    if (
        kind in {"float", "number"}
        and isinstance(value, (int, str))
        and text.isascii()
        and text.isdigit()
        and len(text) <= 9
    ):
        return f"{text}.0"
    if kind == "text" and isinstance(value, (int, float)):
        return f'"{text[:40]}"'
    return {
        "flag": "true", "int": "1", "float": "1.0", "number": "1.0", "text": '"text"', "pair": "[1.0, 2.0]",
        "size": "1024", "table": "{ }",
    }[kind]  # fmt: skip


def _short(text: object) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in str(text)[:60])
    return f'"{shown}"' if not shown.replace("_", "a").isalnum() else shown
