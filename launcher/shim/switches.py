"""Reads the launcher's own switches from the shim's command line: `--switch NAME=VALUE`, as often as wanted."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from launcher.errors import UsageError
from launcher.trainers.switches import SWITCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.trainers.options import Option

FLAGS = {"true": True, "false": False}


def read_switches(words: Iterable[str]) -> dict[str, Any]:
    """Every switch with its value: the default where no word names it; of several words for one, the last counts.

    Raises:
        UsageError: an unknown name, or a value of the wrong type.
    """
    values: dict[str, Any] = {name: option.default for name, option in SWITCHES.items()}
    for word in words:
        name, _, text = word.partition("=")
        if name not in SWITCHES:
            close = difflib.get_close_matches(name, SWITCHES, n=1)
            hint = f"perhaps you meant {close[0]!r}" if close else f"switches: {', '.join(SWITCHES)}"
            raise UsageError(f"there is no switch called {name!r}", fix=hint)
        values[name] = _value(SWITCHES[name], text)
    return values


def _value(option: Option, text: str) -> Any:
    try:
        value: Any = _typed(option.type, text)
    except (ValueError, KeyError):
        kind = {"flag": "true or false", "int": "a whole number", "float": "a number"}[option.type]
        raise UsageError(f"--switch {option.name}={text}: the value must be {kind}") from None
    if option.choices and value not in option.choices:
        raise UsageError(f"--switch {option.name}={text}: choose from {', '.join(option.choices)}")
    if option.type in {"int", "float"} and not (math.isfinite(value) and value >= 0):
        raise UsageError(f"--switch {option.name}={text}: the value must not be negative")
    return value


def _typed(kind: str, text: str) -> object:
    if kind == "flag":
        return FLAGS[text.lower()]
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text
