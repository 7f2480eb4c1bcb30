"""The few calls into Windows that a console program needs before rich is there. Thin: what to do is decided in `window`."""

from __future__ import annotations

import os
import sys
from typing import Any

from launcher.install import window

if sys.platform == "win32":
    import ctypes
    import io
    from ctypes import wintypes

    STDOUT = -11
    MOST_PROCESSES = 64
    NAME_ROOM = 1024
    QUERY_LIMITED = 0x1000
    ERROR_SIGN = 0x10

    def console_pids() -> list[int]:
        """Other processes in this console come along with ours; empty without a console."""
        try:
            room = (wintypes.DWORD * MOST_PROCESSES)()
            count = int(ctypes.windll.kernel32.GetConsoleProcessList(room, MOST_PROCESSES))
        except (AttributeError, OSError):
            return []
        return [int(pid) for pid in room[: min(count, MOST_PROCESSES)]]

    def names_of(pids: list[int]) -> list[str] | None:
        """Programs of the other processes; None when one of them cannot be asked."""
        names = [_name_of(pid) for pid in pids if pid != os.getpid()]
        return None if "" in names else names

    def _name_of(pid: int) -> str:
        try:
            kernel32 = ctypes.WinDLL("kernel32")
            kernel32.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
            kernel32.OpenProcess.restype = wintypes.HANDLE
            kernel32.QueryFullProcessImageNameW.argtypes = [
                wintypes.HANDLE, wintypes.DWORD, wintypes.LPWSTR, ctypes.POINTER(wintypes.DWORD),
            ]  # fmt: skip
            kernel32.CloseHandle.argtypes = [wintypes.HANDLE]
            handle = kernel32.OpenProcess(QUERY_LIMITED, False, pid)
            if not handle:
                return ""
            length = wintypes.DWORD(NAME_ROOM)
            text = ctypes.create_unicode_buffer(NAME_ROOM)
            is_told = kernel32.QueryFullProcessImageNameW(handle, 0, text, ctypes.byref(length))
            kernel32.CloseHandle(handle)
        except (AttributeError, OSError):
            return ""
        return text.value if is_told else ""

    def open_console() -> bool:
        """Programs that we start afterwards share the new console, and get its streams from Windows."""
        try:
            kernel32 = ctypes.windll.kernel32
            if not kernel32.AllocConsole():
                return False
            kernel32.SetConsoleTitleW(window.TITLE)
            sys.stdin = sys.__stdin__ = _stream("CONIN$", "r")  # type: ignore[misc]  # pythonw leaves None there
            sys.stdout = sys.__stdout__ = _stream("CONOUT$", "w")  # type: ignore[misc]
            sys.stderr = sys.__stderr__ = _stream("CONOUT$", "w")  # type: ignore[misc]
        except (AttributeError, OSError):
            return False
        return True

    def _stream(device: str, mode: str) -> io.TextIOWrapper:
        """Python recognises the device and speaks UTF-16 to the console below this UTF-8."""
        raw: Any = open(device, f"{mode}b", buffering=0)  # noqa: PTH123, SIM115  (no path; stays open)
        buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        return io.TextIOWrapper(buffered, encoding="utf-8", errors="replace", line_buffering=True)

    def message_box(words: str) -> None:
        try:
            ctypes.windll.user32.MessageBoxW(None, words, window.TITLE, ERROR_SIGN)
        except (AttributeError, OSError):
            return

    def enable_escapes() -> bool:
        """Let standard output's console understand escape sequences until we end; False where it never will."""
        try:
            kernel32 = ctypes.WinDLL("kernel32")
            kernel32.GetStdHandle.argtypes, kernel32.GetStdHandle.restype = [wintypes.DWORD], wintypes.HANDLE
            kernel32.GetConsoleMode.argtypes = [wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD)]
            kernel32.SetConsoleMode.argtypes = [wintypes.HANDLE, wintypes.DWORD]
            handle, mode = kernel32.GetStdHandle(STDOUT & 0xFFFFFFFF), wintypes.DWORD()
            if not kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
                return False
            if window.escapes_mode(mode.value) == mode.value:
                return True
            if not kernel32.SetConsoleMode(handle, window.escapes_mode(mode.value)):
                return False
        except (AttributeError, OSError):
            return False
        import atexit

        atexit.register(kernel32.SetConsoleMode, handle, mode.value)
        return True
else:

    def console_pids() -> list[int]:
        return []

    def names_of(_: list[int]) -> list[str] | None:
        return None

    def open_console() -> bool:
        return False

    def message_box(_: str) -> None:
        return

    def enable_escapes() -> bool:
        return True
