"""What is asked of a tagging, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEEP, APPEND, REPLACE = "keep", "append", "replace"
EXISTING = (KEEP, APPEND, REPLACE)
RATINGS = ("off", "first", "last")
THRESHOLD = 0.35  # sd-scripts' own
BATCH = 4

# Why an image was left alone.
HAS_CAPTION = "it has a caption already"
SHARED_NAME = "another image has the same name, and so the same caption file"
LINK = "its caption is a link to another file"
NO_FILE = "its caption is no plain file"
UNREADABLE = "its caption cannot be read"
BAD_NAME = "its name is not text (bytes that are no UTF-8)"
NOT_TEXT = "its caption is not UTF-8, so that nothing can be appended"
TOO_LARGE = "its caption has over a megabyte: that is some other file"
NO_TAGS = "no tag reached the threshold"
NOTHING_NEW = "its caption has all the tags already"
BAD_IMAGE = "the image cannot be read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One tagging as it was asked for, checked."""

    folder: Path
    model: str
    general: float = THRESHOLD
    character: float = THRESHOLD
    rest: float = THRESHOLD  # of the categories that only the form with a mapping has
    rating: str = "off"
    has_spaces: bool = False
    undesired: tuple[str, ...] = ()
    prefix: str = ""
    existing: str = KEEP
    extension: str = ".txt"
    is_recursive: bool = False
    batch: int = BATCH
    device: str = "auto"  # or "cpu"
    mirror: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One image and its caption file."""

    image: Path
    caption: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """One image that was left alone: why (a sentence shared by many), and words about this one."""

    image: Path
    why: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What there is to do in a folder."""

    targets: tuple[Target, ...]
    left: tuple[Left, ...]

    @property
    def images(self) -> int:
        return len(self.targets) + len(self.left)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """How the worker works, as it said itself."""

    device: str  # "gpu" or "cpu"
    note: str = ""
    batch: int = 0
    version: str = ""  # of onnxruntime


@dataclass(kw_only=True, slots=True)
class Result:
    """A tagging that has ended, or as far as it came."""

    folder: Path
    model: str
    journal: str  # its name, for `--undo`
    images: int
    ready: Ready | None = None
    written: int = 0
    seconds: float = 0.0
    left: list[Left] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def most_frequent(self) -> list[tuple[str, int]]:
        return sorted(self.tags.items(), key=lambda pair: (-pair[1], pair[0]))

    @property
    def as_json(self) -> Mapping[str, object]:
        """For programs."""
        return {
            "folder": str(self.folder), "model": self.model, "images": self.images, "written": self.written,
            "seconds": round(self.seconds, 3), "journal": self.journal,
            "device": self.ready.device if self.ready else None, "note": self.ready.note if self.ready else "",
            "left": [{"image": str(left.image), "why": left.why, "detail": left.detail} for left in self.left],
            "tags": dict(self.most_frequent),
        }  # fmt: skip
