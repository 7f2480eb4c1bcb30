"""A double-clicked window closes when its program ends: keep it open after a failure, and only then."""

from __future__ import annotations

import os
import sys

OWN_PROCESSES = 2  # the Python launcher (py.exe) and Python itself; a shell would be one more


def should_hold(*, is_double_click: bool, is_terminal: bool, console_processes: int) -> bool:
    """Whether nobody but us would keep the window. 0 processes: there is no console of our own."""
    return is_double_click and is_terminal and 0 < console_processes <= OWN_PROCESSES


def count_console_processes() -> int:
    """How many processes share this console; 0 where the question makes no sense (not Windows, no console)."""
    if sys.platform != "win32":
        return 0
    import ctypes

    try:
        room = (ctypes.c_uint32 * 16)()
        return int(ctypes.windll.kernel32.GetConsoleProcessList(room, len(room)))
    except (AttributeError, OSError):
        return 0


def hold(*, is_double_click: bool) -> None:
    """Wait for Enter if the window would vanish with its message; otherwise return at once."""
    is_terminal = bool(sys.stdin and sys.stdin.isatty())
    if should_hold(
        is_double_click=is_double_click,
        is_terminal=is_terminal,
        console_processes=count_console_processes() if os.name == "nt" else 0,
    ):
        sys.stderr.write("\nPress Enter to close this window.\n")
        sys.stdin.readline()
