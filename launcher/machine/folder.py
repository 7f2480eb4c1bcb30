"""Is this a good folder to install into? Judged from facts, so that Windows' troubles are tested on every system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePath

LONGEST_PREFIX = (
    88  # characters that the longest file of a set leaves for `...\site-packages\` (install facts, section 5)
)
INNER = r"\vendor\sd-scripts-fp8\10\venv\Lib\site-packages" + "\\"  # between this folder and that file
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "webdav", "davfs", "fuse.sshfs", "fuse.rclone", "fuse.gvfsd-fuse", "afs", "ceph", "glusterfs", "fuse.glusterfs"})  # fmt: skip
FROM_WINDOWS = frozenset({"9p", "drvfs", "v9fs"})  # how WSL shows C:
NO_HARD_LINKS = frozenset({"exfat", "vfat", "msdos", "fat", "fat32"})
SMALL_FILES = frozenset({"vfat", "msdos", "fat", "fat32"})  # below 4 GiB each
UNPACKERS = re.compile(r"\\temp\\[^\\]*(\.zip|7zo|rar\$|_zip)", re.IGNORECASE)  # Explorer, 7-Zip, WinRAR
CLOUDS = ("OneDrive", "Dropbox", "Google Drive", "iCloudDrive")
HERE = "this folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFacts:
    """What the system tells of a folder; `look_at_folder` asks it."""

    os_name: str  # windows, macos, linux
    has_long_paths: bool = True  # Windows: may paths have more than 259 characters?
    cloud_roots: tuple[str, ...] = ()  # folders that OneDrive keeps, from the environment
    is_network: bool = False
    file_system: str = ""  # in lower case; empty: not known
    write_error: str = ""  # why nothing can be written here; empty: it can
    is_noexec: bool = False  # Linux: programs and libraries must not be loaded from this drive
    encoding: str = "utf-8"  # of file names


def examine_folder(folder: PurePath | str, facts: FolderFacts | None = None) -> list[Problem]:
    """What speaks against installing here. Blanks and other languages in the path do not.

    Args:
        folder: absolute; need not exist.
        facts: None: ask this system.
    """
    if facts is None:
        from pathlib import Path

        from launcher.machine.drives import look_at_folder

        facts = look_at_folder(Path(folder))
    path = str(folder)
    problems = [*_drive(facts)]
    problems += _windows(path, facts) if facts.os_name == "windows" else _posix(path, facts)
    return problems


def _windows(path: str, facts: FolderFacts) -> Iterator[Problem]:
    path = path.replace("/", "\\").rstrip("\\")
    if UNPACKERS.search(path + "\\"):
        yield Problem(
            severity=Severity.ERROR, what="this was started from inside a ZIP file",
            why="Windows unpacked a part of it into a temporary folder and will delete that.",
            fix="right-click the ZIP file, choose `Extract All...`, and start `setup_env.py` from the folder that comes out",
        )  # fmt: skip
        return  # whatever else is wrong there, nobody will stay
    longest = LONGEST_PREFIX - len(INNER)
    if len(path) > longest and not facts.has_long_paths:
        yield Problem(
            severity=Severity.WARNING, what=f"this path has {len(path)} characters; more than {longest} are too many for Windows' old limit",
            why="Some files of a training environment have long names of their own: 260 characters are all that Windows allows.",
            fix=r"move the folder to something like C:\lora",
        )  # fmt: skip
    cloud = _cloud(path, facts.cloud_roots)
    if cloud:
        yield Problem(
            severity=Severity.WARNING, what=f"{cloud} keeps a copy of {HERE} in the cloud",
            why="It would upload gigabytes, and it holds files while they are being installed.",
            fix=r"move the folder out of it, to something like C:\lora",
        )  # fmt: skip
    if not path.isascii():
        yield Problem(
            severity=Severity.NOTE, what="the path has letters beyond English",
            why="The launcher and the trainers take them; a few Windows programs that read images or models do not.",
        )  # fmt: skip
    if ";" in path:
        yield _separator(";")


def _posix(path: str, facts: FolderFacts) -> Iterator[Problem]:
    if facts.file_system in NO_HARD_LINKS:
        yield Problem(
            severity=Severity.ERROR, what=f"this drive ({facts.file_system}) cannot hold an environment",
            why="An environment needs symbolic links, and this file system has none.",
            fix="move the folder to a drive of the system's own kind (ext4, btrfs, APFS)",
        )  # fmt: skip
    cloud = _cloud(path, facts.cloud_roots)
    if cloud and facts.os_name == "macos":
        yield Problem(
            severity=Severity.WARNING, what=f"{cloud} keeps a copy of {HERE} in the cloud",
            why="It would upload gigabytes.", fix="move the folder out of it",
        )  # fmt: skip
    if not path.isascii() and facts.encoding.lower().replace("-", "") != "utf8":
        yield Problem(
            severity=Severity.WARNING, what=f"the path has letters that this session's file names ({facts.encoding}) do not",
            fix="set LANG=C.UTF-8 (or another UTF-8 locale), then start again",
        )  # fmt: skip
    if facts.is_noexec:
        yield Problem(
            severity=Severity.ERROR, what="this drive is mounted with `noexec`",
            why="Nothing that is installed here could be loaded.", fix="move the folder to another drive",
        )  # fmt: skip
    if ":" in path:
        yield _separator(":")


def _separator(sign: str) -> Problem:
    return Problem(
        severity=Severity.WARNING, what=f"the path holds a `{sign}`, which separates folders in lists of paths",
        fix="give the folder another name",
    )  # fmt: skip


def _drive(facts: FolderFacts) -> Iterator[Problem]:
    if facts.write_error:
        yield Problem(
            severity=Severity.ERROR, what="nothing can be written here", why=facts.write_error,
            fix="move the folder to one of your own, for example into your home folder",
        )  # fmt: skip
    if facts.is_network or facts.file_system in NETWORK:
        kind = f" ({facts.file_system})" if facts.file_system else ""
        yield Problem(
            severity=Severity.WARNING, what=f"{HERE} lies on a network drive{kind}",
            why="An environment has tens of thousands of small files: installing and starting take minutes there, and a lost connection ends a training.",
            fix="move the folder to a drive of this computer; images and models may stay where they are",
        )  # fmt: skip
    if facts.file_system in FROM_WINDOWS:
        yield Problem(
            severity=Severity.WARNING, what=f"{HERE} lies on a Windows drive, seen from Linux",
            why="Every file is fetched through a slow door.", fix="move the folder into Linux' own files, for example into your home folder",
        )  # fmt: skip
    if facts.file_system in NO_HARD_LINKS and facts.os_name == "windows":
        small = " and no files above 4 GB" if facts.file_system in SMALL_FILES else ""
        yield Problem(
            severity=Severity.WARNING if small else Severity.NOTE, what=f"this drive ({facts.file_system}) knows no hard links{small}",
            why="Files are copied instead: installing is slower and needs more room.",
        )  # fmt: skip


def _cloud(path: str, roots: tuple[str, ...]) -> str:
    """The cloud service that keeps this folder, by the folders it names or by its name in the path."""
    lowered = path.lower().replace("/", "\\") + "\\"
    if any(
        root and lowered.startswith(root.lower().replace("/", "\\").rstrip("\\") + "\\") for root in roots
    ):
        return "OneDrive"
    for cloud in CLOUDS:
        if re.search(rf"\\{re.escape(cloud.lower())}( - [^\\]*|-[^\\]*)?\\", lowered):
            return cloud
    return "iCloud" if "\\library\\mobile documents\\" in lowered else ""
