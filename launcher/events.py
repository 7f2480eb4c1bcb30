"""The language of `events.jsonl`: one JSON object per line, appended, never rewritten.

Phases of the trainers: load_models, cache_latents, cache_text_encoder_outputs, train_loop; inside of it sampling,
hash_model.

Every event has `v` (version, 1), `t` (seconds since the epoch) and `type`. Steps are absolute (of the whole
training, over all resumes), counted from 1. Paths are relative to the run folder, with forward slashes.

| type | further fields |
|---|---|
| start | pid, started (process start time), trainer, torch, device, resumed_step (0 when fresh) |
| totals | total_steps, steps_per_epoch, epochs, images |
| phase | name, state ("begin" or "end"), seconds*, peak_vram_mib*, peak_ram_mib*   (* at the end) |
| progress | phase, done, total   (caching; at most some a second) |
| step | step, epoch, loss, avg_loss, lr {name: value}, seconds, vram_mib* |
| save | step, path, bytes, final |
| boosts | boosts [{name, kind ("exact", "rounding" or "approximate"), used, reason (why not, or why not everywhere), seconds (of its start)}], ops ("triton" or "torch"), device, seconds (of all)   once, before the first step |
| state | step, epoch, path, bytes, seconds |
| sample | step, path, prompt |
| warning | message, count |
| hold | state ("begin" or "end"), reason, step, seconds*, expired* (* at the end)   training waits between two steps |
| error | error (class name), message, traceback, phase, step |
| end | status (a Status value), step, seconds |

`warnings.jsonl` is written by the supervisor's guard alone (appending from two processes is not safe on Windows, nor on
network drives) and has one type, of which each warning has two events:

| type | further fields |
|---|---|
| warning | kind, state "begin", message, fix, act ("", "hold" or "pause"), step |
| warning | kind, state "end", seconds, step |
"""

from __future__ import annotations

import errno
import json
import os
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

from launcher.files import read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
Event = dict[str, Any]


class Status(str, Enum):
    """How a run stands. INTERRUPTED: the process is gone and left no result."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"

    @property
    def is_live(self) -> bool:
        return self in {Status.PENDING, Status.RUNNING}

    @property
    def is_resumable(self) -> bool:
        return self in {Status.PAUSED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED}


class EventWriter:
    """Appends events; each line is one `write` to a file opened for appending, so lines never mix."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
        )
        self._is_torn = False  # a full disk took only the beginning of the last line
        if _ends_inside_a_line(path):  # a power cut may leave half a line: it must not swallow our first one
            os.write(self._handle, b"\n")

    def write(self, kind: str, /, **fields: object) -> None:
        """Append one event.

        Raises:
            OSError: it is not, or not wholly, in the file (disk full); what follows starts on a line of its own.
        """
        event = {"v": VERSION, "t": round(time.time(), 3), "type": kind, **fields}
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self._handle, line)
        self._is_torn = written != len(line)
        if self._is_torn:
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes were written")

    def close(self) -> None:
        os.close(self._handle)


def _ends_inside_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"


def parse_event(line: bytes) -> Event | None:
    """One line as an event, or None for garbage (a reader skips it and goes on)."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if (
        isinstance(event, dict)
        and isinstance(event.get("type"), str)
        and isinstance(event.get("t"), (int, float))
    ):
        return event
    return None


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Events from byte `offset` on, each with the offset behind it; garbage is skipped, memory is one line."""
    for line, behind in read_lines(path, offset):
        event = parse_event(line)
        if event is not None:
            yield event, behind
