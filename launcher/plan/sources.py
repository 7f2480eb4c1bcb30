"""What somebody named with `--data` and `--reg`: folders, each perhaps with its repeats, or one dataset file."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.plan.document import is_document, read_document_file, survey_document
from launcher.plan.folders import ImageFolder, Survey, at_home, is_there, survey

if TYPE_CHECKING:
    from launcher.plan.records import Request
    from launcher.preset import Settings

REPEATS = re.compile(r"(?s)(.+)=(\d{1,4})")  # DIR=10
MOST_FOLDERS = 200
COMMON_NAMES = frozenset({"dataset", "config", "dataset_config"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One word of the command line."""

    path: Path
    repeats: int | None = None
    is_reg: bool = False

    @property
    def title(self) -> str:
        """What a run on it may be called: the folder's name; of a dataset file its own, or its folder's."""
        if not is_document(self.path):
            return self.path.name
        return self.path.parent.name if self.path.stem.lower() in COMMON_NAMES else self.path.stem


def find_sources(request: Request, own: Settings) -> tuple[Source, ...]:
    """The sources of a run, from the request, else from the user's settings; training images first.

    Raises:
        UsageError: there are none, a path cannot be used, or a dataset file stands beside other sources.
    """
    default = own.defaults.get("data")
    named: object = request.data if request.data is not None else default.value if default else None
    words = [str(word) for word in named] if isinstance(named, (tuple, list)) else [str(named or "")]
    if not any(words):
        raise UsageError("there is nothing to train on", fix="name the folder with your images: --data DIR")
    sources = [read_source(word, "--data") for word in words if word]
    sources += [replace(read_source(word, "--reg"), is_reg=True) for word in request.reg]
    documents = [source for source in sources if is_document(source.path)]
    if documents and len(sources) > 1:
        raise UsageError(
            f"{documents[0].path.name} is a dataset file: it cannot stand beside other folders",
            fix="write all folders into it, or name only folders",
        )
    if len(sources) > MOST_FOLDERS:
        raise UsageError(f"{len(sources)} folders are named", fix=f"name at most {MOST_FOLDERS}")
    return tuple(sources)


def read_source(word: str, flag: str) -> Source:
    """`DIR` or `DIR=REPEATS`; a folder whose own name ends like that is taken as it is."""
    word = word.strip(
        '"'
    )  # "C:\images\" on Windows: the last quote was meant, and taken, as part of the path
    match = REPEATS.fullmatch(word)
    if not match or is_there(absolute(word, flag)):
        return Source(path=absolute(word, flag))
    if int(match[2]) < 1:
        raise UsageError(f"{flag} {word}: an image is shown at least once", fix=f"write {match[1]}=1 or more")
    return Source(path=absolute(match[1], flag), repeats=int(match[2]))


def absolute(value: object, flag: str) -> Path:
    """An absolute path without `..`; links stay as they are, as the user knows them.

    Raises:
        UsageError: the path has characters that no file of ours can hold.
    """
    text = str(value)
    is_plain = text.isprintable() or not any(unicodedata.category(char) in {"Cc", "Cs"} for char in text)
    if not is_plain:
        raise UsageError(
            f"{flag}: this path has characters that cannot be written down", fix="rename the folder"
        )
    return Path(os.path.abspath(at_home(text)))  # noqa: PTH100  (resolve() would follow links)


def survey_sources(sources: tuple[Source, ...], trainer: str) -> Survey:
    """Look at all of them. Folders never raise: what is wrong with them is for the preflight to tell.

    Raises:
        InputError: a dataset file cannot be read, or upstream would refuse it; every problem has its line.
    """
    first = sources[0]
    if is_document(first.path):
        return replace(survey_document(read_document_file(first.path, trainer)), trainer=trainer)
    surveys = [_survey(source) for source in sources]
    folders, notes = _once([folder for found in surveys for folder in found.folders])
    return Survey(
        root=first.path,
        folders=tuple(sorted(folders, key=lambda folder: folder.is_reg)),  # stable: the order is kept
        passed_over=tuple(name for found in surveys for name in found.passed_over),
        notes=(*(note for found in surveys for note in found.notes), *notes),
        trainer=trainer,
    )


def _survey(source: Source) -> Survey:
    """Said repeats hold for every folder that has none in its name, and for a folder that was named itself."""
    found = survey(source.path, is_reg=source.is_reg)
    if source.repeats is None:
        return found
    folders = tuple(
        replace(folder, said_repeats=source.repeats)
        if folder.repeats is None or folder.path == source.path
        else folder
        for folder in found.folders
    )
    return replace(found, folders=folders)


def _once(folders: list[ImageFolder]) -> tuple[list[ImageFolder], list[str]]:
    """Upstream drops a folder that stands twice in a dataset, the second one; here with a note."""
    kept: dict[str, ImageFolder] = {}
    notes = []
    for folder in folders:
        place = os.path.normcase(folder.path)
        if place in kept:
            notes.append(f"{folder.path.name} is named twice: the first one counts.")
        kept.setdefault(place, folder)
    return list(kept.values()), notes
