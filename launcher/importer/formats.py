"""Which reader knows which file: one line for each format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.importer.launch import Reading
    from launcher.importer.source import Source


def _powershell(source: Source) -> Reading:
    from launcher.importer.powershell import read_powershell

    return read_powershell(source)


READERS: dict[str, Callable[[Source], Reading]] = {".ps1": _powershell}
MOST_FILES = 500


def read(source: Source) -> Reading:
    """A file by the reader for its ending.

    Raises:
        InputError: no reader knows it.
    """
    reader = READERS.get(source.path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{source.label} is of a kind that cannot be imported yet",
            fix=f"name a file that ends in {', '.join(sorted(READERS))}", where=str(source.path),
        )  # fmt: skip
    return reader(source)


def files_in(folder: Path) -> list[Path]:
    """Files of a folder that may be scripts, by name; the folders in it are not entered.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READERS and path.is_file())
    except OSError as error:
        raise InputError(
            f"{folder.name} cannot be read: {error.strerror or error}", where=str(folder)
        ) from error
    if not found:
        raise InputError(
            f"there is no script in {folder.name}",
            fix=f"scripts end in {', '.join(sorted(READERS))}",
            where=str(folder),
        )
    return found[:MOST_FILES]
