"""What git would call a folder: the hash of its tree, computed without git.

The same tree has the same hash however it came (clone, zip, copy), on every system.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.files import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from launcher.install.pins import SourcePin

IGNORED = frozenset({".git", "__pycache__"})  # git's own, and what Python writes beside every module
NO_FILE = "not a plain file"  # stands for the blob id of links and devices: no tree of ours has any
INDEX_FILE_BYTES = 64 << 20
INDEX_ENTRY = 62  # bytes before the path (gitformat-index, versions 2 and 3)


def blob_id(path: Path, *, unix_line_ends: bool = False) -> str:
    """Git's id of a file's bytes; with `unix_line_ends` as if each CR LF were a LF. Memory: one block, else the file."""
    digest = hashlib.sha1(usedforsecurity=False)
    if unix_line_ends:
        data = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(b"blob %d\0" % len(data) + data)
        return digest.hexdigest()
    with path.open("rb") as stream:
        digest.update(b"blob %d\0" % os.fstat(stream.fileno()).st_size)
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def files_in(folder: Path, besides: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    """Every file below a folder, with its path in it (`a/b.py`). Links to folders are not followed.

    `besides` are patterns of further names to pass over, at any depth.
    """
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name in IGNORED or any(fnmatch(entry.name, pattern) for pattern in besides):
            continue
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False) and not is_link(path):
            yield from ((f"{entry.name}/{name}", below) for name, below in files_in(path, besides))
        else:
            yield entry.name, path


def is_link(path: Path) -> bool:
    """A symbolic link, or a junction of Windows. (Files that OneDrive keeps elsewhere are none.)"""
    status = path.lstat()
    junction = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)
    return stat.S_ISLNK(status.st_mode) or (
        junction is not None and getattr(status, "st_reparse_tag", 0) == junction
    )


def blobs_in(folder: Path) -> dict[str, str]:
    """Paths and blob ids of all files below a folder; links and devices have `NO_FILE` instead."""
    return {
        name: blob_id(path) if stat.S_ISREG(path.lstat().st_mode) else NO_FILE
        for name, path in files_in(folder)
    }


def tree_id(blobs: Mapping[str, str], executables: tuple[str, ...]) -> str:
    """Git's id of a tree, from the paths and blob ids of its files."""
    entries: dict[str, tuple[bytes, bytes]] = {}  # by name: mode and id
    below: dict[str, dict[str, str]] = {}
    for name, blob in blobs.items():
        top, slash, rest = name.partition("/")
        if slash:
            below.setdefault(top, {})[rest] = blob
        else:
            entries[top] = (b"100755" if name in executables else b"100644", bytes.fromhex(blob))
    for top, inside in below.items():
        runnable = tuple(name.partition("/")[2] for name in executables if name.startswith(f"{top}/"))
        entries[top] = (b"40000", bytes.fromhex(tree_id(inside, runnable)))
    ordered = sorted(
        ((os.fsencode(name), mode, raw) for name, (mode, raw) in entries.items()),
        key=lambda entry: entry[0] + b"/" if entry[1] == b"40000" else entry[0],  # git's order
    )
    body = b"".join(mode + b" " + name + b"\0" + raw for name, mode, raw in ordered)
    return hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def tree_of(folder: Path, pin: SourcePin) -> str:
    """Git's hash of what lies in a folder. Files that may be absent count as if they were there.

    Raises:
        InstallError: a link or device is in it.
    """
    blobs = blobs_in(folder)
    odd = next((name for name, blob in blobs.items() if blob == NO_FILE), None)
    if odd is not None:
        raise InstallError(
            f"{odd} is no plain file but a link: the trainer's code has none.", where=str(folder / odd)
        )
    return tree_id({**pin.omitted, **blobs}, pin.executables)


def compare(
    found: Mapping[str, str], wanted: Mapping[str, str], pin: SourcePin, *, extra: bool = True
) -> list[str]:
    """What differs: `changed a.py`, `missing b.py`, and with `extra` also `added c.py`."""
    words = []
    for name in sorted({*found, *wanted}):
        here, there = found.get(name), wanted.get(name, pin.omitted.get(name))
        if here == there or (here is None and name in pin.omitted):
            continue
        if there is None:
            words += [f"added {name}"] if extra else []
        else:
            words.append(f"{'missing' if here is None else 'changed'} {name}")
    return words


def has_windows_ends(path: Path, wanted: str | None) -> bool:
    """Is a file the wanted one but for CR LF in place of LF? So git writes on Windows (`core.autocrlf`)."""
    return path.is_file() and blob_id(path, unix_line_ends=True) == wanted


def only_line_ends(folder: Path, wanted: Mapping[str, str], changes: Iterable[str]) -> bool:
    """Are these changes (as `compare` words them) all of that one kind?"""
    names = [words.removeprefix("changed ") for words in changes]
    return bool(names) and all(has_windows_ends(folder / name, wanted.get(name)) for name in names)


def listing_of(checkout: Path, pin: SourcePin) -> dict[str, str] | None:
    """Paths and blob ids of the pinned tree, from a checkout's own index; None when it stands at another commit.

    Read without git: it may not be installed, and a checkout's configuration can name programs to run.
    """
    try:
        index = _git_folder(checkout) / "index"
        if index.stat().st_size > INDEX_FILE_BYTES:
            return None
        blobs = _parse_index(index.read_bytes())
        return blobs if tree_id(blobs, pin.executables) == pin.tree else None
    except (OSError, ValueError, struct.error):
        return None


def _git_folder(checkout: Path) -> Path:
    """`.git`, or where the file of that name points to (worktrees, submodules)."""
    place = checkout / ".git"
    if place.is_file():
        return checkout / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    return place


def objects_of(checkout: Path) -> Path | None:
    """Where a checkout (or a bare repository) keeps its objects."""
    try:
        folder = _git_folder(checkout)
        common = folder / "commondir"
        if common.is_file():
            folder /= common.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    places = (folder / "objects", checkout / "objects")
    return next((place.resolve() for place in places if (place / "pack").is_dir()), None)


def _parse_index(raw: bytes) -> dict[str, str]:
    """Paths and blob ids of an index file, versions 2 and 3 (others: ValueError)."""
    magic, version, count = struct.unpack(">4sII", raw[:12])
    if magic != b"DIRC" or version not in {2, 3}:
        raise ValueError("an index of another kind")
    blobs: dict[str, str] = {}
    at = 12
    for _ in range(count):
        flags = struct.unpack(">H", raw[at + 60 : at + 62])[0]
        if flags & 0x3000:
            raise ValueError("a merge is going on")
        start = at + INDEX_ENTRY + (2 if flags & 0x4000 else 0)
        end = raw.index(b"\0", start)
        blobs[os.fsdecode(raw[start:end])] = raw[at + 40 : at + 60].hex()
        at += (end - at + 8) // 8 * 8  # padded with at least one NUL to a multiple of eight
    return blobs
