"""Look at many images: from the store what is known, from the files what is new or has changed."""

from __future__ import annotations

import time
import warnings
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from launcher.pictures.decoding import decode
from launcher.pictures.limits import Budget
from launcher.pictures.store import Store, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from launcher.pictures.record import Look
    from launcher.pictures.store import Fingerprint

    Stamped = tuple[Path, Fingerprint | None]

CHUNK = 256  # files that are asked for, and written down, together
AHEAD = 4  # chunks in the works: enough that no thread waits for the order of the answers
TASK_FILES = 16  # images that a thread takes at a time: handing over costs as much as decoding a tiny one
TASK_BYTES = 512 << 10
TELL_S = 0.05


def look_at(
    paths: Sequence[Path],
    *,
    store: Path | None,
    threads: int,
    tell: Callable[[int, int], None] | None = None,
) -> Iterator[Look]:
    """A look at every file, in the order of `paths`. Memory is bounded: never more than some hundred looks are held.

    Args:
        paths: image files, also ones that are not there or are no images.
        store: the file that remembers looks (`Paths.picture_store`); None remembers nothing.
        threads: how many images are decoded at a time.
        tell: called with how many are done and how many there are, from the caller's thread.
    """
    from concurrent.futures import ThreadPoolExecutor

    # Pillow warns of oddities that do no harm; `catch_warnings` is not for threads.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    memory = Store(store)
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="picture")
    try:
        yield from _told(_chunks(iter(paths), memory, pool), len(paths), tell)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        memory.close()


def _told(looks: Iterator[Look], total: int, tell: Callable[[int, int], None] | None) -> Iterator[Look]:
    """The same looks, counted; a screen is not told more often than an eye can see."""
    if tell is None:
        yield from looks
        return
    due = 0.0
    for done, look in enumerate(looks, 1):
        yield look
        now = time.monotonic()
        if now >= due or done == total:
            tell(done, total)
            due = now + TELL_S


def _chunks(paths: Iterator[Path], memory: Store, pool: Executor) -> Iterator[Look]:
    """Some chunks ahead in the works, the oldest one finished first."""
    budget = Budget()
    works: deque[Chunk] = deque()
    try:
        while True:
            while len(works) < AHEAD and (part := list(islice(paths, CHUNK))):
                works.append(_begin(part, memory, pool, budget))
            if not works:
                return
            yield from works[0].finish(memory)
            works.popleft()
    finally:
        for chunk in works:
            chunk.rescue(memory)


@dataclass(kw_only=True, slots=True)
class Chunk:
    """Some files: those that are known, and those that are being decoded."""

    paths: list[Path]
    known: dict[Path, Look]
    tasks: list[tuple[list[Stamped], Future[list[Look]]]]

    def finish(self, memory: Store) -> Iterator[Look]:
        """All in order, each as soon as it is there; then remember those that are new."""
        fresh = (look for _, future in self.tasks for look in future.result())
        for path in self.paths:
            yield self.known.get(path) or next(fresh)
        self.rescue(memory)

    def rescue(self, memory: Store) -> None:
        """Remember what is decoded so far: the next look begins there."""
        done = []
        for files, future in self.tasks:
            if future.cancel() or not future.done():
                continue
            with suppress(Exception):
                done += [(look, print_) for look, (_, print_) in zip(future.result(), files, strict=True)]
        memory.add(done)


def _begin(paths: list[Path], memory: Store, pool: Executor, budget: Budget) -> Chunk:
    """Ask the store for one chunk and hand the unknown files to the pool, in tasks of about equal work."""
    files = [(path, _stamp(path)) for path in paths]
    known = memory.find(files)
    unknown = [file for file in files if file[0] not in known]
    tasks = [(task, pool.submit(_decode_all, [path for path, _ in task], budget)) for task in _tasks(unknown)]
    return Chunk(paths=paths, known=known, tasks=tasks)


def _decode_all(paths: list[Path], budget: Budget) -> list[Look]:
    return [decode(path, budget) for path in paths]


def _tasks(files: list[Stamped]) -> Iterator[list[Stamped]]:
    task: list[Stamped] = []
    size = 0
    for file in files:
        task.append(file)
        size += file[1][0] if file[1] else 0
        if len(task) == TASK_FILES or size > TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task


def _stamp(path: Path) -> Fingerprint | None:
    try:
        return fingerprint(path.stat())
    except (OSError, ValueError):
        return None
