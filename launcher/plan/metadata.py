"""A metadata file of sd-scripts' fine-tuning style (`in_json`): which images it names. Only read, never changed."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.plan.document_schema import FORK
from launcher.plan.folders import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.plan.buckets import Size

MOST_BYTES = 200 * 1024 * 1024  # 100,000 images with long captions have about 50 MiB


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One image: its file, the size that the file says (upstream believes it), and its words: caption, then tags."""

    path: Path
    size: Size | None
    words: str

    @property
    def has_words(self) -> bool:
        return bool(self.words)


def read_metadata(path: Path, folder: Path | None, trainer: str) -> tuple[Entry, ...]:
    """The images of a metadata file, found as the trainer will find them.

    Raises:
        InputError: the trainer would stop at the file.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # opening a pipe waits for ever, a device has no end
            raise InputError(f"{path.name} is no file, but a folder, a pipe or a device", where=str(path))
        if about.st_size > MOST_BYTES:
            raise InputError(f"{path.name} is larger than {MOST_BYTES >> 20} MiB", where=str(path))
        text = path.read_bytes().decode("utf-8")
        rows = dict(_lines(text)) if path.suffix == ".jsonl" and trainer != FORK else json.loads(text)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}", where=str(path)) from error
    except RecursionError as error:
        raise InputError(
            f"{path.name} nests brackets too deeply to be a metadata file", where=str(path)
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is no metadata file: {error}", where=str(path)) from error
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise InputError(
            f"{path.name} is no metadata file", fix='it holds {"image": {"caption": "…"}, …}', where=str(path)
        )
    return tuple(_entry(name, row, folder, trainer, path) for name, row in rows.items())


def _lines(text: str) -> Iterator[tuple[str, Any]]:
    for line in text.splitlines():
        row = json.loads(line)
        yield row["image_path"], row


def _entry(name: str, row: dict[str, Any], folder: Path | None, trainer: str, file: Path) -> Entry:
    if not Path(name).is_absolute() and folder is None:
        raise InputError(
            f"{file.name} names images without their folder ({name[:60]})", fix="write image_dir beside metadata_file", where=str(file)
        )  # fmt: skip
    place = Path(name) if folder is None else folder / name
    if trainer == FORK and not Path(name).is_absolute():
        place = _with_suffix(place)
    return Entry(
        path=place,
        size=_size(row.get("train_resolution" if trainer == FORK else "image_size")),
        words=", ".join(
            part for key in ("caption", "tags") if isinstance(part := row.get(key), str) and part
        ),
    )


def _size(value: Any) -> Size | None:
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(side, int) and side > 0 for side in value)
    ):
        return value[0], value[1]
    return None


def _with_suffix(place: Path) -> Path:
    """The fork's keys have no suffix: it tries all that it knows."""
    names = [Path(f"{place}{suffix}") for suffix in sorted(IMAGE_SUFFIXES)]
    names += [Path(f"{place}{suffix.upper()}") for suffix in sorted(IMAGE_SUFFIXES)]
    return next((name for name in names if name.is_file()), place)
