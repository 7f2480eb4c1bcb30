"""The option table of a training script: what an option takes, read from data, never from the script itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.paths import Paths

TYPES = frozenset({"int", "float", "str", "flag", "path", "int_or_float"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One command-line option of a trainer.

    `type` is one of `TYPES`; "int_or_float" is a count of steps (10), a share of them (0.1) or a percentage (10%).
    `choices` are texts, also where the type is int; None among upstream's choices means "not set" and is left out.
    `many`: takes a list (nargs="*").
    """

    name: str
    type: str
    default: object
    choices: tuple[str, ...] | None
    many: bool


def load_options(paths: Paths, table: str = "sd-scripts") -> dict[str, Option]:
    """The option table `vendor/options/<table>.json`, in upstream's order.

    Source: kohya-ss/sd-scripts v0.10.1, extracted by `vendor/refresh_options.py`.

    Raises:
        LauncherError: the table is missing or damaged (part of the product: the installation is broken).
    """
    path = paths.pins / "options" / f"{table}.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["options"]
        options = [_read_option(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LauncherError(
            "the option table that comes with the launcher cannot be read",
            why=str(error),
            fix="restore the file from the download of this version",
            where=str(path),
        ) from error
    return {option.name: option for option in options}


def _read_option(entry: dict[str, Any]) -> Option:
    if entry["type"] not in TYPES:
        raise ValueError(f"option {entry['name']} has the unknown type {entry['type']}")
    choices = entry.get("choices")
    return Option(
        name=entry["name"],
        type=entry["type"],
        default=entry["default"],
        choices=None if choices is None else tuple(str(choice) for choice in choices if choice is not None),
        many=entry.get("nargs") == "*",
    )
