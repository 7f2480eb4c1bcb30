"""Buckets as sd-scripts chooses them, so that steps can be counted before a training starts.

Reproduces the results of `BucketManager.select_bucket` and `make_bucket_resolutions` (library/train_util.py and
library/model_util.py, v0.10.1 and the fp8 fork); tests compare it with that code.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """How images are sorted by shape; sizes in pixels."""

    resolution: Size
    enabled: bool
    min_reso: int = 256
    max_reso: int = 1024
    steps: int = 64
    no_upscale: bool = False
    rounds_limits: bool = (
        True  # v0.10.1 makes the limits multiples of the steps; the fork takes them as they are
    )

    def choose(self, image: Size) -> Size | None:
        """The bucket of an image; None where upstream would stop (an image of no size)."""
        if min(image) < 1:
            return None
        if not self.enabled:
            return self.resolution
        if self.no_upscale:
            return self._shrunk(image)
        if image in self._sizes:
            return image
        aspect = image[0] / image[1]
        return min(self._sizes, key=lambda size: abs(size[0] / size[1] - aspect))  # the first of equals

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest side."""
        if not self.rounds_limits:
            return self.min_reso, self.max_reso
        return self.min_reso // self.steps * self.steps, -(-self.max_reso // self.steps) * self.steps

    @cached_property
    def _sizes(self) -> list[Size]:
        least, most = self.limits
        area = self.resolution[0] * self.resolution[1]
        square = int(math.sqrt(area) // self.steps) * self.steps
        found = {(square, square)}
        for width in range(max(1, least), most + 1, self.steps):
            height = min(most, int((area // width) // self.steps) * self.steps)
            if height >= least:
                found |= {(width, height), (height, width)}
        return sorted(size for size in found if min(size) > 0)

    def resized(self, image: Size) -> Size | None:
        """The size to which an image is scaled before what its bucket lacks is cut off; None as in `choose`."""
        bucket = self.choose(image)
        if bucket is None:
            return None
        if self.enabled and self.no_upscale:
            return self._scaled_down(image)
        is_wider = image[0] / image[1] > bucket[0] / bucket[1]
        scale = bucket[1] / image[1] if is_wider else bucket[0] / image[0]
        return int(image[0] * scale + 0.5), int(image[1] * scale + 0.5)

    def _shrunk(self, image: Size) -> Size | None:
        """Without enlarging: the image's own shape, cut down to whole steps."""
        scaled = self._scaled_down(image)
        if scaled is None:
            return None
        size = scaled[0] - scaled[0] % self.steps, scaled[1] - scaled[1] % self.steps
        return size if min(size) > 0 else None  # smaller than a step: upstream divides by zero

    def _scaled_down(self, image: Size) -> Size | None:
        """What fits into the resolution's area, one side in whole steps; smaller images as they are."""
        width, height = image
        aspect = width / height
        area = self.resolution[0] * self.resolution[1]
        if width * height > area:
            wide = math.sqrt(area * aspect)
            by_width = self._rounded(wide)
            by_height = self._rounded(area / wide)
            other_height, other_width = self._rounded(by_width / aspect), self._rounded(by_height * aspect)
            if min(other_height, by_height) < 1:
                return None
            if abs(by_width / other_height - aspect) < abs(other_width / by_height - aspect):
                width, height = by_width, int(by_width / aspect + 0.5)
            else:
                width, height = int(by_height * aspect + 0.5), by_height
        return width, height

    def _rounded(self, side: float) -> int:
        whole = int(side + 0.5)
        return whole - whole % self.steps


def count_batches(buckets: Iterable[tuple[Size, int]], batch_size: int) -> int:
    """Batches of an epoch: (bucket, how often the image is shown) of every image; the last of each bucket may be small."""
    counts: Counter[Size] = Counter()
    for bucket, repeats in buckets:
        counts[bucket] += repeats
    return sum(-(-count // batch_size) for count in counts.values())


def regularise(train_count: int, repeats: Sequence[int]) -> list[int]:
    """How often each regularisation image is shown: they are taken in turn until there are as many as train images.

    `train_count` and `repeats` (of each regularisation image) count repeats, as upstream does.
    """
    shown = [0] * len(repeats)
    total = 0
    is_first_round = True
    while total < train_count and repeats:
        for number, times in enumerate(repeats):
            more = times if is_first_round else 1
            shown[number] += more
            total += more
            if total >= train_count:
                break
        is_first_round = False
    return shown
