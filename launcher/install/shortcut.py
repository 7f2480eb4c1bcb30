"""Shortcuts on the desktop and in the start menu: made when asked for, never over a file that is not ours.

They start `setup_env.py` with the Python that made the launcher's environment: the same one that it cannot live
without, and one that can make the environment anew. Windows gets a .lnk, Linux a .desktop, macOS a .command.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.files import write_atomic
from launcher.install.shell_link import Link, read_link, write_link
from launcher.install.window import console_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "SDXL LoRA launcher"
COMMENT = "Train SDXL LoRAs on your own graphics card"
MOST_NAMES = 9  # of several installations on one desktop
MARK = "X-SDXL-LoRA-Launcher"
LARGEST = 1 << 16  # bytes; no shortcut of ours is larger
SUFFIX = {"windows": ".lnk", "linux": ".desktop", "macos": ".command"}
# A terminal that was opened for one program closes with it, message and all.
HELD = '"$@" || { printf "\\nPress Enter to close this window. "; read -r _; }'


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortcut:
    """What is started: a Python and our script, as this system writes paths; the script's folder is the installation."""

    system: str  # windows, linux, macos
    python: str
    script: str
    folder: str


def shortcut_for(root: Path, *, python: Path | None = None, system: str | None = None) -> Shortcut:
    """The shortcut of the installation in `root`; `python` is by default the one behind the running environment."""
    base = python or Path(getattr(sys, "_base_executable", None) or sys.executable)
    return Shortcut(
        system=system or this_system(), python=str(console_python(base)), script=str(root / "setup_env.py"),
        folder=str(root),
    )  # fmt: skip


def this_system() -> str:
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


def make_shortcuts(shortcut: Shortcut, folders: Iterable[Path]) -> list[Path]:
    """Write the shortcut into each folder, over an older one of ours; returns the files.

    Raises:
        InstallError: a folder cannot be written.
    """
    made = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = _free_name(shortcut, folder)
            write_atomic(path, content(shortcut))
            if shortcut.system != "windows":
                path.chmod(0o755)
        except OSError as error:
            raise InstallError(
                f"The shortcut in {folder} could not be written.", why=str(error),
                fix="Check that this folder may be written; everything else is ready.", where=str(folder),
            ) from error  # fmt: skip
        made.append(path)
    return made


def find_shortcuts(shortcut: Shortcut, folders: Iterable[Path]) -> list[Path]:
    """Those of this installation that are there."""
    return [
        path
        for folder in folders
        for path in _names(shortcut, folder)
        if path.is_file() and is_ours(path, shortcut)
    ]


def remove_shortcuts(shortcut: Shortcut, folders: Iterable[Path]) -> list[Path]:
    """Delete those of this installation; others, and files that only bear the name, stay. Returns what went."""
    gone = []
    for path in find_shortcuts(shortcut, folders):
        with suppress(OSError):  # still there: the next uninstall finds it again
            path.unlink()
            gone.append(path)
    return gone


def is_ours(path: Path, shortcut: Shortcut) -> bool:
    """Whether a file is a shortcut to this very installation."""
    try:
        if path.stat().st_size > LARGEST:
            return False
        raw = path.read_bytes()
    except OSError:
        return False
    if shortcut.system == "windows":
        link = read_link(raw)
        return link is not None and link.arguments.lower() == arguments(shortcut).lower()
    return _mark(shortcut) in raw.decode("utf-8", "replace").splitlines()


def content(shortcut: Shortcut) -> bytes:
    """The bytes of the shortcut's file."""
    if shortcut.system == "windows":
        return write_link(link_of(shortcut))
    text = desktop_entry(shortcut) if shortcut.system == "linux" else command_file(shortcut)
    return text.encode("utf-8", "surrogateescape")


def link_of(shortcut: Shortcut) -> Link:
    """The shortcut as Windows sees it; the icon is the target's own."""
    return Link(
        target=shortcut.python, arguments=arguments(shortcut), folder=shortcut.folder, description=COMMENT
    )


def arguments(shortcut: Shortcut) -> str:
    """A Windows path holds no quotes and ours no backslash at its end, so that plain quotes do."""
    return f'"{shortcut.script}"'


def desktop_entry(shortcut: Shortcut) -> str:
    """A .desktop file. The terminal waits for Enter when something failed, even when Python itself is gone."""
    words = ["/bin/sh", "-c", HELD, "launcher", shortcut.python, shortcut.script]
    lines = [
        "[Desktop Entry]", "Type=Application", "Version=1.0", f"Name={NAME}", f"Comment={COMMENT}",
        f"Exec={exec_line(words)}", f"Path={_escape(shortcut.folder)}", "Terminal=true",
        "Icon=applications-graphics", "Categories=Graphics;", _mark(shortcut),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def exec_line(words: Iterable[str]) -> str:
    """Arguments as the Desktop Entry Specification wants them: quoted, `%` doubled, then escaped as any string value."""
    quoted = []
    for word in words:
        inner = "".join(f"\\{char}" if char in '"`$\\' else char for char in word)
        quoted.append(f'"{inner}"'.replace("%", "%%"))
    return _escape(" ".join(quoted))


def _escape(text: str) -> str:
    """A string value of a .desktop file."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f"\\s{text[1:]}" if text.startswith(" ") else text


def command_file(shortcut: Shortcut) -> str:
    """A .command file: macOS opens it in the Terminal, whose window stays when it ends."""
    return "\n".join(
        [
            "#!/bin/sh", _mark(shortcut), f"cd {shlex.quote(shortcut.folder)} || exit 1",
            f"exec {shlex.quote(shortcut.python)} {shlex.quote(shortcut.script)}", "",
        ]
    )  # fmt: skip


def _mark(shortcut: Shortcut) -> str:
    """The line by which we know our own file again."""
    sign = "# " if shortcut.system == "macos" else ""
    return f"{sign}{MARK}={_escape(shortcut.folder)}"


def _names(shortcut: Shortcut, folder: Path) -> Iterator[Path]:
    # A start menu entry's file name is its identity on Linux; blanks in it are legal but trip other tools.
    stem = "sdxl-lora-launcher" if shortcut.system == "linux" else NAME
    for number in range(1, MOST_NAMES + 1):
        tail = "" if number == 1 else f"-{number}" if shortcut.system == "linux" else f" {number}"
        yield folder / f"{stem}{tail}{SUFFIX[shortcut.system]}"


def _free_name(shortcut: Shortcut, folder: Path) -> Path:
    free = None
    for path in _names(shortcut, folder):
        if is_ours(path, shortcut):
            return path
        if free is None and not os.path.lexists(path):
            free = path
    if free is None:
        raise FileExistsError(17, "other files have all the names that a shortcut could have", str(folder))
    return free
