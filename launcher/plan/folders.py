"""The user's image folders as they are found: which images, which captions, how often each. Only looked at, never changed.

One rule decides what a folder means, and the plan says what it came to:

1. images lie in it: these, and nothing in folders inside it;
2. none do, but it has folders named `10_name`: each of those, its images ten times an epoch;
3. else the folders in it that have images (not those whose name begins with `_`), each image once;
4. else a folder `img` inside it (kohya's project layout) by the same rules.

In cases 2 to 4 a folder `reg` beside them holds regularisation images, by the same rules.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.plan.listing import note

if TYPE_CHECKING:
    from launcher.plan.document import Document

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
)  # upstream's list, without rare plug-ins
CAPTION_SUFFIXES = (".txt", ".caption")  # the first one wins a tie
REPEATS_NAME = re.compile(
    r"(\d{1,4})_(.+)"
)  # kohya's folder names: 10_name shows each image ten times an epoch
REG_NAMES = frozenset({"reg", "regularization", "regularisation", "reg_images"})
PROJECT_NAMES = ("img", "image", "images")
ASIDE = "_"  # folders whose name begins so are left out
FACE_PARTS = 5  # photo_120_80_40_40.png: upstream then also takes photo.txt (a face detector's names)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolder:
    """One folder of images (never the folders inside it). `error` says why it cannot be read."""

    path: Path
    images: tuple[str, ...]
    names: frozenset[str]  # all file names, to look captions up
    repeats: int | None  # from a name like 10_name
    class_tokens: str | None
    error: str = ""
    is_reg: bool = False
    said_repeats: int | None = None  # --data DIR=10

    def captioned(self, suffix: str) -> int:
        """How many images have a caption file with this suffix."""
        return sum(self.caption_of(image, suffix) is not None for image in self.images)

    def caption_of(self, image: str, suffix: str) -> str | None:
        """Name of an image's caption file, as upstream looks for it."""
        stem = os.path.splitext(image)[0]  # noqa: PTH122  (ten times as fast, a hundred thousand times)
        parts = stem.split("_")
        stems = [stem, "_".join(parts[:-4])] if len(parts) >= FACE_PARTS else [stem]
        return next((f"{name}{suffix}" for name in stems if f"{name}{suffix}" in self.names), None)

    @property
    def caption_suffix(self) -> str | None:
        """The suffix that most caption files have; None when there are none."""
        return majority((self,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What lies in the folders that the user named, or in those that the user's dataset file names."""

    root: Path
    folders: tuple[ImageFolder, ...]  # regularisation images last
    passed_over: tuple[str, ...]  # folders with images that are not trained on
    notes: tuple[str, ...] = ()
    document: Document | None = None
    trainer: str = ""

    @property
    def image_count(self) -> int:
        return sum(len(folder.images) for folder in self.folders if not folder.is_reg)

    @property
    def caption_suffix(self) -> str | None:
        """The suffix that most caption files have; None when there are none."""
        return majority(self.folders)

    def captioned(self, suffix: str) -> int:
        return sum(folder.captioned(suffix) for folder in self.folders if not folder.is_reg)


def majority(folders: tuple[ImageFolder, ...]) -> str | None:
    """The suffix of most captions."""
    counts = {suffix: sum(folder.captioned(suffix) for folder in folders) for suffix in CAPTION_SUFFIXES}
    best = max(CAPTION_SUFFIXES, key=lambda suffix: counts[suffix])
    return best if counts[best] else None


def survey(root: Path, *, is_reg: bool = False) -> Survey:
    """Look at a data folder, by the rule above. Never raises; unreadable folders say so."""
    top = look(root)
    inner = _inner_folders(root)
    reg = [path for path in inner if path.name.lower() in REG_NAMES]
    inner = [path for path in inner if path not in reg]
    if top.images or top.error:
        passed_over = tuple(path.name for path in [*inner, *reg] if _has_images(path))
        return _marked(Survey(root=root, folders=(top,), passed_over=passed_over), is_reg=is_reg)
    found = _inside(root, inner) or Survey(root=root, folders=(top,), passed_over=())
    found = _marked(found, is_reg=is_reg)
    return found if is_reg or found.folders == (top,) else _with_reg(found, reg)


def _inside(root: Path, inner: list[Path]) -> Survey | None:
    """What the folders inside a folder without images hold; None when there is nothing."""
    looked = [look(path) for path in inner]
    numbered = tuple(folder for folder in looked if folder.repeats and (folder.images or folder.error))
    others = tuple(folder for folder in looked if folder.images and folder not in numbered)
    names = tuple(folder.path.name for folder in others)
    if numbered:
        return Survey(root=root, folders=numbered, passed_over=names)
    plain = tuple(folder for folder in others if not folder.path.name.startswith(ASIDE))
    if plain:
        aside = tuple(name for name in names if name.startswith(ASIDE))
        note = f"Every folder inside {root.name} is trained on: {shortened([folder.path.name for folder in plain])}."
        return Survey(root=root, folders=plain, passed_over=aside, notes=(note,))
    project = next((path for name in PROJECT_NAMES for path in inner if path.name.lower() == name), None)
    if project is None:
        return None
    below = _inside(project, _inner_folders(project))
    if below is None:
        return None
    note = f"{root.name} is a project folder: the images in {project.name} are trained on."
    return replace(below, root=root, notes=(note, *below.notes))


def _with_reg(found: Survey, reg: list[Path]) -> Survey:
    """Regularisation images that lie beside the training images."""
    for path in reg:
        there = survey(path, is_reg=True)
        folders = tuple(folder for folder in there.folders if folder.images or folder.error)
        if folders:
            count = sum(len(folder.images) for folder in folders)
            note = f"{count} regularisation images come from {path.name}."
            found = replace(found, folders=(*found.folders, *folders), notes=(*found.notes, note))
    return found


def _marked(found: Survey, *, is_reg: bool) -> Survey:
    if not is_reg:
        return found
    return replace(found, folders=tuple(replace(folder, is_reg=True) for folder in found.folders), notes=())


def shortened(names: list[str]) -> str:
    """The first three names."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def is_there(path: Path) -> bool:
    """Whether we can see the file or folder (`Path.exists` raises where a folder above it is closed to us)."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def at_home(text: str) -> Path:
    """A path with `~` put in, as far as it means somebody's home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # `~nobody`
        return Path(text)


def look(folder: Path) -> ImageFolder:
    """One folder, without what its folders hold."""
    match = REPEATS_NAME.fullmatch(folder.name)
    repeats = int(match[1]) if match and int(match[1]) > 0 else None
    names: list[str] = []
    error = ""
    note(folder)
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_file(entry)]
    except (OSError, ValueError) as failure:
        error = getattr(failure, "strerror", None) or str(failure)
    images = sorted(name for name in names if is_image_name(name))
    return ImageFolder(
        path=folder,
        images=tuple(images),
        names=frozenset(names),
        repeats=repeats,
        class_tokens=match[2].strip() if match and repeats else None,
        error=error,
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A file or a link to one; a link to itself is none, and no reason not to look at the others."""
    try:
        return entry.is_file()
    except OSError:
        return False


def is_image_name(name: str) -> bool:
    """Whether upstream takes a file for an image: by its suffix; hidden ones (macOS' `._photo.png`) are not.

    It looks for `.png` and for `.PNG`, so that `.Png` is found only where file names have no case.
    """
    suffix = os.path.splitext(name)[1]  # noqa: PTH122  (see `caption_of`)
    has_plain_case = suffix in {suffix.lower(), suffix.upper()} or sys.platform == "win32"
    return not name.startswith(".") and has_plain_case and suffix.lower() in IMAGE_SUFFIXES


def _has_images(folder: Path) -> bool:
    return bool(look(folder).images)


def _inner_folders(root: Path) -> list[Path]:
    note(root)
    try:
        with os.scandir(root) as entries:
            return sorted(
                Path(entry.path) for entry in entries if _is_folder(entry) and not entry.name.startswith(".")
            )
    except (OSError, ValueError):  # `look` has already kept the reason
        return []
