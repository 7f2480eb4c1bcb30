"""Images that are there twice: the same bytes under two names, and the same picture saved again.

Near pairs among n hashes are found without comparing all with all: two hashes that differ in at most d bits agree fully
in at least one of d + 1 parts (pigeonhole), so that only hashes with an equal part are compared. Parts take every
(d + 1)-th bit, so that a white border does not make one part equal for all; where many agree in a part all the same
(drawings on white), those are parted once more by their other bits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from launcher.pictures.record import Look

BITS = 128
# Bits of 128 that may differ. tests/benchmarks/bench_likeness.py, 400 drawings on plain ground: within 8 bits lie 98.8 %
# and more of those saved again as JPEG, WebP or GIF or scaled (the worst: JPEG at a quarter of the size), 98.5 % of those made a tenth brighter, and 2 of 79,800 pairs of others.
MOST_DISTANCE = 8
MOST_STRETCH = 1.05  # how far the ratios of width to height may be apart: a copy that was scaled keeps it
CROWD = 64  # more hashes with an equal part are parted again
DEEPEST = 2
MOST_COMPARED = 30_000_000  # some three seconds


class Copies:
    """Collects looks and then tells who is a copy of whom. Memory: some hundred bytes for each image."""

    def __init__(self) -> None:
        self._paths: list[Path] = []  # the rest speaks of them by their numbers: hashing a path is slow
        self._first: dict[str, int] = {}
        self._same: dict[int, list[int]] = {}
        self._shapes: dict[int, list[tuple[float, int]]] = defaultdict(list)

    def add(self, look: Look) -> None:
        """Take one look in; a file that cannot be decoded is nobody's copy."""
        if look.fault:
            return
        number = len(self._paths)
        self._paths.append(look.path)
        if look.digest:
            first = self._first.setdefault(look.digest, number)
            if first != number:
                self._same.setdefault(first, [first]).append(number)
                return
        if look.likeness is not None and look.height:
            self._shapes[look.likeness].append((look.width / look.height, number))

    def same_files(self) -> list[list[Path]]:
        """Groups of two or more files with the same bytes, in the order of their first file."""
        return self._named(self._same[first] for first in sorted(self._same))

    def alike(self) -> list[list[Path]]:
        """Groups of two or more files that show nearly the same picture; of files with the same bytes only the first.

        A group is a chain: each one is near some other one of it.
        """
        chains = Chains(len(self._paths))
        for shapes in self._shapes.values():  # equal hashes: neighbours in the order of their ratios
            shapes.sort()
            for (low, one), (high, other) in pairwise(shapes):
                if high <= low * MOST_STRETCH:
                    chains.join(one, other)
        for hash_, near_hash in near_pairs(list(self._shapes)):
            for low, one in self._shapes[hash_]:
                for high, other in self._shapes[near_hash]:
                    if max(low, high) <= min(low, high) * MOST_STRETCH:
                        chains.join(one, other)
        return self._named(chains.groups())

    def _named(self, groups: Iterable[list[int]]) -> list[list[Path]]:
        return [[self._paths[number] for number in group] for group in groups]


class Chains:
    """Groups of numbers that grow together by pairs (union-find)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self._top(one), self._top(other)))
        self._above[high] = low

    def groups(self) -> list[list[int]]:
        """Those of two or more, in the order of their first members."""
        found: dict[int, list[int]] = defaultdict(list)
        for number in range(len(self._above)):
            found[self._top(number)].append(number)
        return [group for group in found.values() if len(group) > 1]

    def _top(self, number: int) -> int:
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number


def near_pairs(hashes: list[int], distance: int = MOST_DISTANCE) -> Iterator[tuple[int, int]]:
    """Pairs of different hashes that differ in at most `distance` bits; a pair may come more than once.

    Thousands that are all near each other (the frames of a film) have millions of pairs. After MOST_COMPARED only
    neighbours are compared, in the order of their bits: enough to chain them, though some may be missed.
    """
    work = Work(distance=distance, left=MOST_COMPARED)
    yield from _near(hashes, (1 << BITS) - 1, work, 1)


@dataclass(kw_only=True, slots=True)
class Work:
    """What to find, and how many comparisons may still be spent on it."""

    distance: int
    left: int


def _near(hashes: list[int], bits: int, work: Work, depth: int) -> Iterator[tuple[int, int]]:
    for part in _parts(bits, work.distance + 1):
        crowds: dict[int, list[int]] = defaultdict(list)
        for value in hashes:
            crowds[value & part].append(value)
        for crowd in crowds.values():
            if len(crowd) > CROWD and depth < DEEPEST:
                yield from _near(crowd, bits & ~part, work, depth + 1)
                continue
            for one, other in _compared(crowd, work):
                if (one ^ other).bit_count() <= work.distance:
                    yield one, other


def _compared(crowd: list[int], work: Work) -> Iterable[tuple[int, int]]:
    work.left -= len(crowd) * (len(crowd) - 1) // 2
    return combinations(crowd, 2) if work.left >= 0 else pairwise(sorted(crowd))


def _parts(bits: int, count: int) -> list[int]:
    """The set bits of a mask, dealt out to `count` masks like cards."""
    parts = [0] * count
    places = [place for place in range(BITS) if bits >> place & 1]
    for number, place in enumerate(places):
        parts[number % count] |= 1 << place
    return parts


def same_files(looks: Iterable[Look]) -> list[list[Look]]:
    """Groups of two or more files with the same bytes, in the order of their first file."""
    known, copies = _collect(looks)
    return [[known[path] for path in group] for group in copies.same_files()]


def alike(looks: Iterable[Look]) -> list[list[Look]]:
    """Groups of two or more files that show nearly the same picture but are not the same bytes.

    Of several files with the same bytes only the first one is compared. Flat images are in no group.
    """
    known, copies = _collect(looks)
    return [[known[path] for path in group] for group in copies.alike()]


def _collect(looks: Iterable[Look]) -> tuple[dict[Path, Look], Copies]:
    known = {look.path: look for look in looks}
    copies = Copies()
    for look in known.values():
        copies.add(look)
    return known, copies
