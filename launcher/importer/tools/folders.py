"""Subsets of a dataset as folders with repeats; what all of them say the same way becomes options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.tools.gathering import number, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from launcher.importer.tools.gathering import Gathered

PLACES = frozenset(
    {"image_dir", "num_repeats", "is_reg", "name", "metadata_file", "conditioning_data_dir", "enable"}
)
DIFFER = "differs between the folders, and a preset has one value for all: put the folders into a dataset.toml and name that with --data"


def take_subsets(
    out: Gathered,
    subsets: Sequence[Any],
    options: frozenset[str],
    line: Callable[[int, str], int],
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Folders and common settings of some subsets.

    Args:
        out: what is gathered.
        subsets: tables with `image_dir`, `num_repeats`, `is_reg` and settings.
        options: settings that are options of the trainer.
        line: of a subset's key, by the subset's number from 0.
        defaults: what a setting is where a subset does not say it.
    """
    tables = [(number_, item) for number_, item in enumerate(subsets) if isinstance(item, dict)]
    for at, table in tables:
        place = table.get("image_dir")
        if isinstance(place, str) and place:
            out.folder(place, table.get("num_repeats", 1), line(at, "image_dir"), is_reg=table.get("is_reg") is True)  # fmt: skip
        elif "metadata_file" in table:
            why = "images listed in a metadata file: name them in a dataset.toml, with --data"
            out.leave("metadata_file", table["metadata_file"], why, line(at, "metadata_file"))
    trained = [(at, table) for at, table in tables if table.get("is_reg") is not True] or tables
    for key in dict.fromkeys(key for _, table in trained for key in table):
        if key not in PLACES:
            _take_key(
                out, key, trained, is_known=key in options, line=line, default=(defaults or {}).get(key)
            )


def _take_key(
    out: Gathered,
    key: str,
    tables: Sequence[tuple[int, Mapping[str, Any]]],
    *,
    is_known: bool,
    line: Callable[[int, str], int],
    default: Any,
) -> None:
    found = [table.get(key, default) for _, table in tables]
    at = next(at for at, table in tables if key in table)
    if all(_is_unset(value) for value in found):
        return
    if not is_known:
        out.leave(key, found[0], "is no setting of a dataset that sd-scripts knows", line(at, key))
    elif any(_plain(value) != _plain(found[0]) for value in found):
        out.leave(key, [said(value) if value is not None else "-" for value in found], DIFFER, line(at, key))
    else:
        out.give(key, found[0], line(at, key))


def _is_unset(value: Any) -> bool:
    return value is None or value is False or value == "" or (number(value) == 0)


def _plain(value: Any) -> Any:
    """`false`, zero and "not there" are one."""
    return None if _is_unset(value) else value
