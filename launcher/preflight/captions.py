"""Does every image have a caption that the trainer can read?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan import survey
from launcher.preflight.groups import Groups, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import ImageFolder, Plan

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
    suffix = str(plan.options["caption_extension"].value)
    folders = survey(plan.data).folders
    for folder in folders:
        yield from _missing(plan, folder, suffix)
    groups = Groups()
    files = [folder.path / name for folder in folders for name in _caption_names(folder, suffix)]
    for path in files[:MOST_CAPTIONS]:
        kind = _look(path)
        if kind:
            groups.add(kind, path)
    yield from groups.problems("caption file")


def _caption_names(folder: ImageFolder, suffix: str) -> list[str]:
    names = {f"{Path(image).stem}{suffix}" for image in folder.images}
    return sorted(names & folder.names)


def _missing(plan: Plan, folder: ImageFolder, suffix: str) -> Iterator[Problem]:
    count = len(folder.images)
    missing = count - folder.captioned(suffix)
    if not missing:
        return
    said = plan.options.get("dataset.class_tokens")
    tokens = str(said.value) if said else folder.class_tokens
    which = (
        "none of the images has a caption"
        if missing == count
        else f"{missing} of {count} images have no caption"
    )
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
