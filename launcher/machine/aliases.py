"""Pythons that must not be started, known by where they lie.

Windows puts a `python.exe` of 0 bytes on everybody's PATH that opens the Store; macOS has a `python3` that offers to
install a compiler. Starting either to see what it is would open a window.
"""

from __future__ import annotations

import re
from enum import Enum

STORE_ALIASES = re.compile(r"\\microsoft\\windowsapps\\[^\\]+$")
STORE_PACKAGE = re.compile(r"\\windowsapps\\pythonsoftwarefoundation\.python\.[^\\]+\\")
MANAGER = re.compile(r"\\windowsapps\\pythonsoftwarefoundation\.pythonmanager[^\\]*\\")
MACOS_STUB = "/usr/bin/python3"


class Kind(Enum):
    """What a path gives away."""

    ORDINARY = "ordinary"
    STUB = "stub"  # never start
    STORE = "store"  # a real Python, from the Microsoft Store
    SHIM = "shim"  # pyenv's door to Pythons that are found by themselves


def kind_of(path: str, *, size: int | None, has_developer_tools: bool = True) -> Kind:
    """Judge a Python by its path.

    Args:
        path: absolute.
        size: of the file in bytes; None: not known. Aliases of the Store have 0.
        has_developer_tools: macOS: is there something behind /usr/bin/python3?
    """
    lowered = path.lower().replace("/", "\\")
    if STORE_PACKAGE.search(lowered):
        return Kind.STORE
    if MANAGER.search(lowered) or (STORE_ALIASES.search(lowered) and not size):
        return Kind.STUB
    if path == MACOS_STUB and not has_developer_tools:
        return Kind.STUB
    return (
        Kind.SHIM
        if re.search(r"\\(\.?pyenv|\.?pyenv-win|\.asdf|asdf|mise)\\shims\\", lowered)
        else Kind.ORDINARY
    )


def stub_words(path: str) -> str:
    """What such a file is."""
    if path == MACOS_STUB:
        return "a placeholder of macOS: starting it only offers to install a compiler"
    return "an alias of the Microsoft Store: starting it may only open the Store"
