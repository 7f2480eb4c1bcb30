"""The user's image folder as it is found: which images, which captions, how often each. Only looked at, never changed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
)  # upstream's list, without rare plug-ins
CAPTION_SUFFIXES = (".txt", ".caption")  # the first one wins a tie
REPEATS_NAME = re.compile(
    r"(\d{1,4})_(.+)"
)  # kohya's folder names: 10_name shows each image ten times an epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolder:
    """One folder of images (never the folders inside it). `error` says why it cannot be read."""

    path: Path
    images: tuple[str, ...]
    names: frozenset[str]  # all file names, to look captions up
    repeats: int | None  # from a name like 10_name
    class_tokens: str | None
    error: str = ""

    def captioned(self, suffix: str) -> int:
        """How many images have a caption file with this suffix."""
        return sum(f"{Path(image).stem}{suffix}" in self.names for image in self.images)


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What lies in the folder that the user named."""

    root: Path
    folders: tuple[ImageFolder, ...]
    passed_over: tuple[str, ...]  # folders with images that are not trained on

    @property
    def image_count(self) -> int:
        return sum(len(folder.images) for folder in self.folders)

    @property
    def caption_suffix(self) -> str | None:
        """The suffix that most caption files have; None when there are none."""
        counts = {
            suffix: sum(folder.captioned(suffix) for folder in self.folders) for suffix in CAPTION_SUFFIXES
        }
        best = max(CAPTION_SUFFIXES, key=lambda suffix: counts[suffix])
        return best if counts[best] else None

    def captioned(self, suffix: str) -> int:
        return sum(folder.captioned(suffix) for folder in self.folders)


def survey(root: Path) -> Survey:
    """Look at a data folder: plain, or one of folders named `10_name`. Never raises; unreadable folders say so."""
    top = _look(root)
    inner = _inner_folders(root)
    repeated = [path for path in inner if REPEATS_NAME.fullmatch(path.name)]
    if top.images or top.error or not repeated:
        passed_over = tuple(path.name for path in inner if _look(path).images)
        return Survey(root=root, folders=(top,), passed_over=passed_over)
    others = tuple(path.name for path in inner if path not in repeated and _look(path).images)
    return Survey(root=root, folders=tuple(_look(path) for path in repeated), passed_over=others)


def is_there(path: Path) -> bool:
    """Whether we can see the file or folder (`Path.exists` raises where a folder above it is closed to us)."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def _look(folder: Path) -> ImageFolder:
    match = REPEATS_NAME.fullmatch(folder.name)
    repeats = int(match[1]) if match and int(match[1]) > 0 else None
    names: list[str] = []
    error = ""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
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


def is_image_name(name: str) -> bool:
    """Whether a file is taken for an image: by its suffix; hidden ones (macOS' `._photo.png`) are not."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _inner_folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return sorted(
                Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except (OSError, ValueError):  # `_look` has already kept the reason
        return []
