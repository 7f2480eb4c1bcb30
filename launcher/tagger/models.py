"""Which tagger: one of the shipped table, one of the hub, or a folder of the user's. Held to checksums before each use."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError, UsageError
from launcher.files import read_json, sha256_of, write_json
from launcher.install.pins import loads
from launcher.tagger.worker.labels import FIX, LabelError, files_of, read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.paths import Paths

TABLE = "taggers.toml"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}((?:/[A-Za-z0-9][\w.-]{0,95})*)", re.ASCII)  # fmt: skip
PINNED, HUB, OWN = "pinned", "hub", "own folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of a model as it must be."""

    name: str
    size: int
    sha256: str | None = None
    git_blob: str | None = None  # for small files the hub names git's own hash instead


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One tagger and where it lies or will lie. `files` is empty while nobody knows what they must be."""

    name: str
    origin: str  # PINNED, HUB or OWN
    folder: Path
    title: str = ""
    repository: str = ""
    inside: str = ""  # folder in the repository
    revision: str = ""
    files: tuple[File, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the download; 0 while nobody knows."""
        return sum(file.size for file in self.files)


def table(paths: Paths) -> dict[str, Any]:
    """`vendor/taggers.toml`.

    Raises:
        InstallError: it is missing or damaged.
    """
    path = paths.pins / TABLE
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InstallError(
            "The table of taggers cannot be read.",
            why=str(error),
            fix="Get the shipped file back.",
            where=str(path),
        ) from error


def known(paths: Paths) -> dict[str, Model]:
    """The shipped table as models."""
    return {name: _pinned(paths, name, words) for name, words in table(paths)["models"].items()}


def default_name(paths: Paths) -> str:
    return str(table(paths)["default"])


def _pinned(paths: Paths, name: str, words: Mapping[str, Any]) -> Model:
    return Model(
        name=name, origin=PINNED, folder=paths.tagger / "models" / name, title=str(words["title"]),
        repository=str(words["repository"]), revision=str(words["revision"]),
        files=tuple(File(name=file, size=int(it["size"]), sha256=str(it["sha256"])) for file, it in words["files"].items()),
    )  # fmt: skip


def find(paths: Paths, word: str) -> Model:
    """The model that a word means: a name of the table, a folder, or `OWNER/NAME[/FOLDER]` of the hub.

    Raises:
        UsageError: it is none of these.
        InputError: it is a folder without a tagger.
    """
    shipped = known(paths)
    if word in shipped:
        return shipped[word]
    by_repository = {model.repository: model for model in shipped.values()}
    if word in by_repository:
        return by_repository[word]
    place = Path(word).expanduser()
    if place.is_dir():
        return _own(place.resolve())
    match = REPOSITORY.fullmatch(word)
    if match and ".." not in word:
        return _remembered(paths, word, match[1].strip("/"))
    near = get_close_matches(word, shipped, n=1)
    hint = f"Perhaps you meant {near[0]}. " if near else ""
    raise UsageError(
        f"There is no tagger `{word}`.",
        fix=f"{hint}Known: {', '.join(shipped)}. Or name a folder, or OWNER/NAME of the hub.",
    )


def _own(folder: Path) -> Model:
    try:
        read_labels(folder)
    except LabelError as error:
        raise InputError(
            f"There is no usable tagger in this folder: {error}.", fix=FIX, where=str(folder)
        ) from error
    return Model(name=folder.name, origin=OWN, folder=folder)


# --- what was seen of models that the table does not know


def _notes_file(paths: Paths) -> Path:
    return paths.tagger_notes / "models.json"


def _notes(paths: Paths) -> dict[str, Any]:
    try:
        found = read_json(_notes_file(paths)) if _notes_file(paths).exists() else {}
    except InputError as error:
        raise InputError(
            "The checksums of taggers from the hub cannot be read.", why=error.why,
            fix="Delete this file: the hub is asked again.", where=str(_notes_file(paths)),
        ) from error  # fmt: skip
    return found if isinstance(found, dict) else {}


def _remembered(paths: Paths, word: str, inside: str) -> Model:
    folder = paths.tagger / "models" / word.replace("/", "_")
    repository = word.removesuffix(f"/{inside}") if inside else word
    note = _notes(paths).get(word)
    model = Model(name=word, origin=HUB, folder=folder, repository=repository, inside=inside)
    if not isinstance(note, dict):
        return model
    try:
        files = tuple(
            File(name=str(name), size=int(it["size"]), sha256=str(it["sha256"]))
            for name, it in note["files"].items()
        )
        revision = str(note["revision"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return model
    return Model(
        name=word, origin=HUB, folder=folder, repository=repository, inside=inside, revision=revision, files=files
    )  # fmt: skip


def remember(paths: Paths, model: Model, files: Sequence[Path]) -> None:
    """Write down the checksums of files, for all later uses."""
    notes = _notes(paths)
    notes[model.name if model.origin == HUB else str(model.folder)] = {
        "revision": model.revision, "t": round(time.time(), 3),
        "files": {file.name: {"size": file.stat().st_size, "sha256": sha256_of(file)} for file in files},
    }  # fmt: skip
    _notes_file(paths).parent.mkdir(parents=True, exist_ok=True)
    write_json(_notes_file(paths), notes)


# --- before each use


def missing(model: Model) -> str | None:
    """Why the model's files must be brought, or None. Reads all of them: a checksum is no date."""
    if model.origin == OWN:
        return None
    if not model.files:
        return "it was never used here"
    for file in model.files:
        path = model.folder / file.name
        if not path.is_file():
            return f"{file.name} is not here"
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            return f"{file.name} is not the file that it should be"
    return None


def vouch(paths: Paths, model: Model) -> str:
    """One sentence for the user: what the checksums of this model are worth.

    Raises:
        InputError: a note of the launcher's own is damaged.
    """
    if model.origin == PINNED:
        return "its checksums are those that are shipped with the launcher"
    if model.origin == HUB:
        return "its checksums came from the hub itself when it was first used, and are held since: the launcher ships none for it"
    return _vouch_own(paths, model)


def _vouch_own(paths: Paths, model: Model) -> str:
    files = files_of(model.folder)
    digests = {file.name: sha256_of(file) for file in files}
    for other in known(paths).values():
        if {file.name: file.sha256 for file in other.files} == digests:
            return f"its files are those of {other.name}"
    note = _notes(paths).get(str(model.folder))
    before = (
        {name: it.get("sha256") for name, it in note.get("files", {}).items()}
        if isinstance(note, dict)
        else None
    )
    if before == digests:
        return "nobody vouches for it; its files are the same as when it was first used"
    remember(paths, model, files)
    if before is None:
        return "nobody vouches for it: it is your own folder. Its checksums are remembered from now on"
    return "nobody vouches for it, and ITS FILES HAVE CHANGED since it was last used"
