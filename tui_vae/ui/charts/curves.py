"""A long series, kept as few buckets: the lowest, the highest and the smoothed value of each.

Points are fed as they come. When the buckets are full, neighbours are merged: memory and the work of a redraw stay
bounded however long a run is, and no extreme is ever lost. A window too narrow for the buckets is drawn from the series
itself, where somebody keeps it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache, reduce
from itertools import accumulate
from operator import mul, truediv
from typing import NamedTuple

LIMIT = 8192

HUGE = 1e150
"""Whatever lies beyond is no value of a curve, as little as an infinity is."""

NEGLIGIBLE = 1e-12
"""The weight below which the past counts for nothing."""

Doubles = Sequence[float]


class Column(NamedTuple):
    """What a series does within one column of dots."""

    x: int
    low: float
    high: float
    smooth: float


class Reading(NamedTuple):
    """A curve's value at one place, as it was reported and smoothed."""

    x: float
    raw: float
    smooth: float


@cache
def _weights(smoothing: float) -> list[float]:
    """Of an exponential window, the newest last."""
    count = math.ceil(math.log(NEGLIGIBLE) / math.log(smoothing))
    return [(1 - smoothing) * smoothing**age for age in range(count - 1, -1, -1)]


class Mean:
    """The mean of an exponential window, corrected for its start."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._sum = math.nan if smoothing == 0 else 0.0
        self._weight = 1.0 if smoothing == 0 else 0.0

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else math.nan

    def after_each(self, groups: Sequence[Doubles]) -> list[float]:
        """Take in finite values, bucket by bucket: `groups` are all first ones, all second ones …

        Returns the mean after each bucket.
        """
        smoothing, before = self._smoothing, self._weight
        if smoothing == 0:
            self._sum = groups[-1][-1]
            return list(groups[-1])
        size, count = len(groups), len(groups[0])
        fading, fresh = smoothing**size, 1 - smoothing
        own = reduce(
            lambda sums, values: [smoothing * past + fresh * new for past, new in zip(sums, values, strict=True)],
            groups, [0.0] * count,
        )  # fmt: skip
        sums = list(accumulate(own, lambda past, new: fading * past + new, initial=self._sum))
        self._sum, self._weight = sums[-1], 1 - (1 - before) * fading**count
        light = min(count, math.ceil(len(_weights(smoothing)) / size))  # from there on the weight is one
        weights = [1 - (1 - before) * fading**number for number in range(1, light + 1)]
        return [*map(truediv, sums[1:], weights), *sums[light + 1 :]]

    def add(self, values: Doubles) -> None:
        """Take in finite values."""
        smoothing, count = self._smoothing, len(values)
        if smoothing == 0:
            self._sum = values[-1]
        elif count < 8:
            for value in values:
                self._sum = smoothing * self._sum + (1 - smoothing) * value
                self._weight = smoothing * self._weight + 1 - smoothing
        else:
            weights = _weights(smoothing)
            past = smoothing**count
            if count >= len(weights):
                self._sum = sum(map(mul, weights, values[-len(weights) :]))
            else:
                self._sum = past * self._sum + sum(map(mul, weights[-count:], values))
            self._weight = past * self._weight + 1 - past


class Curve:
    """Fed with points in the order of x. A value that is not finite, or as good as that, makes a gap.

    `whole`: the x and y of the series itself, which somebody else keeps and lets grow.
    """

    def __init__(
        self, smoothing: float = 0.0, limit: int = LIMIT, whole: tuple[array[float], array[float]] | None = None
    ) -> None:
        self.smoothing = smoothing
        self._limit = limit
        self._whole = whole
        self._stride = 1
        self._filled = 0  # points in the newest bucket
        self._x, self._low, self._high, self._smooth = (array("d") for _ in range(4))
        self._mean = Mean(smoothing)

    def __len__(self) -> int:
        return len(self._x)

    def add(self, x: float, y: float) -> None:
        self.extend((x,), (y,))

    def extend(self, xs: Doubles, ys: Doubles) -> None:
        at, count = 0, len(xs)
        finite = count > 1 and not math.isnan(sum(ys)) and min(ys) > -HUGE and max(ys) < HUGE
        while len(self._x) * self._stride + count > self._limit * self._stride and len(self._x) > self._limit // 2:
            self._halve()
        while not self._x and count > self._limit * self._stride:
            self._stride *= 2
        while at < count:
            if not self._x or self._filled == self._stride:
                if len(self._x) == self._limit:
                    self._halve()
                    continue
                whole = min((count - at) // self._stride, self._limit - len(self._x)) if finite else 0
                if whole:
                    taken = whole * self._stride
                    self._fill_whole(xs[at : at + taken], ys[at : at + taken])
                    at += taken
                    continue
                self._filled = 0
                for column, value in ((self._x, 0.0), (self._low, math.inf), (self._high, -math.inf)):
                    column.append(value)
                self._smooth.append(math.nan)
            taken = min(self._stride - self._filled, count - at)
            self._fill(xs[at + taken - 1], ys[at : at + taken])
            self._filled += taken
            at += taken

    def _fill_whole(self, xs: Doubles, ys: Doubles) -> None:
        """Add finite values that fill whole buckets: map and slices do at once what else is a call for every bucket."""
        stride = self._stride
        groups = [ys[first::stride] for first in range(stride)]
        self._x.extend(xs[stride - 1 :: stride])
        self._low.extend(reduce(_lower, groups))
        self._high.extend(reduce(_higher, groups))
        self._smooth.extend(self._mean.after_each(groups))
        self._filled = stride

    def _fill(self, x: float, ys: Doubles) -> None:
        """Add to the newest bucket. One in which nothing is finite stays a hole: its low is above its high."""
        self._x[-1] = x
        low, high, values = _range(ys)
        if low <= high:
            self._mean.add(values)
            self._low[-1], self._high[-1] = min(self._low[-1], low), max(self._high[-1], high)
            self._smooth[-1] = self._mean.value

    def _halve(self) -> None:
        """Merge neighbours; an odd last bucket stays alone, to be filled further."""
        odd = len(self._x) % 2
        rest = [column[-1:] if odd else array("d") for column in (self._x, self._low, self._high, self._smooth)]
        lows, highs, smooths = self._low, self._high, self._smooth
        pairs = zip(smooths[0::2], smooths[1::2], strict=False)
        smooth = [left if math.isnan(right) else right for left, right in pairs]
        self._x = self._x[1::2] + rest[0]
        self._low = array("d", _lower(lows[0::2], lows[1::2])) + rest[1]
        self._high = array("d", _higher(highs[0::2], highs[1::2])) + rest[2]
        self._smooth = array("d", smooth) + rest[3]
        if not odd:
            self._filled += self._stride
        self._stride *= 2

    def at(self, x: float) -> Reading | None:
        """The values nearest to x, and their place."""
        xs, ys = self._whole or (self._x, self._smooth)
        after = bisect_left(xs, x)
        near = [at for at in (after - 1, after) if 0 <= at < len(xs)]
        if not near:
            return None
        best = min(near, key=lambda at: abs(xs[at] - x))
        smooth = self._mean_before(best + 1).value if self._whole else ys[best]
        return Reading(xs[best], ys[best], smooth)

    def runs(self, edges: Doubles) -> list[list[Column]]:
        """The series in the columns between these edges: at most one entry a column, a new list after every gap."""
        low, high = bisect_left(self._x, edges[0]), bisect_left(self._x, edges[-1])
        if self._whole is not None and self._stride > 1 and high - low < len(edges):
            return self._runs_of_the_whole(edges)
        lows, highs, smooths = self._low, self._high, self._smooth
        found = _Runs(len(edges) - 1)
        for column, start, stop in _slices(self._x, edges):
            least, greatest = min(lows[start:stop]), max(highs[start:stop])
            smooth = smooths[stop - 1]
            if smooth != smooth and least <= greatest:
                smooth = next(value for value in reversed(smooths[start:stop]) if value == value)
            found.add(Column(column, least, greatest, smooth))
        found.reach_the_edges(self._x, smooths, edges)
        return found.runs

    def _runs_of_the_whole(self, edges: Doubles) -> list[list[Column]]:
        xs, ys = self._whole or (self._x, self._smooth)
        found = _Runs(len(edges) - 1)
        mean = self._mean_before(bisect_left(xs, edges[0]))
        for column, start, stop in _slices(xs, edges):
            low, high, values = _range(ys[start:stop])
            if low <= high:
                mean.add(values)
            found.add(Column(column, low, high, mean.value))
        found.reach_the_edges(xs, ys, edges)
        return found.runs

    def _mean_before(self, stop: int) -> Mean:
        """The smoothed value of the series itself, up to that point."""
        mean = Mean(self.smoothing)
        if self._whole is not None and stop:
            reach = len(_weights(self.smoothing)) if self.smoothing else 1
            low, high, values = _range(self._whole[1][max(0, stop - reach) : stop])
            if low <= high:
                mean.add(values)
        return mean


class _Runs:
    """Columns from the left, divided at the gaps."""

    def __init__(self, width: int) -> None:
        self.runs: list[list[Column]] = []
        self._width = width
        self._open = False

    def add(self, column: Column) -> None:
        if column.low > column.high:  # a hole
            self._open = False
        elif self._open:
            self.runs[-1].append(column)
        else:
            self.runs.append([column])
            self._open = True

    def reach_the_edges(self, xs: Doubles, ys: Doubles, edges: Doubles) -> None:
        """Lead the curve to the sides of its window, where it goes on beyond them."""
        for edge, x in ((edges[0], 0), (edges[-1], self._width - 1)):
            after = bisect_left(xs, edge)
            if not 0 < after < len(xs):
                continue
            share = (edge - xs[after - 1]) / (xs[after] - xs[after - 1])
            value = ys[after - 1] + share * (ys[after] - ys[after - 1])
            if not -HUGE < value < HUGE:
                continue
            column = Column(x, value, value, value)
            if not self.runs:
                self.runs = [[column]]
            elif x == 0 and self.runs[0][0].x > 0:
                self.runs[0].insert(0, column)
            elif x and self._open and self.runs[-1][-1].x < x:
                self.runs[-1].append(column)
            elif x and len(self.runs) == 1 and len(self.runs[0]) == 1 and self.runs[0][0].x == 0:
                self.runs[0].append(column)


def _lower(some: Iterable[float], others: Iterable[float]) -> list[float]:
    """The lower of each two."""
    return [one if one < other else other for one, other in zip(some, others, strict=False)]


def _higher(some: Iterable[float], others: Iterable[float]) -> list[float]:
    return [one if one > other else other for one, other in zip(some, others, strict=False)]


def _range(ys: Doubles) -> tuple[float, float, Doubles]:
    """The lowest, the highest and all values that are finite; the lowest is above the highest where there is none."""
    low, high, total = min(ys), max(ys), sum(ys)
    if total == total and low > -HUGE and high < HUGE:
        return low, high, ys
    finite = [y for y in ys if -HUGE < y < HUGE]
    return (min(finite), max(finite), finite) if finite else (math.inf, -math.inf, finite)


def _slices(xs: Doubles, edges: Doubles) -> list[tuple[int, int, int]]:
    """Which points fall into each column that has any; the last edge belongs to the last column."""
    found = []
    start = bisect_left(xs, edges[0])
    last = len(edges) - 2
    for column in range(last + 1):
        stop = bisect_left(xs, edges[column + 1], start)
        if column == last and stop < len(xs) and xs[stop] == edges[-1]:
            stop += 1
        if stop > start:
            found.append((column, start, stop))
            start = stop
    return found
