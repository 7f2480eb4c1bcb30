"""The trainer's own `--config_file`: a TOML file as the words of a command line, so that all else is the same.

sd-scripts joins all tables into one and lets the command line win (train_util.read_config_from_file, v0.10.1); so its words
come first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.importer.launch import Note, Word
from launcher.importer.places import NETWORK, at_work
from launcher.importer.source import read_source
from launcher.preset.lines import find_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.importer.launch import Launch


def config_path(launch: Launch, folder: Path) -> str | None:
    """The file that a launch names, as sd-scripts finds it; None: it names none, or its name is not known."""
    found = None
    for number, word in enumerate(launch.words):
        name, equals, value = word.text.partition("=")
        if name != "--config_file":
            continue
        named = word if equals else launch.words[number + 1] if number + 1 < len(launch.words) else None
        if named is not None and not named.unknown:
            found = value if equals else named.text
    if not found:
        return None
    return at_work(found if found.endswith(".toml") else f"{found}.toml", launch, folder)


def read_config(path: str) -> list[Word]:
    """The words of a TOML file.

    Raises:
        InputError: it is on the network, missing, or no TOML.
    """
    if NETWORK.match(path):
        raise InputError(f"{path[:100]} is on the network: it is not read", fix="copy it to this computer")
    source = read_source(Path(path).expanduser())
    try:
        tables = tomllib.loads(source.text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source.label} is not TOML: {error}", where=path) from error
    lines = find_lines(source.text)
    flat: dict[str, tuple[object, int]] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            flat |= {str(key): (item, lines.line_of(name, key)) for key, item in value.items()}
        else:
            flat[str(name)] = (value, lines.line_of(name))
    return [
        word
        for name, (value, line) in flat.items()
        for word in words_of({name: value}, line=line, file=source.label)
    ]


def words_of(settings: Mapping[str, Any], *, line: int = 1, file: str = "") -> list[Word]:
    """Settings under sd-scripts' names as the words that say the same: flags that are off and empty values are not said."""
    words: list[Word] = []
    for name, value in settings.items():
        if value is None or value is False:
            continue
        if value is True:
            texts = [f"--{name}"]
        elif isinstance(value, (list, tuple)):
            texts = [f"--{name}", *(str(item) for item in value)] if value else []
        else:
            texts = [f"--{name}={value}"]
        words += [Word(text=text, line=line, file=file) for text in texts]
    return words


def unread_note(path: str, launch: Launch) -> Note:
    """What to say when the file was not read."""
    return Note(line=launch.line, text=f"--config_file {path}: its settings were not read (add --follow)")
