"""Disk and card at work while Python imports packages, which holds one core for many seconds."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK_BYTES = 16 << 20
SPARE = 1.5  # of the file's size must be free, or what was read first would be gone before it is used


def read_ahead(path: Path) -> threading.Thread:
    """Bring a file into the system's cache of files."""
    return _beside("read ahead", lambda: _read(path))


def _read(path: Path) -> None:
    import psutil

    size = path.stat().st_size
    if psutil.virtual_memory().available < size * SPARE:
        return
    with path.open("rb", buffering=0) as stream:
        if hasattr(os, "posix_fadvise"):  # the system reads by itself, and nothing is copied
            os.posix_fadvise(stream.fileno(), 0, size, os.POSIX_FADV_WILLNEED)
            return
        block = bytearray(BLOCK_BYTES)
        while stream.readinto(block):
            pass


def wake_card() -> threading.Thread | None:
    """Let the driver start, and make the context of the first visible card, which torch takes up later."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return None
    return _beside("wake card", _wake)


def _wake() -> None:
    driver = ctypes.CDLL(
        "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    )  # calls leave Python's lock
    if driver.cuInit(0) != 0:
        return
    number = ctypes.c_int()
    if driver.cuDeviceGet(ctypes.byref(number), int(os.environ.get("LOCAL_RANK") or 0)) == 0:
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(ctypes.c_void_p()), number)


def _beside(name: str, action: Callable[[], None]) -> threading.Thread:
    def carry_out() -> None:
        try:
            action()
        except Exception:  # noqa: BLE001  (only a head start: whoever needs it does it, and tells what is wrong)
            return

    thread = threading.Thread(target=carry_out, name=name, daemon=True)
    thread.start()
    return thread
