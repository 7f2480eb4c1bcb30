"""The user's own settings (`user/settings.toml`) and the words of `--set key=value`."""

from __future__ import annotations

import difflib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity, UsageError
from launcher.preset.records import Setting
from launcher.preset.schema import WrongValueError, check_value, refuse_name, suggest
from launcher.preset.tables import (
    DATASET_OPTIONS,
    OWNERS,
    home_of,
    listed,
    printable,
    read_tables,
    resolve_paths,
    strings,
    table_of,
)
from launcher.preset.text import read_document
from launcher.trainers import FULL_TRAINER, load_options
from launcher.trainers.switches import SWITCHES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launcher.paths import Paths
    from launcher.trainers import Option

DEFAULT_KEYS = ("model", "data", "trainer", "gpus")
PLAIN_DEFAULTS = frozenset({"trainer", "gpus"})  # the others are paths
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
    """A layer of settings: options, dataset keys, the launcher's switches, and (from the user's file) what to take where nothing is said."""

    options: Mapping[str, Setting] = field(default_factory=dict)
    dataset: Mapping[str, Setting] = field(default_factory=dict)
    switches: Mapping[str, Setting] = field(default_factory=dict)
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
    return Settings(
        options=tables.options, dataset=tables.dataset, switches=tables.switches, defaults=defaults
    )


def _default(name: str, value: str, folder: Path) -> str:
    return value if name in PLAIN_DEFAULTS else str(folder / Path(value).expanduser())


def settings_from_words(
    paths: Paths, words: Sequence[str], *, table: Mapping[str, Option] | None = None, source: str = "--set"
) -> Settings:
    """`key=value` words as a layer; the value is read by the option's type.

    Args:
        paths: where the option tables lie.
        words: of the command line.
        table: options of the trainer in use; None: those of sd-scripts.
        source: what the settings are to say about where they come from.

    Raises:
        UsageError: an unknown key or an unfitting value; all of them are named.
    """
    layer = _Layer(paths, table)
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        with layer.gathering(f"{source} {word}"):
            _require_equals(equals, word)
            option, place = layer.target(name)
            value = resolve_paths(option.name, check_value(option, _parse(option, text.strip())), Path.cwd())
            place[option.name] = Setting(value=value, source=source)
    return layer.settings()


def settings_from_answers(
    paths: Paths, answers: Mapping[str, object], *, table: Mapping[str, Option] | None = None
) -> Settings:
    """Answers of the menu, already values rather than words, as a layer.

    Raises:
        UsageError: an unknown key or an unfitting value.
    """
    layer = _Layer(paths, table)
    for name, value in answers.items():
        with layer.gathering(f"answer {name}"):
            option, place = layer.target(name)
            place[option.name] = Setting(value=check_value(option, value), source="answer")
    return layer.settings()


def check_options(
    paths: Paths, options: Mapping[str, Setting], table: Mapping[str, Option] | None = None
) -> None:
    """Options that came back from a stored plan must still be options that somebody may set.

    Raises:
        InputError: one is not, or its value does not fit.
    """
    layer = _Layer(paths, table)
    for name, setting in options.items():
        try:
            option, _ = layer.target(name)
            check_value(option, setting.value)
        except WrongValueError as error:
            raise InputError(error.what, fix=error.fix, where=setting.source) from error


class _Layer:
    """A layer of settings as it grows, word by word."""

    def __init__(self, paths: Paths, table: Mapping[str, Option] | None) -> None:
        self.known = load_options(paths)
        self.table = self.known if table is None else table
        self.options: dict[str, Setting] = {}
        self.dataset: dict[str, Setting] = {}
        self.switches: dict[str, Setting] = {}
        self.problems: list[Problem] = []

    @contextmanager
    def gathering(self, where: str) -> Iterator[None]:
        """What is wrong with one word is kept for the end, so that all are named at once."""
        try:
            yield
        except WrongValueError as error:
            problem = Problem(severity=Severity.ERROR, what=error.what, fix=error.fix, where=where)
            self.problems.append(problem)

    def target(self, name: str) -> tuple[Option, dict[str, Setting]]:
        """The option that a name means, and where its setting belongs.

        Raises:
            WrongValueError: there is none, or nobody may set it.
        """
        prefix, dot, key = name.partition(".")
        own = {"dataset": (DATASET_OPTIONS, self.dataset), "launcher": (SWITCHES, self.switches)}
        if dot and prefix in own:
            known, place = own[prefix]
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                raise WrongValueError(
                    f"{prefix}.{printable(key)} is not known",
                    f"perhaps you meant {prefix}.{close[0]}" if close else f"{prefix} takes {listed(known)}",
                )
            return known[key], place
        name = key if dot and prefix == "options" else name
        home = home_of(name, self.table)
        if home in OWNERS:
            raise WrongValueError(f"{name} belongs to the {OWNERS[home]}", f"write --set {home}.{name}=…")
        if name in self.known and name not in self.table:
            raise WrongValueError(
                f"{name} is not an option of the trainer in use",
                f"remove it, or train with --trainer {FULL_TRAINER}",
            )
        refused = refuse_name(name, self.table)
        if refused:
            raise WrongValueError(
                f"{printable(name)}{refused[0].removeprefix(name)}", refused[1] or suggest(name, self.table)
            )
        return self.table[name], self.options

    def settings(self) -> Settings:
        """The whole layer.

        Raises:
            UsageError: something in it was wrong.
        """
        if self.problems:
            first = self.problems[0]
            rest = "".join(f"\n{problem.what}: {problem.fix}" for problem in self.problems[1:])
            raise UsageError(first.what, fix=first.fix + rest, where=first.where)
        return Settings(options=self.options, dataset=self.dataset, switches=self.switches)


def _require_equals(equals: str, word: str) -> None:
    if not equals:
        raise WrongValueError(
            f"--set {printable(word)} has no value", "write --set key=value, such as --set network_dim=16"
        )


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
