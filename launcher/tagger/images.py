"""Which images of a folder are to be tagged, and which are left alone. Reads names only, writes nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.plan.folders import is_image_name
from launcher.tagger.records import (
    BAD_NAME,
    HAS_CAPTION,
    KEEP,
    LINK,
    NO_FILE,
    SHARED_NAME,
    Left,
    Survey,
    Target,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.tagger.records import Wish


def survey(wish: Wish) -> Survey:
    """Every image of the folder, in the order of names.

    Raises:
        InputError: the folder cannot be read, or has no images.
    """
    targets: list[Target] = []
    left: list[Left] = []
    taken: set[str] = set()
    for image in _images(wish.folder, is_recursive=wish.is_recursive):
        caption = image.with_name(image.stem + wish.extension)
        key = os.path.normcase(caption)
        why = BAD_NAME if not _is_text(image) else SHARED_NAME if key in taken else _why_left(caption, wish)
        taken.add(key)
        if why:
            left.append(Left(image=image, why=why))
        else:
            targets.append(Target(image=image, caption=caption))
    if not targets and not left:
        inside = "" if wish.is_recursive else " (folders in it are looked into with --recursive)"
        raise InputError(
            "There are no images in this folder.",
            why=f"Looked for: .png .jpg .jpeg .webp .bmp{inside}",
            where=str(wish.folder),
        )
    return Survey(targets=tuple(targets), left=tuple(left))


def _why_left(caption: Path, wish: Wish) -> str:
    try:
        mode = caption.lstat().st_mode
    except FileNotFoundError:
        return ""
    except OSError:
        return NO_FILE
    if stat.S_ISLNK(mode):
        return HAS_CAPTION if wish.existing == KEEP else LINK
    if not stat.S_ISREG(mode):
        return NO_FILE
    return HAS_CAPTION if wish.existing == KEEP else ""


def _is_text(image: Path) -> bool:
    try:
        image.name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _images(folder: Path, *, is_recursive: bool) -> Iterator[Path]:
    """Image files, by name; links to folders are not followed, so that no loop of them is endless."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            "The folder cannot be read.", why=error.strerror or str(error), where=str(folder)
        ) from error
    inner = []
    for entry in found:
        if is_image_name(entry.name) and entry.is_file():
            yield Path(entry.path)
        elif is_recursive and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            inner.append(Path(entry.path))
    for place in inner:
        yield from _images(place, is_recursive=True)
