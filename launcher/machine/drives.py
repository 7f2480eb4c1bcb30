"""What a folder lies on: asks the system, and writes one file that is gone at once."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from launcher.machine.folder import FolderFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path, PurePath

DRIVE_REMOTE = 4  # GetDriveTypeW
ONEDRIVE_VARIABLES = ("OneDrive", "OneDriveConsumer", "OneDriveCommercial")
FILE_SYSTEM_KEY = r"SYSTEM\CurrentControlSet\Control\FileSystem"


class Mount(NamedTuple):
    """A mounted drive, as psutil lists it."""

    mountpoint: str
    fstype: str
    opts: str


def look_at_folder(folder: Path) -> FolderFacts:
    """The facts about a folder (or about the nearest one above that exists). Never raises."""
    error, encoding = write_error(folder), sys.getfilesystemencoding()
    if sys.platform == "win32":
        is_network, file_system = _windows_drive(folder)
        return FolderFacts(
            os_name="windows", has_long_paths=has_long_paths(), cloud_roots=cloud_roots(os.environ),
            is_network=is_network, file_system=file_system, write_error=error, encoding=encoding,
        )  # fmt: skip
    mount = mount_of(folder, _mounts())
    return FolderFacts(
        os_name="macos" if sys.platform == "darwin" else "linux",
        file_system=mount.fstype.lower() if mount else "",
        is_noexec=mount is not None and "noexec" in mount.opts.split(","),
        write_error=error,
        encoding=encoding,
    )


def cloud_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The folders that OneDrive keeps, as it tells every program."""
    return tuple(dict.fromkeys(environ[name] for name in ONEDRIVE_VARIABLES if environ.get(name)))


def write_error(folder: Path) -> str:
    """Why no file can be made here, or nothing. Tried, not asked: Windows and root answer questions wrongly."""
    for place in (folder, *folder.parents):
        try:
            if not place.is_dir():
                continue
            with tempfile.TemporaryFile(dir=place, prefix=".launcher-"):
                return ""
        except OSError as error:
            return f"{place}: {error.strerror or error}"
    return f"{folder} is on no drive of this computer"


def mount_of(folder: PurePath, mounts: Iterable[Mount]) -> Mount | None:
    """The mounted drive that a folder lies on: the one with the longest path, of equals the last one mounted."""
    above = {str(place) for place in (folder, *folder.parents)}
    found: Mount | None = None
    for mount in mounts:
        if mount.mountpoint in above and (found is None or len(mount.mountpoint) >= len(found.mountpoint)):
            found = mount
    return found


def _mounts() -> list[Mount]:
    try:
        import psutil

        parts = psutil.disk_partitions(all=True)
    except (ImportError, OSError, RuntimeError):  # a sandbox may hide /proc
        return []
    return [Mount(part.mountpoint, part.fstype, part.opts) for part in parts]


def has_long_paths() -> bool:
    """Windows: may a path have more than 259 characters? Elsewhere always."""
    if sys.platform != "win32":
        return True
    import winreg

    with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, FILE_SYSTEM_KEY) as key:
        return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    return False


def _windows_drive(folder: Path) -> tuple[bool, str]:
    """Is it a network drive, and the file system's name in lower case."""
    if sys.platform != "win32":
        return False, ""
    import ctypes

    if folder.drive.startswith("\\\\"):
        return True, ""
    root = f"{folder.drive}\\"
    kernel = ctypes.windll.kernel32
    is_network = kernel.GetDriveTypeW(root) == DRIVE_REMOTE
    name = ctypes.create_unicode_buffer(64)
    has_name = kernel.GetVolumeInformationW(root, None, 0, None, None, None, name, 64)
    return is_network, name.value.lower() if has_name else ""
