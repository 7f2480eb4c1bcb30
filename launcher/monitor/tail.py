"""A growing file of JSON lines, read forward in blocks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 256 * 1024  # also the longest line that is believed: longer ones are garbage and are skipped


class Tail:
    """Hands out the JSON objects appended since the last call; memory is one block, whatever the file's size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._identity: tuple[int, int] | None = None
        self._is_inside_long_line = False

    def has_restarted(self) -> bool:
        """Whether the file was cut or replaced since the last call; then reading begins anew at its start."""
        try:
            stat = self._path.stat()
        except OSError:
            return False
        identity = (stat.st_dev, stat.st_ino)
        is_new = self._identity is not None and (identity != self._identity or stat.st_size < self._offset)
        self._identity = identity
        if is_new:
            self._offset = 0
            self._is_inside_long_line = False
        return is_new

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """The objects of the complete lines from here on, a block at a time; an unfinished last line waits."""
        try:
            stream = self._path.open("rb")
        except OSError:
            return
        with stream:
            while True:
                stream.seek(self._offset)
                block = stream.read(BLOCK_BYTES)
                end = block.rfind(b"\n") + 1
                if not end:
                    if len(block) < BLOCK_BYTES:
                        return
                    self._is_inside_long_line = True
                    self._offset += len(block)
                    continue
                self._offset += end
                begin = block.index(b"\n") + 1 if self._is_inside_long_line else 0
                self._is_inside_long_line = False
                yield _parse(block[begin:end])


def _parse(block: bytes) -> list[dict[str, Any]]:
    """All objects of a block. One parse of the whole block costs half of a parse for each line."""
    lines = block.splitlines()
    try:
        values = json.loads((b"[" + b",".join(lines) + b"]").decode())
    except (ValueError, RecursionError):
        values = ()
    if len(values) != len(lines):
        values = [_parse_line(line) for line in lines]
    return [value for value in values if type(value) is dict]


def _parse_line(line: bytes) -> Any:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
