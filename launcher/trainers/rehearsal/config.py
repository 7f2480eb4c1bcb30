"""The command line and the `--config_file`, both made from the option table of sd-scripts."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

from launcher.errors import InputError
from launcher.paths import find_paths
from launcher.trainers.options import Option, load_options

logger = logging.getLogger(__name__)

_TRUE_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "path": (str,),
    "int_or_float": (int, float),
}


def int_or_float(text: str) -> int | float:
    """A count of steps (`100`), a share of them (`0.1`) or a percentage (`10%`).

    Raises:
        ValueError: it is none of these (argparse turns it into a usage message).
    """
    if text.endswith("%"):
        return float(text[:-1]) / 100
    number = float(text)
    return int(text) if number >= 1 else number


_CONVERTERS: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "path": Path,
    "int_or_float": int_or_float,
}


def setup_parser() -> argparse.ArgumentParser:
    """A parser that takes every option of sd-scripts, with its type and default."""
    parser = argparse.ArgumentParser(prog="rehearsal", allow_abbrev=False)
    for option in load_options(find_paths()).values():
        _add(parser, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    if option.type == "flag":
        parser.add_argument(f"--{option.name}", action="store_true")
        return
    convert = _CONVERTERS[option.type]
    choices = None if option.choices is None else [convert(choice) for choice in option.choices]
    if option.many:
        parser.add_argument(f"--{option.name}", type=convert, default=option.default, nargs="*")
    else:
        parser.add_argument(f"--{option.name}", type=convert, default=option.default, choices=choices)


def read_config_from_file(
    args: argparse.Namespace, parser: argparse.ArgumentParser, argv: list[str] | None = None
) -> argparse.Namespace:
    """The options of `--config_file` (TOML, one level of sections flattened) below those of the command line.

    As upstream does, the command line is parsed a second time, on top of the file; it is `sys.argv` unless given.

    Raises:
        InputError: the file is missing, not TOML, or holds values of a wrong type (all of them are named).
    """
    if not args.config_file:
        return args
    name = str(args.config_file)
    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    values = flatten(read_toml(path))
    _check_types(values, path)
    merged = parser.parse_args(sys.argv[1:] if argv is None else argv, namespace=argparse.Namespace(**values))
    merged.config_file = os.path.splitext(name)[0]  # noqa: PTH122  (upstream's form: the text without .toml)
    return merged


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file in UTF-8, with or without a byte-order mark.

    Raises:
        InputError: it is missing, unreadable or not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise InputError(f"{path} is not a TOML file: {error}") from error
    return tables


def flatten(sections: dict[str, Any]) -> dict[str, Any]:
    """One level of tables is removed; their names mean nothing, the later of two equal keys wins."""
    flat: dict[str, Any] = {}
    for name, value in sections.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _check_types(values: dict[str, Any], path: Path) -> None:
    options = load_options(find_paths())
    unknown = sorted(set(values) - set(options))
    if unknown:
        logger.warning("%s: options that nobody knows are ignored: %s", path.name, ", ".join(unknown))
    wrong = [
        f"{name} = {value!r} (expected {options[name].type})"
        for name, value in values.items()
        if name in options and not _fits(value, options[name])
    ]
    if wrong:
        raise InputError(f"{path}: values of a wrong type: {'; '.join(wrong)}")


def _fits(value: object, option: Option) -> bool:
    if option.type == "flag":
        return isinstance(value, bool)
    if option.many:
        return isinstance(value, list) and all(_is_one(item, option) for item in value)
    return _is_one(value, option)


def _is_one(value: object, option: Option) -> bool:
    is_typed = isinstance(value, _TRUE_TYPES[option.type]) and not isinstance(value, bool)
    return is_typed and (option.choices is None or str(value) in option.choices)
