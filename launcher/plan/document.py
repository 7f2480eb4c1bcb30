"""A dataset file of the user's (`--data dataset.toml`): read with care, checked as upstream would, never changed.

The run gets a file of its own, written from this one with whole paths. A relative path in it starts at the file's
own folder (upstream: wherever the training happened to be started).
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, Problem, Severity
from launcher.plan.document_check import Checker
from launcher.plan.document_schema import schema_of
from launcher.plan.folders import ImageFolder, Survey, at_home, look
from launcher.plan.listing import note
from launcher.plan.places import Places, places_in_json, places_in_toml
from launcher.preset.text import refuse_costly, said_of

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIXES = (".toml", ".json")
MOST_BYTES = 1024 * 1024  # a dataset file has some kilobytes
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A dataset file that upstream would take: its tables, with whole paths."""

    path: Path
    trainer: str
    tables: dict[str, Any]
    places: Places
    numbers: tuple[tuple[int, ...], ...] = ()  # of each kept subset, as the file counts them
    notes: tuple[str, ...] = ()

    def problem(self, what: str, *place: str | int, why: str = "", fix: str = "") -> Problem:
        """An error at a key of the file."""
        return problem_at(self.path, self.places, what, place, why=why, fix=fix)


def is_document(path: Path) -> bool:
    """Whether a name means a dataset file rather than a folder."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def problem_at(
    path: Path, places: Places, what: str, place: tuple[str | int, ...], *, why: str = "", fix: str = ""
) -> Problem:
    """`dataset.toml:12 (datasets[0].subsets[1].image_dir)`."""
    key = ""
    for part in place:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    where = f"{path.name}:{places.line_of(place)}" + (f" ({key})" if key else "")
    return Problem(severity=Severity.ERROR, what=what, why=why, fix=fix, where=where)


def read_document_file(path: Path, trainer: str) -> Document:
    """Read and check a dataset file.

    Raises:
        InputError: it is missing, too large, not UTF-8, not TOML or JSON, or not what the trainer takes.
    """
    note(path)
    text = _decode(_read(path), path)
    is_json = path.suffix.lower() == ".json"
    tables = _parse_json(text, path) if is_json else _parse_toml(text, path)
    places = places_in_json(text) if is_json else places_in_toml(text)
    checker = Checker(schema_of(trainer), trainer)
    checker.check(tables)
    problems = tuple(
        problem_at(path, places, found.what, found.place, why=found.why, fix=found.fix)
        for found in checker.found
    )
    if problems:
        raise refusal(path, problems)
    checked, numbers, notes = _absolute_paths(tables, path.parent)
    return Document(
        path=path, trainer=trainer, tables=checked, places=places, numbers=tuple(numbers), notes=tuple(notes)
    )


def refusal(path: Path, problems: tuple[Problem, ...]) -> InputError:
    """All problems of a file as one error."""
    first = problems[0]
    if len(problems) == 1:
        return InputError(first.what, problems=problems, why=first.why, fix=first.fix, where=first.where)
    return InputError(
        f"{path.name} has {len(problems)} mistakes",
        problems=problems,
        fix="put them right; all are listed",
        where=str(path),
    )


def survey_document(document: Document) -> Survey:
    """The folders that a dataset file names, as they are found."""
    folders: dict[tuple[str, bool], ImageFolder] = {}
    for dataset in document.tables.get("datasets", ()):
        for subset in dataset["subsets"]:
            if "image_dir" in subset and "metadata_file" not in subset:
                is_reg = bool(subset.get("is_reg"))
                folder = replace(look(Path(subset["image_dir"])), is_reg=is_reg)
                folders.setdefault((subset["image_dir"], is_reg), folder)
    return Survey(
        root=document.path,
        folders=tuple(folders.values()),
        passed_over=(),
        notes=document.notes,
        document=document,
    )


def _refuse(path: Path, what: str, *, why: str = "", fix: str = "", line: int | None = None) -> InputError:
    where = f"{path}:{line}" if line else str(path)
    problem = Problem(severity=Severity.ERROR, what=what, why=why, fix=fix, where=where)
    return InputError(what, problems=(problem,), why=why, fix=fix, where=where)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            is_there = os.path.lexists(path)  # opening a pipe would wait for ever
            what = f"{path.name} is no file" if is_there else f"there is no dataset file {path.name}"
            why = "it is a pipe, a socket, a device, or a link that leads nowhere" if is_there else ""
            raise _refuse(path, what, why=why, fix="check the path")
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refuse(
            path, f"{path.name} cannot be read: {reason}", fix="check the file's permissions"
        ) from error
    if len(raw) > MOST_BYTES:
        raise _refuse(
            path, f"{path.name} is larger than {MOST_BYTES // 1024} KiB",
            why="dataset files are small; captions of a whole collection belong in a metadata_file that it names",
            fix="check that this is the file you meant",
        )  # fmt: skip
    return raw


def _decode(raw: bytes, path: Path) -> str:
    if raw.startswith(UTF16_MARKS) or b"\0" in raw:
        raise _refuse(
            path,
            f"{path.name} is not UTF-8 text",
            why="older Notepad and PowerShell write UTF-16",
            fix="save it again with the encoding UTF-8",
        )
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refuse(
            path, f"line {line} holds characters that are not UTF-8", line=line,
            why="the file was probably saved as ANSI (the system's own code page)", fix="save it again with the encoding UTF-8",
        ) from error  # fmt: skip


def _parse_toml(text: str, path: Path) -> dict[str, Any]:
    refuse_costly(text, str(path))
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise _refuse(
            path, "the file nests brackets too deeply", fix="check that this is the file you meant"
        ) from error
    except ValueError as error:  # TOMLDecodeError, and numbers longer than Python reads
        place = AT_LINE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        lines = text.split("\n")
        wrong = lines[line - 1] if line <= len(lines) else ""
        fix = (
            "write paths in 'single quotes', or with / instead of \\"
            if "\\" in wrong
            else "look for a missing quote, bracket or = in this line or the one above"
        )
        what = f"the file is not TOML: line {line}: {said_of(error)}"
        raise _refuse(path, what, fix=fix, line=line) from error
    return tables


def _parse_json(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_no_doubles)
    except RecursionError as error:
        raise _refuse(
            path, "the file nests brackets too deeply", fix="check that this is the file you meant"
        ) from error
    except json.JSONDecodeError as error:
        raise _refuse(
            path, f"the file is not JSON: line {error.lineno}: {error.msg}", line=error.lineno,
            fix="look for a missing quote, bracket or comma in this line or the one above; in JSON \\ is written \\\\",
        ) from error  # fmt: skip
    except ValueError as error:  # a key that stands twice
        raise _refuse(
            path,
            f"the file is not sound: {said_of(error)}",
            fix="look for a key that stands twice, or a number far too long",
        ) from error
    if not isinstance(value, dict):
        raise _refuse(
            path,
            "the file holds no dataset configuration",
            why="that has datasets, each with subsets",
            fix="if this is a metadata file, name it as metadata_file in a dataset.toml",
        )
    return value


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {double[:40]!r} stands twice")
    return value


def _absolute_paths(
    tables: Mapping[str, Any], folder: Path
) -> tuple[dict[str, Any], list[tuple[int, ...]], list[str]]:
    """The tables with whole paths, the numbers of the subsets that are kept, and notes on what is not."""
    general = tables.get("general", {})
    has_cache_info = "cache_info" in general
    datasets, numbers, notes = [], [], []
    for dataset in tables.get("datasets", ()):
        subsets = dataset["subsets"]
        has_cache_info = has_cache_info or any("cache_info" in table for table in (dataset, *subsets))
        off = [number for number, subset in enumerate(subsets) if subset.get("num_repeats", 1) < 1]
        for number in off:
            name = subsets[number].get("image_dir") or subsets[number].get("metadata_file")
            notes.append(f"{name} is left out: its num_repeats is {subsets[number]['num_repeats']}.")
        train = [n for n, subset in enumerate(subsets) if n not in off and not subset.get("is_reg")]
        reg = [n for n, subset in enumerate(subsets) if n not in off and subset.get("is_reg")]
        numbers.append((*train, *reg))  # the fork gives all regularisation images the last subset's settings
        plain = {key: value for key, value in dataset.items() if key not in {"subsets", "cache_info"}}
        kept = [_absolute_subset(subsets[number], folder) for number in numbers[-1]]
        datasets.append({**plain, "subsets": kept})
    if has_cache_info:
        notes.append("cache_info is left out: it would write a file into the folder with your images.")
    plain = {key: value for key, value in general.items() if key != "cache_info"}
    return {"general": plain, "datasets": datasets}, numbers, notes


def _absolute_subset(subset: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    kept = {key: value for key, value in subset.items() if key != "cache_info"}
    for key in ("image_dir", "metadata_file", "conditioning_data_dir"):
        if key in kept:
            place = Path(os.path.abspath(folder / at_home(kept[key])))  # noqa: PTH100  (links stay)
            kept[key] = place.as_posix()
    return kept
