"""Unpacking zip files of strangers: nothing leaves the folder, nothing surprises another system, nothing is half-done.

All names are judged before the first byte is written. What a name may be is the least that Linux, Windows and macOS
agree on: a zip that only one of them can unpack is refused on all.
"""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.files import replace, sync_tree
from launcher.install.part import disk_error

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')  # `:` is a drive letter or an NTFS stream
ENCRYPTED = 0x1  # flag bit of an entry
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """More than this no source archive has; a zip bomb has."""

    files: int = 20_000
    total_bytes: int = 512 << 20
    ratio: int = 250  # unpacked to packed, for files above `ratio_from` bytes (deflate's limit is 1032)
    ratio_from: int = 4 << 20
    name: int = 255  # of one part of a path
    path: int = 1024


LIMITS = Limits()


def unpack(archive: Path, folder: Path, *, without: Collection[str] = (), limits: Limits = LIMITS) -> None:
    """Unpack a zip file as `folder`, which must not exist. One top folder around all is left away (GitHub's zips).

    Args:
        archive: the zip file.
        folder: made when all is unpacked, not before.
        without: paths (behind the top folder) that are not written out.
        limits: see there.

    Raises:
        InstallError: it is damaged, dangerous or too large; nothing is left of it.
    """
    aside = folder.with_name(f".{folder.name}.unpacking")
    try:
        shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
        with zipfile.ZipFile(archive) as opened:
            plan = _plan(opened.infolist(), limits, archive)
            aside.mkdir(parents=True)
            for path, entry in plan:
                if path not in without:
                    _write(opened, entry, aside / path)
        sync_tree(aside)
        replace(aside, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(archive, str(error)) from error
    except OSError as error:
        raise disk_error(error, f"the content of {archive.name}", folder.parent) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _plan(
    entries: Sequence[zipfile.ZipInfo], limits: Limits, archive: Path
) -> list[tuple[str, zipfile.ZipInfo]]:
    """Which entry becomes which path; every reason to refuse is found here."""
    if len(entries) > limits.files:
        raise _refused(archive, f"it holds {len(entries)} files")
    if sum(entry.file_size for entry in entries) > limits.total_bytes:
        raise _refused(archive, f"it unpacks to more than {limits.total_bytes >> 20} MiB")
    files = []
    for entry in entries:
        if reason := _reason_against(entry, limits):
            raise _refused(archive, f"{entry.orig_filename!r} {reason}")
        if not entry.is_dir():
            files.append(entry)
    top = _top_folder([entry.filename for entry in files])
    plan = [(entry.filename.removeprefix(top), entry) for entry in files]
    if clash := _clash([path for path, _ in plan]):
        raise _refused(archive, f"`{clash}` is in it twice (some systems do not tell capital letters apart)")
    return plan


def _reason_against(entry: zipfile.ZipInfo, limits: Limits) -> str | None:
    name = entry.orig_filename  # zipfile itself cuts at NUL and turns backslashes on Windows
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    is_bomb = entry.file_size > limits.ratio_from and entry.file_size > limits.ratio * entry.compress_size
    reasons = {
        "leads out of its folder": name.startswith("/") or ".." in parts,
        "has a name that not every system can write": any(map(_is_odd, parts)) or len(name) > limits.path,
        "has too long a name": any(len(part.encode("utf-8", "replace")) > limits.name for part in parts),
        "is a link or a device": kind not in {0, stat.S_IFREG, stat.S_IFDIR},
        "is encrypted": bool(entry.flag_bits & ENCRYPTED),
        "is packed too tightly to be honest": is_bomb,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _is_odd(part: str) -> bool:
    """A name that Windows cannot write, or means something else by."""
    is_unwritable = part in {"", "."} or part.endswith((".", " ")) or part.startswith(" ")
    return is_unwritable or bool(FORBIDDEN.search(part) or RESERVED.match(part))


def _top_folder(names: list[str]) -> str:
    """`sd-scripts-0.10.1/` when everything lies in it, else nothing."""
    tops = {name.partition("/")[0] for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in names) else ""


def _clash(paths: list[str]) -> str | None:
    """A path that is in the list twice as some file system sees it, as file or as the folder of another."""
    seen: set[str] = set()
    folders: dict[str, str] = {}  # as seen -> as written
    for path in paths:
        key = _as_seen(path)
        if key in seen:
            return path
        seen.add(key)
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folders.setdefault(_as_seen(folder), folder) != folder:
                return folder
    return next((path for path in paths if _as_seen(path) in folders), None)


def _as_seen(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """One file. zipfile gives no more bytes than the entry's size, and checks its CRC at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, target.open("xb") as stream:
        shutil.copyfileobj(packed, stream, BLOCK_BYTES)


def _refused(archive: Path, reason: str) -> InstallError:
    return InstallError(
        f"{archive.name} is not unpacked.",
        why=f"It is not what a source archive looks like: {reason}.",
        fix="Get the zip file from its original place again.",
        where=str(archive),
    )


def _damaged(archive: Path, reason: str) -> InstallError:
    return InstallError(
        f"{archive.name} is damaged.",
        why=f"It cannot be unpacked: {reason}.",
        fix="Get the zip file from its original place again.",
        where=str(archive),
    )
