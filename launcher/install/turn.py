"""One installer at a time: whoever comes second waits, says so, and then finds the work done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.errors import LauncherError
from launcher.files import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def take_turn(path: Path, *, on_wait: Callable[[], None], timeout_s: float, busy: str) -> Iterator[int]:
    """Hold the lock at `path` and yield its handle (see `process.run`); `on_wait` is called once if it is taken.

    Raises:
        LauncherError: it is still taken after `timeout_s`; `busy` is the sentence to say.
    """
    try:
        with lock(path, timeout_s=0, busy="") as handle:
            yield handle
            return
    except LauncherError as error:
        if error.what:  # it came from the work inside, not from the lock
            raise
    on_wait()
    with lock(path, timeout_s=timeout_s, busy=busy) as handle:
        yield handle
