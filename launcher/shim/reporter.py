"""Writes events and never disturbs the training: what cannot be written is told once on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launcher.events import EventWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Reporter:
    """An `EventWriter` that fails open and knows the run folder, so that paths in events are relative to it."""

    def __init__(self, events: Path, *, rank: int = 0) -> None:
        self._path = events
        self._rank = rank
        self._listeners: dict[str, Callable[[], None]] = {}
        self._folder = events.parent
        self._writer: EventWriter | None = None
        self._has_complained = False

    def emit(self, kind: str, **fields: object) -> None:
        """Append one event; a full disk or a deleted folder costs the event, not the training.

        Of several processes only the first tells the story; the others tell why they failed.
        """
        if self._rank and kind != "error":
            return
        try:
            if self._writer is None:
                self._writer = EventWriter(self._path)
            self._writer.write(kind, **fields)
        except (OSError, ValueError, TypeError) as error:
            self._complain(f"launcher: this event could not be written, training goes on: {kind}: {error}")
        if kind in self._listeners:
            self._listeners[kind]()

    def listen(self, kind: str, action: Callable[[], None]) -> None:
        """Call `action` behind every event of this kind."""
        self._listeners[kind] = action

    def attempt(self, action: Callable[..., object], *arguments: object) -> None:
        """Carry out something that only reports; whatever goes wrong in it, training goes on."""
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001  (fails open: no bug of ours may end ten hours of training)
            self._complain(f"launcher: a report failed, training goes on: {type(error).__name__}: {error}")

    def relative(self, path: Path) -> str:
        """`path` as events give it: from the run folder, with forward slashes."""
        try:
            return path.relative_to(self._folder).as_posix()
        except ValueError:
            return path.as_posix()

    def _complain(self, text: str) -> None:
        if not self._has_complained and sys.stderr is not None:
            self._has_complained = True
            sys.stderr.write(text + "\n")
