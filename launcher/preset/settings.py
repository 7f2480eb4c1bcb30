"""The user's own settings (`user/settings.toml`) and the words of `--set key=value`."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity, UsageError
from launcher.preset.records import Setting
from launcher.preset.schema import WrongValueError, check_value, refuse_name, suggest
from launcher.preset.tables import DATASET_OPTIONS, printable, read_tables, resolve_paths, strings, table_of
from launcher.preset.text import read_document
from launcher.trainers import load_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.paths import Paths
    from launcher.trainers import Option

DEFAULT_KEYS = ("model", "data", "trainer")
WORDS_FOR_FLAGS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """A layer of settings: options, dataset keys, and (from the user's file) what to take where nothing is said."""

    options: Mapping[str, Setting] = field(default_factory=dict)
    dataset: Mapping[str, Setting] = field(default_factory=dict)
    defaults: Mapping[str, Setting] = field(default_factory=dict)


def load_settings(paths: Paths) -> Settings:
    """`user/settings.toml`; empty when there is none.

    Raises:
        InputError: something in it is wrong; `problems` has every error.
    """
    path = paths.user_settings
    try:
        path.stat()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror}",
            fix="check the file's permissions",
            where=str(path),
        ) from error
    document = read_document(paths, path)
    tables = read_tables(document, load_options(paths), known=("defaults",))
    problems = tables.problems
    defaults = {
        name: document.setting(_default(name, value, path.parent), "defaults", name)
        for name, value in strings(document, "defaults", DEFAULT_KEYS, problems)
    }
    for name in table_of(document, "defaults", []):
        if name not in DEFAULT_KEYS:
            close = difflib.get_close_matches(name, DEFAULT_KEYS, n=1)
            fix = f"perhaps you meant {close[0]}" if close else f"[defaults] takes {', '.join(DEFAULT_KEYS)}"
            what = f"{printable(name)} is not a key of [defaults]"
            problems.append(document.problem(what, "defaults", name, fix=fix))
    if problems:
        raise InputError(
            f"{document.label} has {len(problems)} error{'s' if len(problems) > 1 else ''}", problems=tuple(problems),
            fix="put them right, or remove the lines", where=document.label,
        )  # fmt: skip
    return Settings(options=tables.options, dataset=tables.dataset, defaults=defaults)


def _default(name: str, value: str, folder: Path) -> str:
    return value if name == "trainer" else str(folder / Path(value).expanduser())


def settings_from_words(paths: Paths, words: Sequence[str], *, source: str = "--set") -> Settings:
    """`key=value` words as a layer; the value is read by the option's type.

    Raises:
        UsageError: an unknown key or an unfitting value; all of them are named.
    """
    table = load_options(paths)
    options: dict[str, Setting] = {}
    dataset: dict[str, Setting] = {}
    problems: list[Problem] = []
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        try:
            _require_equals(equals, word)
            option, place = _target(name, table, options, dataset)
            value = resolve_paths(option.name, check_value(option, _parse(option, text.strip())), Path.cwd())
            place[option.name] = Setting(value=value, source=source)
        except WrongValueError as error:
            problems.append(
                Problem(severity=Severity.ERROR, what=error.what, fix=error.fix, where=f"{source} {word}")
            )
    _raise_all(problems)
    return Settings(options=options, dataset=dataset)


def settings_from_answers(paths: Paths, answers: Mapping[str, object]) -> Settings:
    """Answers of the menu, already values rather than words, as a layer.

    Raises:
        UsageError: an unknown key or an unfitting value.
    """
    table = load_options(paths)
    options: dict[str, Setting] = {}
    dataset: dict[str, Setting] = {}
    problems: list[Problem] = []
    for name, value in answers.items():
        try:
            option, place = _target(name, table, options, dataset)
            place[option.name] = Setting(value=check_value(option, value), source="answer")
        except WrongValueError as error:
            problems.append(
                Problem(severity=Severity.ERROR, what=error.what, fix=error.fix, where=f"answer {name}")
            )
    _raise_all(problems)
    return Settings(options=options, dataset=dataset)


def check_options(paths: Paths, options: Mapping[str, Setting]) -> None:
    """Options that came back from a stored plan must still be options that somebody may set.

    Raises:
        InputError: one is not, or its value does not fit.
    """
    table = load_options(paths)
    for name, setting in options.items():
        refused = refuse_name(name, table)
        if refused:
            raise InputError(
                f"{printable(name)}{refused[0].removeprefix(name)}", fix=refused[1], where=setting.source
            )
        try:
            check_value(table[name], setting.value)
        except WrongValueError as error:
            raise InputError(error.what, fix=error.fix, where=setting.source) from error


def _raise_all(problems: list[Problem]) -> None:
    if not problems:
        return
    first = problems[0]
    rest = "".join(f"\n{problem.what}: {problem.fix}" for problem in problems[1:])
    raise UsageError(first.what, fix=first.fix + rest, where=first.where)


def _require_equals(equals: str, word: str) -> None:
    if not equals:
        raise WrongValueError(
            f"--set {printable(word)} has no value", "write --set key=value, such as --set network_dim=16"
        )


def _target(
    name: str, table: Mapping[str, Option], options: dict[str, Setting], dataset: dict[str, Setting]
) -> tuple[Option, dict[str, Setting]]:
    prefix, dot, key = name.partition(".")
    if dot and prefix == "dataset":
        if key not in DATASET_OPTIONS:
            raise WrongValueError(
                f"dataset.{printable(key)} is not known", f"dataset takes {' and '.join(DATASET_OPTIONS)}"
            )
        return DATASET_OPTIONS[key], dataset
    name = key if dot and prefix == "options" else name
    if name in DATASET_OPTIONS:
        raise WrongValueError(f"{name} belongs to the dataset", f"write --set dataset.{name}=…")
    refused = refuse_name(name, table)
    if refused:
        raise WrongValueError(
            f"{printable(name)}{refused[0].removeprefix(name)}", refused[1] or suggest(name, table)
        )
    return table[name], options


def _parse(option: Option, text: str) -> object:
    """A word as a value of the option's type; what does not fit stays a text, and the schema says so."""
    if option.name == "resolution":
        return text
    if option.many:
        return _parse_list(option, text)
    return _parse_one(option, text)


def _parse_list(option: Option, text: str) -> list[object]:
    """`[..]` as JSON or TOML writes it, else words parted by spaces, as on sd-scripts' own command line."""
    if text.startswith("["):
        try:
            items = json.loads(text.replace("'", '"'))
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list):
            return items
    return [_parse_one(option, word) for word in text.split()]


def _parse_one(option: Option, text: str) -> object:
    if option.type == "flag":
        return WORDS_FOR_FLAGS.get(text.lower(), text)
    if option.type in {"str", "path"}:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
