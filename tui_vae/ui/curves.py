"""A long series, kept as few buckets: the lowest, the highest and the smoothed value of each.

Points are fed as they come. When the buckets are full, neighbours are merged: memory and the work of a redraw stay
bounded however long a run is, and no extreme is ever lost.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

LIMIT = 1024

HUGE = 1e150
"""Whatever lies beyond is no value of a curve, as little as an infinity is."""


class Column(NamedTuple):
    """What a series does within one column of dots."""

    x: int
    low: float
    high: float
    smooth: float


class Curve:
    """Fed with points in the order of x. A value that is not finite, or as good as that, makes a gap."""

    def __init__(self, smoothing: float = 0.0, limit: int = LIMIT) -> None:
        self.smoothing = smoothing
        self._limit = limit
        self._stride = 1
        self._filled = 0  # points in the newest bucket
        self._x, self._low, self._high, self._smooth = (array("d") for _ in range(4))
        self._mean = 0.0
        self._weight = 0.0

    def __len__(self) -> int:
        return len(self._x)

    def add(self, x: float, y: float) -> None:
        self.extend(((x, y),))

    def extend(self, points: Iterable[tuple[float, float]]) -> None:
        smoothing, fresh = self.smoothing, 1 - self.smoothing
        xs, lows, highs, smooths = self._x, self._low, self._high, self._smooth
        for x, y in points:
            if -HUGE < y < HUGE:  # the mean of an exponential window, corrected for its start
                self._mean = smoothing * self._mean + fresh * y
                self._weight = smoothing * self._weight + fresh
                smooth = self._mean / self._weight
            else:
                y = smooth = math.nan
            if 0 < self._filled < self._stride:
                xs[-1] = x
                self._filled += 1
                if y == y:
                    lows[-1], highs[-1], smooths[-1] = _lower(lows[-1], y), _higher(highs[-1], y), smooth
                continue
            if len(xs) == self._limit:
                self._halve()
            xs.append(x)
            lows.append(y)
            highs.append(y)
            smooths.append(smooth)
            self._filled = 1

    def _halve(self) -> None:
        for left in range(0, len(self._x) - 1, 2):
            right, to = left + 1, left // 2
            self._x[to] = self._x[right]
            self._low[to] = _lower(self._low[left], self._low[right])
            self._high[to] = _higher(self._high[left], self._high[right])
            self._smooth[to] = self._smooth[left] if math.isnan(self._smooth[right]) else self._smooth[right]
        for column in (self._x, self._low, self._high, self._smooth):
            del column[self._limit // 2 :]
        self._stride *= 2

    def at(self, x: float) -> tuple[float, float] | None:
        """The smoothed value nearest to x, and its place."""
        after = bisect_left(self._x, x)
        near = [at for at in (after - 1, after) if 0 <= at < len(self._x)]
        if not near:
            return None
        best = min(near, key=lambda at: abs(self._x[at] - x))
        return self._x[best], self._smooth[best]

    def runs(self, end: float, width: int) -> list[list[Column]]:
        """The series on `width` columns from 0 to `end`: at most one entry a column, a new list after every gap."""
        found: list[list[Column]] = []
        run: list[Column] = []
        scale = width / end
        for x, low, high, smooth in zip(self._x, self._low, self._high, self._smooth, strict=True):
            index = min(width - 1, int(x * scale))
            last = run[-1] if run else None
            if math.isnan(low):
                if last is not None and last.x != index:
                    found.append(run)
                    run = []
            elif last is not None and last.x == index:
                run[-1] = Column(index, min(last.low, low), max(last.high, high), smooth)
            else:
                run.append(Column(index, low, high, smooth))
        if run:
            found.append(run)
        return found


def _lower(a: float, b: float) -> float:
    return b if math.isnan(a) or b < a else a


def _higher(a: float, b: float) -> float:
    return b if math.isnan(a) or b > a else a
