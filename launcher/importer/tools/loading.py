"""JSON and TOML of other tools, parsed within bounds: small, flat enough, no half characters, keys that stand twice told of."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.importer.launch import Note
from launcher.plan.places import Places, places_in_json, places_in_toml
from launcher.preset.text import refuse_costly, said_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from launcher.importer.source import Source

DEEPEST = 12  # OneTrainer's files have four levels
MOST_VALUES = 20_000
LONGEST_NUMBER = 30  # digits
MOST_DOUBLES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """The tables of a file and the way back to its lines."""

    tables: dict[str, Any]
    places: Places
    notes: tuple[Note, ...] = ()

    def line(self, *place: str | int) -> int:
        """Line of a key."""
        return self.places.line_of(place)


def load_json(source: Source) -> Tree | None:
    """The object of a JSON file; None when the text is no JSON, or no object.

    Raises:
        InputError: it is nested too deeply, or holds far too much.
    """
    if not source.text.lstrip().startswith("{"):
        return None
    doubles: list[str] = []
    try:
        value = parse_json(source.text, doubles)
    except RecursionError as error:
        raise too_deep(source.label, str(source.path)) from error
    except ValueError:
        return None
    places = places_in_json(source.text)
    notes = tuple(
        Note(
            line=places.line_of((key,)),
            text=f"{key[:40]} stands twice: the later one counts, as the tool reads it",
        )
        for key in dict.fromkeys(doubles[:MOST_DOUBLES])
    )
    return Tree(tables=_cleaned(value, source), places=places, notes=notes)


def parse_json(text: str, doubles: list[str] | None = None) -> Any:
    """JSON as these tools read it: the later of two keys counts; a number that is none (NaN) or far too long stays a text."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(found)
        if len(table) != len(found) and doubles is not None and len(doubles) < MOST_DOUBLES:
            seen: set[str] = set()
            for key, _ in found:
                if key in seen:
                    doubles.append(key)
                seen.add(key)
        return table

    return json.loads(text, object_pairs_hook=pairs, parse_constant=str, parse_int=_integer)


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= LONGEST_NUMBER else text


def why_no_toml(source: Source) -> str:
    """What the TOML reader says of a text that it does not take."""
    try:
        tomllib.loads(source.text)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return str(error)
    return ""


def load_toml(source: Source) -> Tree | None:
    """The tables of a TOML file; None when the text is no TOML.

    Raises:
        InputError: it is nested too deeply, or holds far too much.
    """
    refuse_costly(source.text, source.label)
    try:
        tables = tomllib.loads(source.text)
    except RecursionError as error:
        raise too_deep(source.label, str(source.path)) from error
    except ValueError as error:
        if "digits" in said_of(error):
            raise InputError(f"{source.label} holds a number with far too many digits", where=str(source.path)) from error  # fmt: skip
        return None
    return Tree(tables=_cleaned(tables, source), places=places_in_toml(source.text))


def too_deep(label: str, where: str) -> InputError:
    """The refusal of a file that nests too deeply."""
    return InputError(
        f"{label} cannot be imported: it is nested too deeply", fix="check that this is the file you meant", where=where
    )  # fmt: skip


def _cleaned(tables: Any, source: Source) -> dict[str, Any]:
    try:
        cleaned: dict[str, Any] = clean(tables)
    except ValueError as error:
        raise InputError(f"{source.label} cannot be imported: it is nested too deeply, or holds far too much", fix="check that this is the file you meant", where=str(source.path)) from error  # fmt: skip
    return cleaned


def clean(value: Any) -> Any:
    """Texts without half characters and zeros, dates as texts.

    Raises:
        ValueError: nested too deeply, or far too many values.
    """
    count = 0

    def walk(item: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if depth > DEEPEST or count > MOST_VALUES:
            raise ValueError("too much")
        if isinstance(item, dict):
            return {_text(str(key)): walk(part, depth + 1) for key, part in item.items()}
        if isinstance(item, list):
            return [walk(part, depth + 1) for part in item]
        if item is None or isinstance(item, (bool, int, float)):
            return item
        return _text(str(item))

    return walk(value, 0)


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
