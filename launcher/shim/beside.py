"""Work in a thread beside the trainer's own, over before Python ends."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_PATIENCE_S = 60.0


def begin(name: str, work: Callable[[], None], stop: Callable[[], None] | None = None) -> threading.Thread:
    """A daemon thread that does `work`; when the process ends `stop` is called, and the thread waited for.

    Python would stop it within libraries that do not bear that, torch and Triton among them (an abort, exit code -6).
    What only reads a file needs none of this.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    atexit.register(_end, thread, stop)
    return thread


def _end(thread: threading.Thread, stop: Callable[[], None] | None) -> None:
    if stop is not None:
        stop()
    thread.join(EXIT_PATIENCE_S)
