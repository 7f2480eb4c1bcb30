"""The tables of a preset or settings file, checked key by key; what is wrong is gathered, the rest is kept."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from launcher.preset.owned import INSTEAD
from launcher.preset.schema import WrongValueError, check_value, refuse_name, suggest
from launcher.trainers import Option
from launcher.trainers.switches import SWITCHES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from launcher.errors import Problem
    from launcher.preset.records import Setting
    from launcher.preset.text import Document


def _own(name: str, kind: str) -> Option:
    return Option(name=name, type=kind, default=None, choices=None, many=False)


DATASET_OPTIONS = {
    option.name: option for option in (_own("num_repeats", "int"), _own("class_tokens", "str"))
}
OWNERS = {"dataset": "dataset", "launcher": "launcher"}  # tables that are not the trainer's
# Their values are files: written in a preset they lie beside it, typed on a command line in the current folder.
PATH_OPTIONS = frozenset({
    "vae", "sample_prompts", "network_weights", "base_weights", "tokenizer_cache_dir", "conditioning_data_dir",
    "log_tracker_config",
})  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Tables:
    """What one file sets, and what is wrong in it."""

    options: dict[str, Setting] = field(default_factory=dict)
    dataset: dict[str, Setting] = field(default_factory=dict)
    switches: dict[str, Setting] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)  # options that were given, but wrong


def read_tables(document: Document, table: Mapping[str, Option], known: Collection[str]) -> Tables:
    """[options], [dataset] and [launcher] of a document; `known` are its further tables, which the caller reads."""
    found = Tables()
    names = [*known, "options", "dataset", "launcher"]
    for name, value in document.tables.items():
        if name not in names:
            found.problems.append(_stray(document, name, value, table, names))
    _read_options(document, table, found)
    _read_own(document, "dataset", DATASET_OPTIONS, found, table)
    _read_own(document, "launcher", SWITCHES, found, table)
    return found


def table_of(document: Document, name: str, problems: list[Problem]) -> dict[str, object]:
    """One table of a document, empty when it is not there."""
    value = document.tables.get(name, {})
    if isinstance(value, dict):
        return value
    problems.append(document.problem(f"{name} is a table", name, fix=f"write [{name}] on a line of its own"))
    return {}


def _stray(
    document: Document, name: str, value: object, table: Mapping[str, Option], known: Collection[str]
) -> Problem:
    home = home_of(name, table)
    if home and not isinstance(value, dict):
        return document.problem(f"{name} stands outside of every table", name, fix=f"move it below [{home}]")
    close = difflib.get_close_matches(name.lower(), known, n=1)
    fix = (
        f"perhaps you meant [{close[0]}]" if close else f"tables: {', '.join(f'[{item}]' for item in known)}"
    )
    return document.problem(f"{printable(name)} is not a table of this file", name, fix=fix)


def _read_options(document: Document, table: Mapping[str, Option], found: Tables) -> None:
    for name, value in table_of(document, "options", found.problems).items():
        refused = refuse_name(name, table)
        home = home_of(name, table)
        if home in OWNERS:
            found.problems.append(
                document.problem(
                    f"{name} belongs to the {OWNERS[home]}", "options", name, fix=f"move it below [{home}]"
                )
            )
        elif refused:
            what = f"{printable(name)}{refused[0].removeprefix(name)}"
            found.problems.append(document.problem(what, "options", name, fix=refused[1]))
            found.unreadable |= _meant(refused[1], table)
        else:
            _read_one(document, "options", table[name], value, found)


def _meant(fix: str, table: Mapping[str, Option]) -> set[str]:
    """The option that a misspelled one surely stands for: rules must not complain that it is missing."""
    return {word for word in fix.split() if word in table and word not in INSTEAD}


def _read_own(
    document: Document, place: str, known: Mapping[str, Option], found: Tables, table: Mapping[str, Option]
) -> None:
    """A table with keys of our own: [dataset] or [launcher]."""
    for name, value in table_of(document, place, found.problems).items():
        if name in known:
            _read_one(document, place, known[name], value, found)
            continue
        close = difflib.get_close_matches(name, known, n=1)
        fix = f"perhaps you meant {close[0]}" if close else f"[{place}] takes {listed(known)}"
        home = home_of(name, table)
        if home and name not in INSTEAD:
            fix = f"move it below [{home}]"
        what = f"{printable(name)} is not a key of [{place}]"
        found.problems.append(document.problem(what, place, name, fix=fix))


def home_of(name: str, table: Mapping[str, Option]) -> str:
    """The table in which a key belongs; empty when nobody knows it."""
    if name in DATASET_OPTIONS:
        return "dataset"
    if name in SWITCHES:
        return "launcher"
    return "options" if name in table else ""


def listed(names: Collection[str]) -> str:
    """Names for a sentence: "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _read_one(document: Document, table: str, option: Option, value: object, found: Tables) -> None:
    try:
        checked = check_value(option, value)
    except WrongValueError as error:
        found.problems.append(document.problem(error.what, table, option.name, fix=error.fix))
        found.unreadable.add(option.name)
        return
    place = {"options": found.options, "dataset": found.dataset, "launcher": found.switches}[table]
    checked = resolve_paths(option.name, checked, document.path.parent)
    place[option.name] = document.setting(checked, table, option.name)


def resolve_paths(name: str, value: object, folder: Path) -> object:
    """File names as absolute paths from `folder`; every other value as it is."""
    if name not in PATH_OPTIONS:
        return value
    if isinstance(value, list):
        return [resolve_paths(name, item, folder) for item in value]
    text = str(value)
    if (
        not text or PureWindowsPath(text).is_absolute()
    ):  # `D:\x` in a preset that is read on Linux stays what it is
        return text
    return str(folder / Path(text).expanduser())


def names_left_out(
    document: Document, table: Mapping[str, Option], problems: list[Problem]
) -> frozenset[str]:
    """`without` of [preset]: options that are not taken over from what the preset extends."""
    value = table_of(document, "preset", []).get("without", [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        what = "without needs a list of option names"
        problems.append(document.problem(what, "preset", "without", fix='write without = ["min_snr_gamma"]'))
        return frozenset()
    for name in value:
        if name not in table:
            what = f"without: {printable(name)} is not an option of the trainer"
            problems.append(document.problem(what, "preset", "without", fix=suggest(name, table)))
    return frozenset(value)


def printable(name: str) -> str:
    """A key for a message: short and without control characters."""
    shown = "".join(char if char.isprintable() else "?" for char in name[:60])
    return shown if len(name) <= 60 else f"{shown}…"


def strings(
    document: Document, table: str, names: Collection[str], problems: list[Problem]
) -> Iterator[tuple[str, str]]:
    """The texts of a table under `names`; each that is no text is a problem."""
    for name, value in table_of(document, table, problems).items():
        if name not in names:
            continue
        if isinstance(value, str) and len(value) <= 4096:
            yield name, value
        else:
            fix = f'write {name} = "text"'
            problems.append(document.problem(f"{name} needs a text in quotes", table, name, fix=fix))
