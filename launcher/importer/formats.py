"""Which reader knows which file: scripts by their ending, one line for each; settings of other tools by their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.importer.launch import Reading
    from launcher.importer.source import Source
    from launcher.trainers import Option


def _powershell(source: Source) -> Reading:
    from launcher.importer.powershell import read_powershell

    return read_powershell(source)


def _batch(source: Source) -> Reading:
    from launcher.importer.batch import read_batch

    return read_batch(source)


def _shell(source: Source) -> Reading:
    from launcher.importer.shell import read_shell

    return read_shell(source)


READERS: dict[str, Callable[[Source], Reading]] = {
    ".ps1": _powershell, ".bat": _batch, ".cmd": _batch, ".sh": _shell, ".bash": _shell,
}  # fmt: skip
LINE = (
    ".txt"  # a command to paste, as `export --to accelerate` writes it; in a folder such files are captions
)
MOST_FILES = 500
SETTINGS_BEGIN = ("{", "[")  # JSON and TOML under a script's name; scripts that begin so are none of a tool's


def read(source: Source, table: Mapping[str, Option]) -> Reading:
    """A file by its content where that is a tool's, else by the reader for its ending.

    Raises:
        InputError: no reader knows it.
    """
    suffix = source.path.suffix.lower()
    reader = _shell if suffix == LINE else READERS.get(suffix)
    if reader is None or source.text.lstrip()[:1] in SETTINGS_BEGIN:
        from launcher.importer.tools import read_tool  # a quarter of the time that a script takes

        reading = read_tool(source, table)
        if reading is not None:
            return reading
    if reader is None:
        raise InputError(
            f"{source.label} is of a kind that cannot be imported",
            why=f"it is no script ({', '.join(sorted(READERS))}), no trained LoRA, and no settings of a tool that is known here",
            fix="check that this is the file you meant", where=str(source.path),
        )  # fmt: skip
    return reader(source)


def files_in(folder: Path, table: Mapping[str, Option]) -> list[Path]:
    """Files of a folder that may be scripts, by name, or settings, by content; the folders in it are not entered.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    from launcher.importer.tools import SUFFIXES, may_be_settings

    try:
        named = sorted(path for path in folder.iterdir() if path.suffix.lower() in {*READERS, *SUFFIXES} and path.is_file())  # fmt: skip
    except OSError as error:
        raise InputError(
            f"{folder.name} cannot be read: {error.strerror or error}", where=str(folder)
        ) from error
    found = [
        path for path in named[:MOST_FILES] if path.suffix.lower() in READERS or may_be_settings(path, table)
    ]
    if not found:
        raise InputError(
            f"there is no script and no settings file in {folder.name}",
            fix=f"scripts end in {', '.join(sorted(READERS))}, settings in {', '.join(SUFFIXES)}",
            where=str(folder),
        )
    return found
