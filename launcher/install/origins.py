"""Where a trainer's code can come from: a repository, a zip on a server, or what the user has.

Each function writes the pinned files into `work/code` and nothing else. Whether they are the right ones is looked at
afterwards, in one place (`source`); what the user gave is read and never touched.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.errors import InstallError
from launcher.install import git_tree
from launcher.install.archive import unpack
from launcher.install.fetch import Remote, fetch
from launcher.install.git import Git
from launcher.install.secret import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.fetch import Patience
    from launcher.install.index import PipSettings
    from launcher.install.pins import SourcePin
    from launcher.install.steps import Tell

JUNK = (  # what stands in people's folders and in no source tree
    "venv", ".venv", "*.egg-info", "*.pyc", ".DS_Store", "Thumbs.db", "desktop.ini", ".pytest_cache", ".mypy_cache",
    ".ruff_cache", ".idea", ".vscode", "logs", "*.safetensors", "*.ckpt",
)  # fmt: skip
MOST_BYTES = 512 << 20  # of a folder without a list of its files: more is no source code
MOST_NAMED = 12  # files in a message
SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)")  # git@host:path
ZIP_WAYS = ("/zip/", "/archive/", "/zipball/")


class ChangedSourceError(InstallError):
    """The trainer's code was changed by somebody; nothing was overwritten."""

    def __init__(
        self, what: str, changes: list[str], *, why: str = "", fix: str = "", where: str = ""
    ) -> None:
        super().__init__(what, why=why or in_words(changes), fix=fix, where=where)
        self.changes = tuple(changes)


def in_words(changes: list[str]) -> str:
    """The list of changes, as long as one can read it."""
    more = len(changes) - MOST_NAMED
    return ", ".join(changes[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What every way of fetching needs."""

    pin: SourcePin
    commands: Commands
    settings: PipSettings
    git: Git | str  # or why there is none
    work: Path  # scratch folder; the files go to `code` in it
    tell: Tell
    patience: Patience | None

    @property
    def code(self) -> Path:
        return self.work / "code"


def by_git(errand: Errand, url: str) -> None:
    if isinstance(errand.git, str):
        reason = f"{errand.git[0].upper()}{errand.git[1:]}."
        raise InstallError("git is needed for this.", why=reason, fix="Install git, or give a zip file.")
    errand.tell(f"Fetching the trainer's code from {redact(url)}")
    packed = errand.git.fetch(url, errand.pin, errand.work, errand.tell)
    unpack(packed, errand.code, without=errand.pin.omitted)


def by_zip(errand: Errand, url: str) -> None:
    keep = errand.work.parent  # outside of the scratch folder: what has come outlives a kill
    remote = Remote(url=url, name=f"{errand.pin.commit}.zip")
    packed = fetch(
        remote,
        keep,
        settings=errand.settings,
        tell=errand.tell,
        log=errand.commands.log,
        patience=errand.patience,
    )
    try:
        unpack(packed, errand.code, without=errand.pin.omitted)
    finally:
        if packed.parent == keep:  # not one of the user's
            packed.unlink(missing_ok=True)


def by_address(errand: Errand, url: str) -> None:
    """From a mirror: what its address looks like decides; where it says nothing, git first."""
    parts = urlsplit(url)
    is_zip = parts.path.endswith(".zip") or any(way in parts.path for way in ZIP_WAYS)
    is_git = bool(SCP.match(url)) or parts.scheme not in {"http", "https"} or parts.path.endswith(".git")
    ways: dict[str, Callable[[], None]] = {}
    if is_git or not is_zip:
        ways["by git"] = lambda: by_git(errand, url)
    if not is_git:
        ways["as a zip file"] = lambda: by_zip(errand, url)
    one_after_another(errand, ways, fix="Check the address, or give a folder or a zip file that you have.")


def one_after_another(errand: Errand, ways: Mapping[str, Callable[[], None]], *, fix: str) -> None:
    """The first way that leads there.

    Raises:
        InstallError: none does; every reason is told.
    """
    reasons: dict[str, InstallError] = {}
    for title, way in ways.items():
        if reasons:
            errand.tell(f"That did not work; trying {title}", keep=True)
        try:
            way()
        except InstallError as error:
            reasons[title] = error
            remove_tree(errand.code)
        else:
            return
    if len(reasons) == 1:
        raise next(iter(reasons.values()))
    said = "\n".join(f"{title}: {error.what} {error.why}".strip() for title, error in reasons.items())
    last = list(reasons.values())[-1]
    raise InstallError("The trainer's code could not be fetched.", why=said, fix=fix, where=last.where)


def from_folder(errand: Errand, folder: Path) -> None:
    """From a checkout or an unpacked zip of the user's, without his own files; his changes are refused.

    Raises:
        ChangedSourceError: with the list.
        InstallError: it is something else, or stands at another commit.
    """
    pin, git, tell = errand.pin, errand.git, errand.tell
    tell(f"Copying the trainer's code from {folder}")
    listing = git_tree.listing_of(folder, pin)
    if listing is not None:
        _copy_listed(folder, listing, pin, errand.code, tell)
        return
    objects = git_tree.objects_of(folder)
    if objects is not None:
        packed = git.take(objects, pin, errand.work) if isinstance(git, Git) else None
        if packed is None:
            raise InstallError(
                "The folder stands at another version of the trainer.",
                why=f"Wanted is commit {pin.commit} ({pin.ref}).",
                fix=f"Go there in that folder (git fetch, then git checkout {pin.commit}), or give another source.",
                where=str(folder),
            )
        tell(
            "The folder is not at the pinned commit: that one is taken from its history, without any changes in the folder",
            keep=True,
        )
        unpack(packed, errand.code, without=pin.omitted)
        return
    _copy_unlisted(_unwrap(folder, pin), pin, errand.code)


def _copy_listed(folder: Path, listing: Mapping[str, str], pin: SourcePin, code: Path, tell: Tell) -> None:
    """Exactly the files of the commit: what else stands in the folder is the user's and stays there."""
    plain = {name: folder / name for name in listing if not _is_behind_link(folder, name)}
    found = {name: git_tree.blob_id(path) for name, path in plain.items() if path.is_file()}
    changes = git_tree.compare(found, listing, pin, extra=False)
    windows = {
        name for name in listing
        if f"changed {name}" in changes and git_tree.has_windows_ends(folder / name, listing[name])
    }  # fmt: skip
    if real := [words for words in changes if words.partition(" ")[2] not in windows]:
        raise ChangedSourceError(
            "The trainer's code in your folder was changed.", real,
            fix="Keep your changes elsewhere (git stash in that folder), or give another source. The folder was not touched.",
            where=str(folder),
        )  # fmt: skip
    if windows:
        words = f"Line ends of {len(windows)} files were changed by git's autocrlf: the copy gets the original ones"
        tell(words, keep=True)
    for name in found:
        if name not in pin.omitted:
            target = code / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in windows:
                target.write_bytes((folder / name).read_bytes().replace(b"\r\n", b"\n"))
            else:
                shutil.copyfile(folder / name, target)


def _is_behind_link(folder: Path, name: str) -> bool:
    """Would reading it leave the folder?"""
    path = folder
    for part in name.split("/"):
        path /= part
        if path.exists() and git_tree.is_link(path):
            return True
    return False


def _unwrap(folder: Path, pin: SourcePin) -> Path:
    """Unpackers often put the zip's own top folder into one of the zip's name."""
    inside = [entry for entry in folder.iterdir() if entry.name not in JUNK]
    is_wrapped = len(inside) == 1 and (inside[0] / pin.script).is_file()
    return inside[0] if is_wrapped else folder


def _copy_unlisted(folder: Path, pin: SourcePin, code: Path) -> None:
    """A folder that does not say which of its files are the trainer's: all but the usual strangers."""
    if not (folder / pin.script).is_file():
        raise InstallError(
            "The folder does not hold the trainer's code.", why=f"{pin.script} is not in it.",
            fix="Give the folder that has it, or a zip file as GitHub makes them.", where=str(folder),
        )  # fmt: skip
    size = 0
    for name, path in git_tree.files_in(folder, besides=JUNK):
        status = path.lstat()
        size += status.st_size
        if not stat.S_ISREG(status.st_mode) or git_tree.is_link(path) or size > MOST_BYTES:
            reason = "is a link or a device" if size <= MOST_BYTES else "makes it larger than any source code"
            raise InstallError(
                "The folder does not hold the trainer's code alone.", why=f"{name} {reason}.",
                fix="Give a fresh copy of the trainer's code: a zip file as GitHub makes them.", where=str(folder),
            )  # fmt: skip
        if name not in pin.omitted:
            target = code / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours with all in it; git makes its files read-only, which Windows takes seriously."""
    if os.name == "nt":
        for path in folder.rglob("*"):
            path.chmod(stat.S_IWRITE)
    shutil.rmtree(folder, ignore_errors=True)
