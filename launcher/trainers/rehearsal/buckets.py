"""Buckets: images of like shape are trained together at a like size. Pixels here are those of a real SDXL run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketSettings:
    """How images are sorted by shape; sizes in pixels."""

    resolution: Size
    enabled: bool
    min_reso: int
    max_reso: int
    steps: int
    no_upscale: bool

    def check(self) -> None:
        """Raises: InputError, for the combinations that upstream refuses."""
        if min(self.resolution) < 1:
            raise InputError(f"resolution {self.resolution} is not a size")
        if not self.enabled:
            return
        if self.steps < 1 or self.steps % 32:
            raise InputError(f"bucket_reso_steps must be divisible by 32 for SDXL, not {self.steps}")
        if self.min_reso > min(self.resolution):
            raise InputError(
                f"min_bucket_reso {self.min_reso} is larger than resolution {min(self.resolution)}"
            )
        if self.max_reso < max(self.resolution):
            raise InputError(
                f"max_bucket_reso {self.max_reso} is smaller than resolution {max(self.resolution)}"
            )

    def choose(self, image: Size) -> Size:
        """The bucket for an image: the one whose aspect ratio is nearest, or the resolution without buckets."""
        if not self.enabled:
            return self.resolution
        if self.no_upscale:
            return self._shrink(image)
        aspect = image[0] / image[1]
        return min(self.sizes(), key=lambda size: (abs(size[0] / size[1] - aspect), size))

    def sizes(self) -> list[Size]:
        """All sizes of at most the resolution's area, in steps."""
        area = self.resolution[0] * self.resolution[1]
        found: set[Size] = set()
        for width in range(self._down(self.min_reso), self.max_reso + 1, self.steps):
            height = min(self._down(self.max_reso), self._down(area // max(width, 1)))
            if height >= self.min_reso:
                found |= {(width, height), (height, width)}
        square = self._down(int(area**0.5))
        return sorted(found | {(square, square)})

    def _shrink(self, image: Size) -> Size:
        area = self.resolution[0] * self.resolution[1]
        scale = min(1.0, (area / (image[0] * image[1])) ** 0.5)
        width, height = (self._down(round(side * scale)) for side in image)
        return width, height

    def _down(self, side: int) -> int:
        return max(self.steps, side // self.steps * self.steps)


class BucketBatches:
    """Batches of item numbers for one epoch: all of one bucket, in an order that only seed and epoch decide.

    So an interrupted epoch can be taken up at any batch without knowing a random generator's state.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[int], int]], seed: int) -> None:
        """`groups`: for each bucket its item numbers (repeats included) and its batch size."""
        self._groups = groups
        self._seed = seed
        self.epoch = 0
        self.batch_size = max((size for _, size in groups), default=1)  # accelerate looks for it
        self.drop_last = False

    def __len__(self) -> int:
        return sum(-(-len(items) // size) for items, size in self._groups)

    def __iter__(self) -> Iterator[list[int]]:
        chance = random.Random(f"{self._seed} {self.epoch}")  # noqa: S311  (data order, not secrets)
        batches: list[list[int]] = []
        for items, size in self._groups:
            shuffled = list(items)
            chance.shuffle(shuffled)
            batches += [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
        chance.shuffle(batches)
        return iter(batches)
