"""Which image comes when, and what chance does to it: a function of seed, epoch and place, of nothing that happened before.

Upstream shuffles from torch's global generator and lets the dataset learn the epoch one batch too late
(facts/sd-scripts.md 2.2), so a resumed training sees other images. Here every key that the sampler yields says its
epoch; the dataset, also its copy in a worker process, turns to that epoch before it fetches.

Nothing here derives from torch's classes: the module must be importable in a blink, and in workers.
"""

from __future__ import annotations

import hashlib
import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Key(NamedTuple):
    """One batch: the epoch (from 1), its number in the dataset, and the optimizer steps done before it."""

    epoch: int
    batch: int
    step: int


def permutation(count: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch. Python's generator: the same on every system and version."""
    order = list(range(count))
    random.Random(f"{seed}/{epoch}/order").shuffle(order)  # noqa: S311  (not cryptography)
    return order


class EpochSampler:
    """Yields keys.

    Args:
        count: batches of the dataset.
        seed: of the training.
        epoch: gives the current epoch, from 1.
        shards: processes that share the epoch; the order is filled up from its beginning so that all get equally many.
        accumulation: micro-batches a step.
    """

    def __init__(
        self, *, count: int, seed: int, epoch: Callable[[], int], shards: int = 1, accumulation: int = 1
    ) -> None:
        self._count = count
        self._seed = seed
        self._epoch = epoch
        self._shards = shards
        self._accumulation = accumulation
        self._resumed = (0, 0)

    def __len__(self) -> int:
        return -(-self._count // self._shards) * self._shards

    def resume_at(self, epoch: int, batches: int) -> None:
        """In this epoch each process has had so many batches already."""
        self._resumed = (epoch, batches * self._shards)

    def __iter__(self) -> Iterator[Key]:
        epoch = self._epoch()
        order = permutation(self._count, self._seed, epoch)
        group = self._shards * self._accumulation
        steps_before = (epoch - 1) * -(-len(self) // group)
        skipped = self._resumed[1] if self._resumed[0] == epoch else 0
        for position in range(skipped, len(self)):
            yield Key(epoch, order[position % self._count], steps_before + position // group)


@dataclass(frozen=True, slots=True)
class _Base:
    """The order in which a dataset stood before anything was shuffled by us."""

    indices: list[Any]
    buckets: list[list[Any]]


class OrderedDataset:
    """Upstream's dataset (or group of datasets), asked by `Key`."""

    def __init__(self, group: Any, seed: int) -> None:
        self._group = group
        self._seed = seed
        self._epoch = -1
        self._bases = [_base(dataset) for dataset in _members(group)]

    def __len__(self) -> int:
        return len(self._group)

    def __getitem__(self, key: Key) -> Any:
        self._turn_to(key.epoch)
        for dataset in _members(self._group):
            dataset.set_current_step(key.step)
        with own_chance(self._seed, key.epoch, key.batch):
            return self._group[key.batch]

    def _turn_to(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        for number, (dataset, base) in enumerate(zip(_members(self._group), self._bases, strict=True)):
            if base is None:  # a dataset class of the user's
                dataset.set_current_epoch(epoch)
                continue
            dataset.current_epoch = epoch  # not by set_current_epoch: that shuffles what the last epoch left
            chance = random.Random(f"{self._seed}/{epoch}/buckets/{number}")  # noqa: S311
            dataset.buckets_indices[:] = base.indices
            chance.shuffle(dataset.buckets_indices)
            for bucket, images in zip(dataset.bucket_manager.buckets, base.buckets, strict=True):
                bucket[:] = images
                chance.shuffle(bucket)
        self._epoch = epoch


def first(examples: Sequence[Any]) -> Any:
    """Collate: upstream's dataset makes whole batches itself."""
    return examples[0]


def _members(group: Any) -> list[Any]:
    return list(getattr(group, "datasets", None) or [group])


def _base(dataset: Any) -> _Base | None:
    if not hasattr(dataset, "buckets_indices") or not hasattr(dataset, "bucket_manager"):
        return None
    return _Base(list(dataset.buckets_indices), [list(bucket) for bucket in dataset.bucket_manager.buckets])


@contextmanager
def own_chance(seed: int, epoch: int, index: int) -> Iterator[None]:
    """Inside, the generators on the CPU (python, numpy, torch) depend on the arguments alone; behind, they are as before."""
    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  (upstream uses these)
    number = int.from_bytes(hashlib.sha256(f"{seed}/{epoch}/{index}".encode()).digest()[:8], "big")
    random.seed(number)
    np.random.seed(number & 0xFFFFFFFF)  # noqa: NPY002
    torch.default_generator.manual_seed(number >> 1)  # not torch.manual_seed: that would seed the cards too
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
