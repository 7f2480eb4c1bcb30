"""Decodes the next images while the VAE encodes one.

sd-scripts 0.10 loads images in threads, as many as a batch has images: with the usual batch of one the card waits for
each picture, and the disk for the card. Upstream takes a `Future` in place of an image (it makes one itself), so the
next pictures are asked for a little earlier, by upstream's own function with upstream's own arguments.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

VERSIONS = ("v0.10.1",)  # where upstream waits for a Future; older versions take it for the picture itself
MOST_AHEAD = 4
MOST_BYTES = 256 << 20  # of decoded pictures that wait
MOST_THREADS = 2
CHANNELS = 4


class Ahead:
    """The next pictures of one dataset, in upstream's order."""

    def __init__(self, dataset: Any, load: Callable[..., Any]) -> None:
        """`load`: upstream's `load_image`."""
        self._dataset = dataset
        self._load = load
        self._order = in_order(dataset.image_data.values())
        self._places = {id(info): place for place, info in enumerate(self._order)}
        self._pool = ThreadPoolExecutor(max(1, min(MOST_THREADS, os.cpu_count() or 1)))

    def advance(self, infos: Sequence[Any]) -> None:
        """These are about to be encoded: ask for those behind them."""
        place = self._places.get(id(infos[-1]))
        if place is None:
            return
        waiting = 0
        for info in self._order[place + 1 : place + 1 + MOST_AHEAD]:
            waiting += bytes_of(info)
            if waiting > MOST_BYTES:
                return
            if info.image is None and info.latents_npz is None:
                has_alpha = self._dataset.image_to_subset[info.image_key].alpha_mask
                info.image = self._pool.submit(self._load, info.absolute_path, has_alpha)

    def close(self) -> None:
        """Whatever was asked for in vain is let go."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for info in self._order:
            if isinstance(info.image, Future):
                info.image = None


def in_order(infos: Iterable[Any]) -> list[Any]:
    """By area, as upstream goes through them; equal ones stay in their order."""
    return sorted(infos, key=lambda info: info.bucket_reso[0] * info.bucket_reso[1])


def bytes_of(info: Any) -> int:
    """Of the decoded picture, at most."""
    width, height = info.image_size
    return int(width) * int(height) * CHANNELS
