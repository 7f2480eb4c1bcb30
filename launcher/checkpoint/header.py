"""The header of a safetensors file: read within bounds, checked against the file, believed no further than that."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# SDXL's header has 300 KB, with a picture in its metadata some MB. The library's limit of 100 MB of JSON would take
# gigabytes to read here.
MOST_HEADER_BYTES = 32 << 20
HEAD_BYTES = 64  # what tells other kinds of file
# SDXL has 2,500 tensors, the largest models some thousands; each has three entries. More would take seconds to parse.
MOST_ENTRIES = 400_000
MOST_ITEMS = 4_000_000  # commas: of lists, and of whatever stands in the metadata
MOST_SIDES = 16
LONGEST_SIDE = 2**63
BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
PICKLE = "pickle"
SIGNS = (  # of other files, by their first bytes in lower case
    (b"<!doctype", "it is a web page that was saved under this name: the download needs a login, or the link was to its page"),
    (b"<html", "it is a web page that was saved under this name: the download needs a login, or the link was to its page"),
    (b"<?xml", "it is a web page or an error message that was saved under this name"),
    (b"version https://git-lfs", "it is only git's pointer to the file (git LFS): `git lfs pull`, or download the file itself"),
    (b"pk\x03\x04", PICKLE),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"gguf", "it is a GGUF file, quantised for drawing: the trainer cannot read it"),
    (b"rar!", "it is a RAR archive: unpack it"),
    (b"7z\xbc\xaf", "it is a 7-Zip archive: unpack it"),
    (b"\x1f\x8b", "it is a gzip archive: unpack it"),
    (b"\x89png", "it is an image"),
    (b"\xff\xd8\xff", "it is an image"),
)  # fmt: skip
PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
NO_SAFETENSORS = "it is not a safetensors file, or only the beginning of one"
CUT = "its end is missing: the download was interrupted"
DAMAGED = "its header is damaged"


class HeaderError(Exception):
    """The file cannot be used; the text says why, and `is_pickle` that it may hold a program."""

    def __init__(self, reason: str, *, is_pickle: bool = False) -> None:
        super().__init__(reason)
        self.is_pickle = is_pickle


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a safetensors file holds: the shape and type of each tensor, and its metadata."""

    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    metadata: Mapping[str, str]

    def has(self, *beginnings: str) -> bool:
        """Whether a tensor's name begins so."""
        return any(name.startswith(beginnings) for name in self.shapes)

    def side(self, name: str, index: int) -> int | None:
        """One side of a tensor's shape, None when there is no such tensor or side."""
        shape = self.shapes.get(name, ())
        return shape[index] if index < len(shape) else None


def read_header(path: Path) -> Header:
    """The header of the file, with every offset checked against the file's size. Reads nothing else.

    Raises:
        HeaderError: the file is none, is damaged, or ends early.
        OSError: it cannot be read.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # opening a pipe waits for ever, a device has no end
        raise HeaderError("it is no file, but a folder, a pipe or a device")
    size = about.st_size
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        _refuse_others(head, size)
        length = int.from_bytes(head[:8], "little")
        if not 2 <= length <= size - 8:
            if path.suffix.lower() in PICKLE_SUFFIXES:
                raise HeaderError(f"it is a pickle ({path.suffix.lower()})", is_pickle=True)
            raise HeaderError(NO_SAFETENSORS)
        if length > MOST_HEADER_BYTES:
            raise HeaderError(f"its header is said to have {length >> 20} MiB: that is no sound file")
        stream.seek(8)
        raw = stream.read(length)
    found, spans = _parse(raw)
    _check_spans(sorted(spans), size - 8 - length)
    return found


def _parse(raw: bytes) -> tuple[Header, list[tuple[int, int]]]:
    """The header's JSON, held to what the safetensors library takes; and where each tensor lies."""
    _refuse_masses(raw)
    try:
        entries = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
        metadata = _metadata(entries.pop("__metadata__", None))
        found = Header(
            shapes={name: _shape(entry) for name, entry in entries.items()},
            dtypes={name: _text(entry["dtype"]) for name, entry in entries.items()},
            metadata=metadata,
        )
        _refuse_types(found)
        "\n".join(entries).encode("utf-8")  # half a character, written as \\ud800
        return found, [_span(entry) for entry in entries.values()]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise HeaderError(DAMAGED) from error


def _refuse_types(header: Header) -> None:
    """Number types that the trainers' safetensors library does not know: newer ones of four and six bits, or nonsense."""
    strange = sorted(set(header.dtypes.values()) - BYTES.keys())
    if strange:
        shown = "".join(char for char in strange[0][:20] if char.isprintable())
        raise HeaderError(f"it stores numbers as {shown}, which the trainer cannot read")


def _refuse_masses(raw: bytes) -> None:
    """Count before parsing: what has millions of entries is no model, and would take gigabytes and many seconds."""
    entries = raw.count(b'":') + raw.count(b'" :') - raw.count(b'\\":')
    if entries > MOST_ENTRIES or raw.count(b",") > MOST_ITEMS:
        raise HeaderError("its header names far too many things: that is no sound file")


def _metadata(value: Any) -> dict[str, str]:
    """Texts by their names; the library refuses a file in which it is anything else."""
    if value is None:
        return {}
    metadata = {key: _text(item) for key, item in value.items()}
    "\n".join((*metadata, *metadata.values())).encode("utf-8")
    return metadata


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity: Python reads them, JSON has none


def _refuse_others(head: bytes, size: int) -> None:
    if size == 0:
        raise HeaderError("it is empty: the download has not begun, or the disk was full")
    if not head.strip(b"\0"):
        raise HeaderError("it holds only zeros: the download was interrupted, or the disk lost it")
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for sign, reason in SIGNS:
        if start.startswith(sign) and not _begins_like_ours(head, size):
            if reason == PICKLE:
                raise HeaderError("it is a pickle (.ckpt, .pt)", is_pickle=True)
            raise HeaderError(reason)


def _begins_like_ours(head: bytes, size: int) -> bool:
    """A length may begin with any bytes, a header does not: `{` follows the length."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table whose names come once: of two tensors with one name the trainer would take either."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name twice")
    return table


def _shape(entry: Any) -> tuple[int, ...]:
    shape = entry["shape"]
    if not isinstance(shape, list) or len(shape) > MOST_SIDES:
        raise ValueError("shape")
    if any(type(side) is not int or not 0 <= side < LONGEST_SIDE for side in shape):
        raise ValueError("shape")
    return tuple(shape)


def _span(entry: Any) -> tuple[int, int]:
    begin, end = entry["data_offsets"]
    count = 1
    for side in entry["shape"]:
        count *= side
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end:
        raise ValueError("offsets")
    if count * BYTES[entry["dtype"]] != end - begin:
        raise ValueError("size")
    return begin, end


def _check_spans(spans: list[tuple[int, int]], room: int) -> None:
    """One tensor after the other, from the header's end to the file's, as the library wants it."""
    at = 0
    for begin, end in spans:
        if begin != at:
            raise HeaderError(DAMAGED)
        at = end
    if at == 0:
        raise HeaderError("there is no tensor in it")
    if at > room:
        raise HeaderError(CUT)
    if at < room:
        raise HeaderError(
            "there are bytes behind its end: two downloads were put together, or it was changed"
        )
