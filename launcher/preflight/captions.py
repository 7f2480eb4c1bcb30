"""Does every image have a caption that the trainer can read?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan import parts_of
from launcher.preflight.groups import Groups, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Part, Plan

MOST_CAPTIONS = 20_000
MOST_BYTES = 64 * 1024  # captions have some hundred bytes; this much is some other text

NOT_UTF8 = Kind(
    severity=Severity.ERROR, what="not saved as UTF-8", why="the trainer stops at the first such file", fix="save it again with the encoding UTF-8"
)  # fmt: skip
EMPTY = Kind(
    severity=Severity.ERROR, what="empty", why="sd-scripts stops at an empty caption", fix="write a caption into it, or delete the file"
)  # fmt: skip
LONG = Kind(
    severity=Severity.ERROR,
    what="far too long",
    why=f"more than {MOST_BYTES // 1024} KiB",
    fix="check that this is a caption",
)
UNREADABLE = Kind(severity=Severity.ERROR, what="unreadable", fix="check the file's permissions")


def check_captions(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Captions are there, in UTF-8, and not empty."""
    parts = [part for part in parts_of(plan.dataset) if part.metadata is None]
    for part in parts:
        yield from _missing(part)
    groups = Groups()
    files = {path: None for part in parts for path in _caption_files(part)}
    for path in list(files)[:MOST_CAPTIONS]:
        kind = _look(path)
        if kind:
            groups.add(kind, path)
    yield from groups.problems("caption file")


def _caption_files(part: Part) -> list[Path]:
    names = {part.folder.caption_of(image, part.caption_extension) for image in part.folder.images}
    return [part.folder.path / name for name in sorted(name for name in names if name)]


def _missing(part: Part) -> Iterator[Problem]:
    """Regularisation images usually have no captions but their class word."""
    folder, suffix, tokens = part.folder, part.caption_extension, part.class_tokens
    count = len(folder.images)
    missing = count - folder.captioned(suffix)
    if not missing:
        return
    which = (
        "none of the images has a caption"
        if missing == count
        else f"{missing} of {count} images have no caption"
    )
    if folder.is_reg:
        which = which.replace("images", "regularisation images")
    yield Problem(
        severity=Severity.NOTE if tokens else Severity.WARNING,
        what=which,
        why=f'they are trained as "{tokens}"' if tokens else "without words the LoRA cannot be called by any",
        fix=f"write beside photo.png a text file photo{suffix} with what is to be seen"
        + ("" if tokens else ', or give all of them one word: --set dataset.class_tokens="word"'),
        where=str(folder.path),
    )


def _look(path: Path) -> Kind | None:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            return LONG
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return NOT_UTF8
    except OSError:
        return UNREADABLE
    return None if lines and lines[0].strip() else EMPTY  # trainers read the first line
