"""Writes and reads Windows shortcuts (.lnk), as the published [MS-SHLLINK] describes them; pure bytes, any system.

Only what a shortcut to a local program needs: target, arguments, folder, icon, description. The target is given
twice, as an item list (what the shell resolves) and as a plain path (what it falls back to).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

CLASS = UUID("00021401-0000-0000-c000-000000000046").bytes_le
MY_COMPUTER = UUID("20d04fe0-3aea-1069-a2d8-08002b30309d").bytes_le
HEADER = struct.Struct("<I16sIIQQQIIIHHII")
HEADER_SIZE = 76
HAS_ITEMS, HAS_LINK_INFO, HAS_NAME, HAS_RELATIVE, HAS_FOLDER, HAS_ARGUMENTS, HAS_ICON = (
    1 << bit for bit in range(7)
)
IS_UNICODE, HAS_PATH_BLOCK = 1 << 7, 1 << 9
ARCHIVE, DIRECTORY = 0x20, 0x10  # file attributes
SHOW_NORMAL = 1
PATH_BLOCK, PATH_BLOCK_SIZE, PATH_ROOM = 0xA0000001, 0x314, 260
LONGEST_NAME = 255
MOST_ITEMS = 0xFFF0  # bytes; the list's length is a 16-bit number


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What a shortcut does. Paths are absolute Windows paths."""

    target: str
    arguments: str = ""
    folder: str = ""
    icon: str = ""
    description: str = ""


def write_link(link: Link) -> bytes:
    """The bytes of the .lnk file."""
    items = _items(link.target)
    has_block = _units(link.target) < PATH_ROOM
    flags = IS_UNICODE | (HAS_ITEMS if items else 0) | (HAS_PATH_BLOCK if has_block else 0)
    strings = b""
    for flag, text in (
        (HAS_NAME, link.description), (HAS_FOLDER, link.folder), (HAS_ARGUMENTS, link.arguments), (HAS_ICON, link.icon),
    ):  # fmt: skip
        if text:
            flags |= flag
            strings += struct.pack("<H", _units(text)) + text.encode("utf-16-le", "surrogatepass")
    header = HEADER.pack(HEADER_SIZE, CLASS, flags, ARCHIVE, 0, 0, 0, 0, 0, SHOW_NORMAL, 0, 0, 0, 0)
    listed = struct.pack("<H", len(items) + 2) + items + b"\0\0" if items else b""
    return header + listed + strings + (_path_block(link.target) if has_block else b"") + b"\0\0\0\0"


def read_link(raw: bytes) -> Link | None:
    """What a .lnk file says; None for what is none. The target comes from its plain path: others may lack it."""
    try:
        return _read(raw)
    except (struct.error, UnicodeDecodeError, IndexError):
        return None


def _read(raw: bytes) -> Link | None:
    fields = HEADER.unpack_from(raw)
    if fields[0] != HEADER_SIZE or fields[1] != CLASS or not fields[2] & IS_UNICODE:
        return None
    flags, place = fields[2], HEADER_SIZE
    if flags & HAS_ITEMS:
        place += 2 + struct.unpack_from("<H", raw, place)[0]
    if flags & HAS_LINK_INFO:
        place += struct.unpack_from("<I", raw, place)[0]
    found = {}
    for flag in (HAS_NAME, HAS_RELATIVE, HAS_FOLDER, HAS_ARGUMENTS, HAS_ICON):
        if flags & flag:
            (units,) = struct.unpack_from("<H", raw, place)
            found[flag] = raw[place + 2 : place + 2 + 2 * units].decode("utf-16-le", "surrogatepass")
            place += 2 + 2 * units
    return Link(
        target=_read_path_block(raw, place), arguments=found.get(HAS_ARGUMENTS, ""), folder=found.get(HAS_FOLDER, ""),
        icon=found.get(HAS_ICON, ""), description=found.get(HAS_NAME, ""),
    )  # fmt: skip


def _read_path_block(raw: bytes, place: int) -> str:
    """Extra blocks follow each other, each with its size and sign."""
    while place + 8 <= len(raw):
        length, sign = struct.unpack_from("<II", raw, place)
        if length < 8:
            return ""
        if sign == PATH_BLOCK:
            text = raw[place + 8 + PATH_ROOM : place + length].decode("utf-16-le", "surrogatepass")
            return text.partition("\0")[0]
        place += length
    return ""


def _path_block(target: str) -> bytes:
    narrow = target.encode("ascii", "replace")[: PATH_ROOM - 1].ljust(PATH_ROOM, b"\0")
    wide = target.encode("utf-16-le", "surrogatepass").ljust(2 * PATH_ROOM, b"\0")
    return struct.pack("<II", PATH_BLOCK_SIZE, PATH_BLOCK) + narrow + wide


def _items(target: str) -> bytes:
    r"""Computer, drive, folders, file. Empty for what has no drive letter (`\\server\share`) or is too long."""
    drive, _, rest = target.replace("/", "\\").partition("\\")
    names = [name for name in rest.split("\\") if name]
    if len(drive) != 2 or drive[1] != ":" or not drive[0].isascii() or not drive[0].isalpha() or not names:
        return b""
    if max(map(_units, names)) > LONGEST_NAME:
        return b""
    computer = struct.pack("<HBB", 20, 0x1F, 0x50) + MY_COMPUTER
    root = struct.pack("<HB22s", 25, 0x2F, f"{drive}\\".encode("ascii"))
    entries = [_entry(name, is_folder=number < len(names) - 1) for number, name in enumerate(names)]
    items = computer + root + b"".join(entries)
    return items if len(items) <= MOST_ITEMS else b""


def _entry(name: str, *, is_folder: bool) -> bytes:
    """A file or folder: its name in ASCII, and the true one in the extension that Windows XP brought."""
    narrow = name.encode("ascii", "replace").replace(b"?", b"_") + b"\0"
    narrow += b"\0" * (len(narrow) % 2)
    wide = name.encode("utf-16-le", "surrogatepass") + b"\0\0"
    head = struct.pack("<BBIIH", 0x31 if is_folder else 0x32, 0, 0, 0, DIRECTORY if is_folder else ARCHIVE)
    begin = 2 + len(head) + len(narrow)
    extension = struct.pack("<HIIIHH", 3, 0xBEEF0004, 0, 0, 0x14, 0) + wide + struct.pack("<H", begin)
    body = head + narrow + struct.pack("<H", len(extension) + 2) + extension
    return struct.pack("<H", len(body) + 2) + body


def _units(text: str) -> int:
    """Length in UTF-16 code units, which is what Windows counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
