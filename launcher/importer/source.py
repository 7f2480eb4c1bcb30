"""The text of a script, whatever it was saved as. Files from others are hostile: size and content are checked first."""

from __future__ import annotations

import codecs
import hashlib
import locale
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 * 1024  # the largest training script seen has 60 KB
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16 (big-endian)"),
)
KANA = re.compile("[\u3041-\u30fa\u30fc]")
NOT_ASCII = re.compile(r"[^\x00-\x7f]")
HIGH_RUNS = re.compile(rb"[\x80-\xff]+")
GBK_PAIRS = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
HALF_WIDTH = re.compile("[\uff61-\uff9f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A decoded file: `text` has plain line ends; `encoding` says in words what it was saved as.

    `beside` are the other files that were named together with it.
    """

    path: Path
    text: str
    encoding: str
    sha256: str
    beside: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        return self.path.name


def read_source(path: Path, *, max_bytes: int = MAX_BYTES) -> Source:
    """Read and decode one text file. Nothing else is opened.

    Raises:
        InputError: it is missing, no regular file, too large, or no text.
    """
    raw = _read(path, max_bytes)
    text, encoding = decode(raw)
    if "\0" in text:
        raise InputError(
            f"{path.name} is no text file",
            fix="name a .ps1, .bat or .sh script, or a settings file",
            where=str(path),
        )
    return Source(
        path=path,
        text=text.replace("\r\n", "\n").replace("\r", "\n"),
        encoding=encoding,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path.name} is a folder", fix="name a file in it", where=str(path))
        if not path.is_file():
            raise InputError(f"there is no file {path.name}", fix="check the path", where=str(path))
        with path.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path.name} cannot be read: {reason}", fix="check the file's permissions", where=str(path)
        ) from error
    if len(raw) > max_bytes:
        raise InputError(
            f"{path.name} is larger than {max_bytes // 1024} KiB",
            why="training scripts have some kilobytes; this is something else",
            fix="check that this is the file you meant",
            where=str(path),
        )
    return raw


def decode(raw: bytes) -> tuple[str, str]:
    """The text and, in words, its encoding: mark, strict UTF-8, then what the bytes look like most.

    Legacy files carry no hint. Japanese text has kana; Western text has single high bytes between letters; what is
    left is taken as Chinese when it decodes as such, else as the code page of this computer.
    """
    for mark, codec, name in MARKS:
        if raw.startswith(mark):
            return raw.decode(codec, errors="replace"), name
    for codec, name, nul in (
        ("utf-16-le", "UTF-16 without a mark", 1),
        ("utf-16-be", "UTF-16 (big-endian) without a mark", 0),
    ):
        if len(raw) >= 4 and raw[nul::2].count(0) > len(raw) // 5 and not raw[1 - nul :: 2].count(0):
            return raw.decode(codec, errors="replace"), name
    try:
        return raw.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        return _decode_legacy(raw)


def _decode_legacy(raw: bytes) -> tuple[str, str]:
    japanese = _strictly(raw, "cp932")
    if japanese is not None:
        foreign = NOT_ASCII.findall(japanese)
        if len(KANA.findall(japanese)) * 4 >= len(foreign) and not HALF_WIDTH.search(japanese):
            return japanese, "Shift-JIS (code page 932)"
    runs = HIGH_RUNS.findall(raw)
    western = _strictly(raw, "cp1252")
    if western is not None and sum(len(run) == 1 for run in runs) * 2 > len(runs):
        return western, "Windows Western (code page 1252)"
    chinese = _strictly(raw, "cp936")
    if chinese is not None and (japanese is None or _has_usual_chinese(raw)):
        return chinese, "GBK (code page 936)"
    if japanese is not None:
        return japanese, "Shift-JIS (code page 932)"
    name = locale.getpreferredencoding(do_setlocale=False)
    own = _strictly(raw, name)
    if own is not None:
        return own, f"this computer's code page ({name})"
    return raw.decode(
        "cp1252", errors="replace"
    ), "unknown (read as code page 1252, some characters are lost)"


def _has_usual_chinese(raw: bytes) -> bool:
    """Whether most pairs of bytes are signs of GB 2312: the rest of GBK is rare, and looks like Shift-JIS."""
    pairs = GBK_PAIRS.findall(raw)
    usual = sum(pair[0] >= 0xA1 and pair[1] >= 0xA1 for pair in pairs)
    return bool(2 * usual >= len(pairs))


def _strictly(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return None
