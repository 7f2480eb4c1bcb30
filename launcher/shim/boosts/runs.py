"""Tensors that lie side by side in memory, seen as one: one operation for a run of them instead of one for each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from launcher.shim.boosts.scene import Scene

MOST = 1 << 30  # elements of a run: kernels of older libraries count in 32 bits


@dataclass(frozen=True, slots=True)
class Run:
    """Tensors in the order in which they lie; `starts`: where each begins in it, in elements; `total`: of all."""

    members: tuple[Tensor, ...]
    starts: tuple[int, ...]
    total: int

    @staticmethod
    def of(members: Sequence[Tensor]) -> Run:
        sums = list(accumulate((one.numel() for one in members), initial=0))
        return Run(tuple(members), tuple(sums[:-1]), sums[-1])

    def flat(self, tensors: Sequence[Tensor] | None = None) -> Tensor | None:
        """One flat view of the members, or of other tensors of their sizes; None where these do not lie so.

        It shares their memory, and asks every time: a gradient is another tensor in each step.
        """
        tensors = self.members if tensors is None else tensors
        first = tensors[0]
        start, size, dtype = first.data_ptr(), first.element_size(), first.dtype
        if [one.data_ptr() for one in tensors] != [start + at * size for at in self.starts]:
            return None
        if any(one.dtype != dtype or not one.is_contiguous() for one in tensors):
            return None
        storage = first.untyped_storage()
        if start + self.total * size > storage.data_ptr() + storage.nbytes():
            return None  # another storage lies behind this one by chance
        return first.detach().as_strided((self.total,), (1,), first.storage_offset())


def runs_of(tensors: Iterable[Tensor]) -> list[Run]:
    """All runs of two and more tensors of one type and one storage, without a gap between them."""
    found: list[list[Tensor]] = []
    whole = [one for one in tensors if one.numel() and one.layout == torch.strided and one.is_contiguous()]
    at, total, storage, dtype = 0, 0, 0, None
    for one in sorted(whole, key=lambda tensor: tensor.data_ptr()):
        own = one.untyped_storage().data_ptr()
        is_next = one.data_ptr() == at and own == storage and one.dtype == dtype
        if not is_next or total + one.numel() > MOST:
            found.append([])
            total, storage, dtype = 0, own, one.dtype
        found[-1].append(one)
        total += one.numel()
        at = one.data_ptr() + one.numel() * one.element_size()
    return [Run.of(members) for members in found if len(members) > 1]


def reason_apart(scene: Scene, groups: Iterable[Iterable[Tensor]]) -> str | None:
    """Why nothing can be done for several of these weights at once, or None."""
    if not any(runs_of(group) for group in groups):
        return "weights do not lie together"
    if not scene.is_on("reduce"):
        return "gradients do not stay together: accelerate copies each (see the boost reduce)"
    return None
