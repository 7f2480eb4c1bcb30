"""What one image may cost: no file, however it is made, takes more than about a second or some hundred megabytes.

Measured on one busy core: 49 megapixels of noise take 1.0 s as PNG or WebP, 0.25 s as JPEG, and a JPEG of 178
megapixels 0.1 s (0.7 s progressive) when it is decoded at an eighth of its size, which still reads all of its data.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGA = 1_000_000
# Larger ones are not decoded in full: JPEGs at an eighth of their size, of others only the checksums are read.
LARGE_PIXELS = 40 * MEGA
# Pillow refuses more than twice its MAX_IMAGE_PIXELS, and so does the trainer, which leaves that number as it is.
MOST_PIXELS = 2 * (1024**3 // 4 // 3)
# Scans of a progressive JPEG: encoders make about ten. Each costs one to two nanoseconds for every pixel.
MOST_SCANS = 100
MOST_SCANNED = 400 * MEGA
# Pixels that are in the works at one time, in all threads together: four bytes each.
PIXELS_AT_ONCE = 80 * MEGA
SMALL_PIXELS = 1 * MEGA  # below that nobody waits for anybody
# A larger file is decoded from the disk instead of from memory, and a still larger one is not compared by content.
MOST_READ_BYTES = 64 << 20
MOST_DIGESTED_BYTES = 256 << 20


class Budget:
    """Pixels that may be decoded at one time; a thread waits until there is room for its image."""

    def __init__(self, pixels: int = PIXELS_AT_ONCE) -> None:
        self._all = self._free = pixels
        self._changed = Condition()

    @contextmanager
    def spend(self, pixels: int) -> Iterator[None]:
        """Room for one image; one that is larger than all there is waits until nobody else decodes."""
        if pixels <= SMALL_PIXELS:
            yield
            return
        need = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= need)
            self._free -= need
        try:
            yield
        finally:
            with self._changed:
                self._free += need
                self._changed.notify_all()
