"""Where this user's desktop and start menu lie: redirected, translated or switched off, as the system says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

DESKTOP = UUID("b4bfcc3a-db2c-424c-b029-7fe99a87c641")
PROGRAMS = UUID("a77f5d77-2e2b-44c3-a6a2-aba601054a51")  # of this user's start menu: needs no administrator


def desktop_folder() -> Path | None:
    """The desktop; None where there is none (a server, a desktop switched off)."""
    if sys.platform == "win32":
        return _known_folder(DESKTOP)
    home = Path.home()
    if sys.platform == "darwin":
        return _existing(home / "Desktop")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "user-dirs.dirs"
    try:
        text = settings.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        text = ""
    return _existing(xdg_desktop(text, home))


def menu_folder() -> Path | None:
    """The start menu; None where a file in a folder does not make an entry (macOS)."""
    if sys.platform == "win32":
        return _known_folder(PROGRAMS)
    return None if sys.platform == "darwin" else xdg_menu(os.environ, Path.home())


def xdg_desktop(user_dirs: str, home: Path) -> Path | None:
    """The desktop that `user-dirs.dirs` names, `~/Desktop` without one; None when it is switched off (the home itself)."""
    for line in user_dirs.splitlines():
        name, _, value = line.strip().partition("=")
        if name.strip() != "XDG_DESKTOP_DIR":
            continue
        raw = _unescape(value.strip().strip('"'))
        if raw == "$HOME" or raw.startswith("$HOME/"):
            folder = home / raw[len("$HOME/") :]
        elif raw.startswith("/"):
            folder = Path(raw)
        else:
            continue  # the format allows nothing else
        return None if folder == home else folder
    return home / "Desktop"


def _unescape(text: str) -> str:
    """Shell escapes of a double-quoted word."""
    plain, is_escaped = "", False
    for char in text:
        if char == "\\" and not is_escaped:
            is_escaped = True
            continue
        plain, is_escaped = plain + char, False
    return plain


def xdg_menu(environ: Mapping[str, str], home: Path) -> Path:
    data = environ.get("XDG_DATA_HOME", "")
    return (Path(data) if data.startswith("/") else home / ".local" / "share") / "applications"


def _existing(folder: Path | None) -> Path | None:
    return folder if folder is not None and folder.is_dir() else None


if sys.platform == "win32":

    def _known_folder(which: UUID) -> Path | None:
        """Asked of the shell, because OneDrive moves the desktop and nothing in the environment tells."""
        import ctypes
        from ctypes import wintypes

        found = ctypes.c_wchar_p()
        try:
            ask = ctypes.windll.shell32.SHGetKnownFolderPath
            ask.argtypes = [
                ctypes.c_char_p,
                wintypes.DWORD,
                wintypes.HANDLE,
                ctypes.POINTER(ctypes.c_wchar_p),
            ]
            ask.restype = ctypes.c_long
            free = ctypes.windll.ole32.CoTaskMemFree
            free.argtypes, free.restype = [ctypes.c_void_p], None
            code = ask(which.bytes_le, 0, None, ctypes.byref(found))
            folder = Path(found.value) if code == 0 and found.value else None
            free(ctypes.cast(found, ctypes.c_void_p))
        except (AttributeError, OSError):
            return None
        return folder
else:

    def _known_folder(_: UUID) -> Path | None:
        return None
