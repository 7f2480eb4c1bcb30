"""torch's caching allocator on paper: what it takes from the card for a given order of allocations and frees.

Rules of `c10/cuda/CUDACachingAllocator.cpp` (read at v2.5 and v2.11, the same): sizes are rounded to 512 bytes; up to
1 MiB comes from segments of 2 MiB, up to 10 MiB from segments of 20 MiB, more from its own, rounded to 2 MiB; the smallest
free block that fits is split, neighbours are joined again; nothing is given back. With expandable segments each of
the two pools is one stretch of addresses that grows at its end by pages of 2 or 20 MiB. One stream; no garbage collection.
"""

from __future__ import annotations

from bisect import bisect_left, insort

MIB = 1 << 20
LEAST = 512
SMALL = MIB
SMALL_PAGE, LARGE_PAGE = 2 * MIB, 20 * MIB
OWN_SEGMENT = 10 * MIB


class Block:
    """A stretch of addresses, free or taken, between its neighbours."""

    __slots__ = ("after", "before", "is_free", "number", "pool", "size")

    def __init__(
        self, size: int, pool: Pool, before: Block | None = None, after: Block | None = None
    ) -> None:
        self.size, self.pool, self.before, self.after = size, pool, before, after
        self.is_free, self.number = True, 0


class Pool:
    """Free blocks by size, and the last block where the pool can grow."""

    __slots__ = ("blocks", "count", "end", "free", "is_expandable", "is_large")

    def __init__(self, *, is_large: bool, is_expandable: bool) -> None:
        self.is_large, self.is_expandable = is_large, is_expandable
        self.free: list[tuple[int, int]] = []  # size and number: numbers are given in the order of freeing
        self.blocks: dict[int, Block] = {}
        self.count = 0
        self.end: Block | None = None

    def put(self, block: Block) -> None:
        self.count += 1
        block.number, block.is_free = self.count, True
        self.blocks[self.count] = block
        insort(self.free, (block.size, self.count))

    def pull(self, block: Block) -> None:
        del self.free[bisect_left(self.free, (block.size, block.number))]
        del self.blocks[block.number]
        block.is_free = False

    def smallest(self, size: int) -> Block | None:
        place = bisect_left(self.free, (size, 0))
        return self.blocks[self.free[place][1]] if place < len(self.free) else None

    def grow(self, size: int) -> tuple[Block, int]:
        """A free block of this size from the card, and how much had to be taken for it."""
        if not self.is_expandable:
            taken = size_of_segment(size)
            block = Block(taken, self)
            self.put(block)
            return block, taken
        page, end = LARGE_PAGE if self.is_large else SMALL_PAGE, self.end
        there = end.size if end is not None and end.is_free else 0
        taken = -(-(size - there) // page) * page
        if end is not None and there:
            self.pull(end)
            end.size += taken
            self.put(end)
            return end, taken
        block = Block(taken, self, before=end)
        if end is not None:
            end.after = block
        self.end = block
        self.put(block)
        return block, taken

    def cut(self, block: Block, size: int) -> None:
        """Take a free block; what is more than `size` stays free."""
        self.pull(block)
        rest = block.size - size
        if rest > SMALL if self.is_large and not self.is_expandable else rest >= LEAST:
            other = Block(rest, self, before=block, after=block.after)
            if block.after is not None:
                block.after.before = other
            block.after, block.size = other, size
            if self.end is block:
                self.end = other
            self.put(other)

    def join(self, block: Block) -> None:
        """Free a block and make one of it and its free neighbours."""
        if block.after is not None and block.after.is_free:
            self.pull(block.after)
            self._swallow(block, block.after)
        if block.before is not None and block.before.is_free:
            before = block.before
            self.pull(before)
            self._swallow(before, block)
            block = before
        self.put(block)

    def _swallow(self, block: Block, after: Block) -> None:
        block.size += after.size
        block.after = after.after
        if after.after is not None:
            after.after.before = block
        if self.end is after:
            self.end = block


def size_of_segment(size: int) -> int:
    """What is taken from the card for a block that no segment has room for (bytes)."""
    if size <= SMALL:
        return SMALL_PAGE
    return LARGE_PAGE if size < OWN_SEGMENT else -(-size // (2 * MIB)) * 2 * MIB


class Allocator:
    """Counts what is asked for (`peak_allocated`) and what the card gives (`reserved`), in bytes."""

    def __init__(self, *, is_expandable: bool) -> None:
        self._small = Pool(is_large=False, is_expandable=is_expandable)
        self._large = Pool(is_large=True, is_expandable=is_expandable)
        self.reserved = self.allocated = self.peak_allocated = 0

    def take(self, size: int) -> Block:
        """An allocation of `size` bytes."""
        size = max(LEAST, -(-size // LEAST) * LEAST)
        pool = self._large if size > SMALL else self._small
        block = pool.smallest(size)
        if block is None:
            block, taken = pool.grow(size)
            self.reserved += taken
        pool.cut(block, size)
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return block

    def give(self, block: Block) -> None:
        """Free it."""
        self.allocated -= block.size
        block.pool.join(block)
