"""A curve of bounded size from an endless stream of points."""

from __future__ import annotations

Point = tuple[float, ...]


class Curve:
    """Keeps at most `limit` points of a stream: the first, the last, and the lowest and highest of each bucket.

    A point is (x, y, ...); the extremes are those of y. Buckets hold equally many arrivals, so that it does not
    matter what x does; when there are too many of them, neighbours are merged. Memory: O(limit).
    """

    def __init__(self, limit: int) -> None:
        self._most_buckets = max(2, (limit - 2) // 2)
        self._width = 1
        self._left = 0  # arrivals until the open bucket is full
        self._lows: list[Point] = []
        self._highs: list[Point] = []
        self._low_comes_first: list[bool] = []
        self._first: Point | None = None
        self._last: Point | None = None

    def add(self, point: Point) -> None:
        if self._left == 0:
            self._open_bucket(point)
        else:
            y = point[1]
            if y < self._lows[-1][1]:
                self._lows[-1] = point
                self._low_comes_first[-1] = False
            elif y > self._highs[-1][1]:
                self._highs[-1] = point
                self._low_comes_first[-1] = True
        self._left -= 1
        self._last = point

    def points(self) -> tuple[Point, ...]:
        """The kept points in the order in which they came."""
        kept: list[Point] = [] if self._first is None else [self._first]
        for low, high, low_first in zip(self._lows, self._highs, self._low_comes_first, strict=True):
            for point in (low, high) if low_first else (high, low):
                if point is not kept[-1]:
                    kept.append(point)
        if self._last is not None and self._last is not kept[-1]:
            kept.append(self._last)
        return tuple(kept)

    def _open_bucket(self, point: Point) -> None:
        if self._first is None:
            self._first = point
        if len(self._lows) == self._most_buckets:
            self._merge()
        self._lows.append(point)
        self._highs.append(point)
        self._low_comes_first.append(True)
        self._left = self._width

    def _merge(self) -> None:
        """Twice as wide, half as many; of an odd number the last one stays alone."""
        lows: list[Point] = []
        highs: list[Point] = []
        order: list[bool] = []
        for at in range(0, len(self._lows), 2):
            last = min(at + 1, len(self._lows) - 1)
            low = at if self._lows[at][1] <= self._lows[last][1] else last
            high = at if self._highs[at][1] >= self._highs[last][1] else last
            lows.append(self._lows[low])
            highs.append(self._highs[high])
            order.append(low < high if low != high else self._low_comes_first[low])
        self._lows, self._highs, self._low_comes_first = lows, highs, order
        self._width *= 2
