"""A TOML file of the user's, read with care: encodings, sizes and syntax, each with a sentence of its own."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, Problem, Severity
from launcher.preset.lines import Lines, find_lines
from launcher.preset.records import Setting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.paths import Paths

MAX_BYTES = (
    256 * 1024
)  # a preset has some kilobytes; more is some other file, and a megabyte may take seconds
# What the TOML reader does for each key grows with the square of its parts: 20,000 dots took 11 seconds.
MOST_DOTS = 1_000_000  # sum of the squares of the dots of all lines
DEEPEST_TABLE = 20
MOST_KEYS = 1000  # a preset has some dozens; each unknown one is compared with all that there are
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)")
LIKE_TOML = re.compile(r"^\s*(?:\[|[A-Za-z0-9_\"'-]+\s*=)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A TOML file: its tables, and the way back to its lines."""

    path: Path
    label: str  # how the file is called in sources: short where it lies in our folders
    tables: dict[str, Any]
    lines: Lines
    sha256: str

    def source(self, *keys: str) -> str:
        """`presets/demo.toml:12`, the line of a key."""
        return f"{self.label}:{self.lines.line_of(*keys)}"

    def setting(self, value: object, *keys: str) -> Setting:
        return Setting(value=value, source=self.source(*keys), why=self.lines.comment_of(*keys))

    def problem(self, what: str, *keys: str, why: str = "", fix: str = "") -> Problem:
        """An error at a key: file, line and key say where."""
        key = ".".join(keys)
        where = f"{self.source(*keys)} ({key})" if key else self.label
        return Problem(severity=Severity.ERROR, what=what, why=why, fix=fix, where=where)


def read_document(paths: Paths, path: Path) -> Document:
    """Read one TOML file.

    Raises:
        InputError: it is missing, no regular file, too large, not UTF-8 or not TOML; one problem says which line.
    """
    label = label_of(paths, path)
    raw = _read_bytes(path, label)
    text = _decode(raw, label).replace("\r\n", "\n")
    tables = _parse(text, label)
    return Document(
        path=path, label=label, tables=tables, lines=find_lines(text), sha256=hashlib.sha256(raw).hexdigest()
    )


def label_of(paths: Paths, path: Path) -> str:
    """A file's short name in our own folders, its whole path elsewhere; always with forward slashes."""
    for root in (paths.shipped, paths.home):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()


def refuse(what: str, why: str = "", fix: str = "", *, where: str = "") -> InputError:
    """An InputError that also lists itself as its only problem, so that callers may gather problems."""
    problem = Problem(severity=Severity.ERROR, what=what, why=why, fix=fix, where=where)
    return InputError(what, problems=(problem,), why=why, fix=fix, where=where)


def _read_bytes(path: Path, label: str) -> bytes:
    try:
        if path.is_dir():
            raise refuse(
                f"{path.name} is a folder, not a preset file", fix="name the .toml file in it", where=label
            )
        if not path.is_file():
            raise refuse(*_absent(path), where=label)
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(
            f"{path.name} cannot be read: {reason}", fix="check the file's permissions", where=label
        ) from error
    if len(raw) > MAX_BYTES:
        raise refuse(
            f"{path.name} is larger than {MAX_BYTES // 1024} KiB", why="presets are small text files; this is something else",
            fix="check that this is the file you meant", where=label,
        )  # fmt: skip
    return raw


def _absent(path: Path) -> tuple[str, str, str]:
    """What to say of a name that is no file: (what, why, fix)."""
    if os.path.lexists(path):  # opening it might wait for ever
        return (
            f"{path.name} is no file",
            "it is a pipe, a socket, a device, or a link that leads nowhere",
            "name the preset's own file",
        )
    return f"there is no file {path.name}", "", "check the path"


def _decode(raw: bytes, label: str) -> str:
    if raw.startswith(UTF16_MARKS):
        raise refuse(
            "the file is saved as UTF-16", why="older Notepad and PowerShell write that; TOML is UTF-8",
            fix="save it again with the encoding UTF-8", where=label,
        )  # fmt: skip
    if b"\0" in raw:
        raise refuse("the file is binary, not text", fix="check that this is the file you meant", where=label)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refuse(
            f"line {line} holds characters that are not UTF-8", why="the file was probably saved as ANSI (the system's own code page)",
            fix="save it again with the encoding UTF-8", where=f"{label}:{line}",
        ) from error  # fmt: skip


def refuse_costly(text: str, label: str) -> None:
    """Keys with so many parts that reading them would take minutes.

    Raises:
        InputError: there are such keys.
    """
    work = 0
    for number, line in enumerate(text.split("\n"), start=1):
        dots = 0 if line.lstrip().startswith("#") else line.count(".")
        work += dots * dots
        is_deep_table = dots > DEEPEST_TABLE and line.lstrip().startswith("[") and "," not in line
        if is_deep_table or work > MOST_DOTS:
            raise refuse(f"line {number} has keys with too many parts ({dots} dots)", fix="check that this is the file you meant", where=f"{label}:{number}")  # fmt: skip


def _refuse_masses(tables: dict[str, Any], label: str) -> None:
    count = sum(1 + (len(table) if isinstance(table, dict) else 0) for table in tables.values())
    if count > MOST_KEYS:
        raise refuse(f"the file has {count} keys: a preset has some dozens", fix="check that this is the file you meant", where=label)  # fmt: skip


def _parse(text: str, label: str) -> dict[str, Any]:
    refuse_costly(text, label)
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise refuse(
            "the file nests brackets too deeply", fix="check that this is the file you meant", where=label
        ) from error
    except ValueError as error:  # TOMLDecodeError, and numbers longer than Python reads
        message = said_of(error)
        place = AT_LINE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise refuse(
            f"the file is not TOML: line {line}: {message}",
            fix=_advice(text, line, message),
            where=f"{label}:{line}",
        ) from error
    _refuse_masses(tables, label)
    return tables


def said_of(error: ValueError) -> str:
    """What a parser says, without its place, and without advice that is meant for programmers."""
    return (
        "a number has far too many digits" if "digits" in str(error) else AT_LINE.sub("", str(error)).strip()
    )


def _advice(text: str, line: int, message: str) -> str:
    """What is usually wrong with such a line."""
    lines = text.split("\n")
    wrong = lines[line - 1] if line <= len(lines) else ""
    if not LIKE_TOML.search(text):
        return "a preset has lines such as `learning_rate = 1e-4` below `[options]`; start from a copy of a shipped one"
    if "overwrite" in message or "twice" in message:
        return "this key or table stands twice: keep one of them"
    if "\\" in wrong:
        return "write paths in 'single quotes', or with / instead of \\"
    value = wrong.partition("=")[2].partition("#")[0].strip()
    if value in {"True", "False", "yes", "no", "on", "off"}:
        return "flags are written true or false, in small letters"
    if value and value[0].isalpha() and value not in {"true", "false", "inf", "nan"}:
        return f'texts stand in quotes: "{value}"'
    return "look for a missing quote, bracket or = in this line or the one above"
