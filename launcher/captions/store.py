"""What was found in the captions of a dataset, remembered: as long as no file has changed, nobody reads them again.

One small JSON file for each dataset. It may be deleted at any time, and one that is damaged is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.captions.survey import Named, Words
from launcher.captions.tags import Tags
from launcher.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.captions.survey import Usage

VERSION = 1  # of what is counted, and how
MOST_KEPT = 30  # datasets
MOST_BYTES = 8 * 1024 * 1024


def state_of(groups: Iterable[tuple[Usage, list[Path]]], *extra: object) -> str:
    """A digest of all files' names, sizes and times, and of everything else that the result depends on."""
    digest = hashlib.blake2b(repr((VERSION, *extra)).encode(), digest_size=20)
    for usage, files in groups:
        digest.update(repr(usage).encode("utf-8", "surrogatepass"))
        for path in files:
            try:
                stat = os.stat(path)  # noqa: PTH116  (half the time of Path.stat, a hundred thousand times)
                mark = f"\0{stat.st_size}\0{stat.st_mtime_ns}\n"
            except (OSError, ValueError):
                mark = "\0gone\n"
            digest.update(os.fsencode(path) + mark.encode())
    return digest.hexdigest()


def file_of(folder: Path, groups: Iterable[tuple[Usage, list[Path]]]) -> Path:
    """Where the result of a dataset is kept: by the folders of its captions."""
    places = sorted({os.fsencode(path.parent) for _, files in groups for path in files})
    return folder / f"{hashlib.blake2b(b'|'.join(places), digest_size=12).hexdigest()}.json"


def remember(file: Path, state: str, words: Words) -> None:
    """Write the result down. A full disk only means that the files are read again."""
    text = json.dumps({"state": state, "words": asdict(words)}, ensure_ascii=True, default=str)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, text)
        forget_oldest(file.parent)


def forget_oldest(folder: Path) -> None:
    """Keep the newest results of a folder; raises what the drive raises."""
    others = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for old in others[:-MOST_KEPT]:
        old.unlink()


def recall(file: Path, state: str) -> Words | None:
    """The result of this very state, or None."""
    try:
        if file.stat().st_size > MOST_BYTES:
            return None
        value = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or value.get("state") != state:
            return None
        return words_from(value["words"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def words_from(value: dict[str, Any]) -> Words:
    """Raises one of the errors above for what `remember` did not write."""
    _check_names(value, Words)
    _check_names(value["tags"], Tags)
    read: dict[str, Any] = {name: _number(value[name]) for name in ("files", "limit", "longest", "median")}
    faults = {str(kind): _named(found) for kind, found in value["faults"].items()}
    return Words(
        **read,
        is_exact=bool(value["is_exact"]),
        over=_named(value["over"]),
        faults=faults,
        tags=_tags(value["tags"]),
    )


def _tags(value: dict[str, Any]) -> Tags:
    numbers = ("captions", "distinct", "once", "doubled", "first_count", "first_word_count")
    read: dict[str, Any] = {name: _number(value[name]) for name in numbers}
    read |= {name: bool(value[name]) for name in ("is_cut", "is_prose")}
    read |= {name: str(value[name]) for name in ("first", "first_word")}
    read |= {name: tuple(map(str, value[name])) for name in ("once_shown", "everywhere")}
    read["top"] = _counted(value["top"])
    read["spellings"] = tuple(_counted(group) for group in value["spellings"])
    return Tags(**read)


def _check_names(value: dict[str, Any], kind: Any) -> None:
    if set(value) != {field.name for field in fields(kind)}:
        raise ValueError("written by another version")


def _named(value: dict[str, Any]) -> Named:
    return Named(
        count=_number(value["count"]),
        files=tuple((Path(str(path)), str(detail)) for path, detail in value["files"]),
    )


def _counted(value: list[Any]) -> tuple[tuple[str, int], ...]:
    return tuple((str(text), _number(count)) for text, count in value)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a number")
    return value
