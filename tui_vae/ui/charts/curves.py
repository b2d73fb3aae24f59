"""A long series as a bounded number of buckets: the lowest, the highest and the smoothed value of each.

Points are added as they come. When the buckets are full, neighbours are merged: memory and the work of a redraw stay
bounded however long a run is, and no extreme is ever lost. A window too narrow for the buckets is drawn from the series
itself, if the caller keeps it.
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

MAX_BUCKETS = 8192
"""The most buckets that a curve keeps: after merging still five for each dot column of a chart 400 cells wide."""

HUGE = 1e150
"""Values of at least this size make a gap, as infinities do."""

NEGLIGIBLE = 1e-12
"""The weight in an exponential mean below which an old value is left out."""

FEW = 8
"""Fewer values are added to an exponential mean one by one, as sums of products pay off for more."""

Doubles = Sequence[float]


class Column(NamedTuple):
    """The lowest, the highest and the last smoothed value of a series within one column of dots."""

    x: int
    low: float
    high: float
    smooth: float


class Reading(NamedTuple):
    """A curve's value at one x: as it was reported, and smoothed."""

    x: float
    raw: float
    smooth: float


@cache
def _weights(smoothing: float) -> list[float]:
    """The weights of an exponential window that are not negligible, the newest value's last."""
    count = math.ceil(math.log(NEGLIGIBLE) / math.log(smoothing))
    return [(1 - smoothing) * smoothing**age for age in range(count - 1, -1, -1)]


class ExponentialMean:
    """An exponentially weighted mean: the weight of a value is `smoothing` times that of the next one.

    The sum of the weights so far divides it, so that its start is not drawn towards 0 (the bias correction of Adam:
    Kingma and Ba 2015, algorithm 1).
    """

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._sum = math.nan if smoothing == 0 else 0.0
        self._weight = 1.0 if smoothing == 0 else 0.0

    @property
    def value(self) -> float:
        """The mean of the values so far; NaN before the first."""
        return self._sum / self._weight if self._weight else math.nan

    def after_each(self, groups: Sequence[Doubles]) -> list[float]:
        """Add finite values of several buckets of one size, and return the mean after each bucket.

        `groups`: the first values of all buckets, their second values, and so on.
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
        corrected = min(count, math.ceil(len(_weights(smoothing)) / size))  # after these the weights sum to 1
        weights = [1 - (1 - before) * fading**number for number in range(1, corrected + 1)]
        return [*map(truediv, sums[1:], weights), *sums[corrected + 1 :]]

    def add(self, values: Doubles) -> None:
        """Add finite values."""
        smoothing, count = self._smoothing, len(values)
        if smoothing == 0:
            self._sum = values[-1]
        elif count < FEW:
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
    """A series in buckets. Points are added in the order of x. A value that is not finite or is `HUGE` makes a gap.

    `series`: the x and y of the whole series, which the caller keeps and extends.
    """

    def __init__(
        self,
        smoothing: float = 0.0,
        max_buckets: int = MAX_BUCKETS,
        series: tuple[array[float], array[float]] | None = None,
    ) -> None:
        self.smoothing = smoothing
        self._max_buckets = max_buckets
        self._series = series
        self._stride = 1
        """Points in a full bucket."""
        self._filled = 0
        """Points in the newest bucket."""
        self._x, self._low, self._high, self._smooth = (array("d") for _ in range(4))
        self._mean = ExponentialMean(smoothing)

    def __len__(self) -> int:
        return len(self._x)

    def add(self, x: float, y: float) -> None:
        """Add one point."""
        self.extend((x,), (y,))

    def extend(self, xs: Doubles, ys: Doubles) -> None:
        """Add points in the order of x."""
        at, count = 0, len(xs)
        finite = count > 1 and not math.isnan(sum(ys)) and min(ys) > -HUGE and max(ys) < HUGE
        most = self._max_buckets
        while len(self._x) * self._stride + count > most * self._stride and len(self._x) > most // 2:
            self._merge_neighbours()
        while not self._x and count > most * self._stride:
            self._stride *= 2
        while at < count:
            if not self._x or self._filled == self._stride:
                if len(self._x) == most:
                    self._merge_neighbours()
                    continue
                full = min((count - at) // self._stride, most - len(self._x)) if finite else 0
                if full:
                    taken = full * self._stride
                    self._add_full_buckets(xs[at : at + taken], ys[at : at + taken])
                    at += taken
                    continue
                self._filled = 0
                for column, value in ((self._x, 0.0), (self._low, math.inf), (self._high, -math.inf)):
                    column.append(value)
                self._smooth.append(math.nan)
            taken = min(self._stride - self._filled, count - at)
            self._add_to_newest_bucket(xs[at + taken - 1], ys[at : at + taken])
            self._filled += taken
            at += taken

    def _add_full_buckets(self, xs: Doubles, ys: Doubles) -> None:
        """Add finite values that fill buckets exactly, all buckets at once: a call for each bucket is slower."""
        stride = self._stride
        groups = [ys[first::stride] for first in range(stride)]
        self._x.extend(xs[stride - 1 :: stride])
        self._low.extend(reduce(_pairwise_min, groups))
        self._high.extend(reduce(_pairwise_max, groups))
        self._smooth.extend(self._mean.after_each(groups))
        self._filled = stride

    def _add_to_newest_bucket(self, x: float, ys: Doubles) -> None:
        """Add values to the newest bucket. A bucket without a finite value is a gap: its low is above its high."""
        self._x[-1] = x
        low, high, values = _finite_range(ys)
        if low <= high:
            self._mean.add(values)
            self._low[-1], self._high[-1] = min(self._low[-1], low), max(self._high[-1], high)
            self._smooth[-1] = self._mean.value

    def _merge_neighbours(self) -> None:
        """Halve the number of buckets. The last one of an odd number stays alone and takes further points."""
        odd = len(self._x) % 2
        rest = [column[-1:] if odd else array("d") for column in (self._x, self._low, self._high, self._smooth)]
        lows, highs, smooths = self._low, self._high, self._smooth
        pairs = zip(smooths[0::2], smooths[1::2], strict=False)
        smooth = [left if math.isnan(right) else right for left, right in pairs]
        self._x = self._x[1::2] + rest[0]
        self._low = array("d", _pairwise_min(lows[0::2], lows[1::2])) + rest[1]
        self._high = array("d", _pairwise_max(highs[0::2], highs[1::2])) + rest[2]
        self._smooth = array("d", smooth) + rest[3]
        if not odd:
            self._filled += self._stride
        self._stride *= 2

    def at(self, x: float) -> Reading | None:
        """The point nearest to x; None where there is no point."""
        xs, ys = self._series or (self._x, self._smooth)
        after = bisect_left(xs, x)
        near = [at for at in (after - 1, after) if 0 <= at < len(xs)]
        if not near:
            return None
        best = min(near, key=lambda at: abs(xs[at] - x))
        smooth = self._mean_before(best + 1).value if self._series else ys[best]
        return Reading(xs[best], ys[best], smooth)

    def segments(self, edges: Doubles) -> list[list[Column]]:
        """The series in the columns between these edges: at most one `Column` for each, a new list after every gap."""
        low, high = bisect_left(self._x, edges[0]), bisect_left(self._x, edges[-1])
        if self._series is not None and self._stride > 1 and high - low < len(edges):
            return self._segments_of(*self._series, edges)
        lows, highs, smooths = self._low, self._high, self._smooth
        found = _Segments(len(edges) - 1)
        for column, start, stop in _column_slices(self._x, edges):
            least, greatest = min(lows[start:stop]), max(highs[start:stop])
            smooth = smooths[stop - 1]
            if smooth != smooth and least <= greatest:
                smooth = next(value for value in reversed(smooths[start:stop]) if value == value)
            found.add(Column(column, least, greatest, smooth))
        found.extend_to_edges(self._x, smooths, edges)
        return found.segments

    def _segments_of(self, xs: Doubles, ys: Doubles, edges: Doubles) -> list[list[Column]]:
        """The segments of the series itself."""
        found = _Segments(len(edges) - 1)
        mean = self._mean_before(bisect_left(xs, edges[0]))
        for column, start, stop in _column_slices(xs, edges):
            low, high, values = _finite_range(ys[start:stop])
            if low <= high:
                mean.add(values)
            found.add(Column(column, low, high, mean.value))
        found.extend_to_edges(xs, ys, edges)
        return found.segments

    def _mean_before(self, stop: int) -> ExponentialMean:
        """The mean of the points of the series itself before index `stop`."""
        mean = ExponentialMean(self.smoothing)
        if self._series is not None and stop:
            reach = len(_weights(self.smoothing)) if self.smoothing else 1
            low, high, values = _finite_range(self._series[1][max(0, stop - reach) : stop])
            if low <= high:
                mean.add(values)
        return mean


class _Segments:
    """Columns in order from the left, divided at the gaps."""

    def __init__(self, width: int) -> None:
        self.segments: list[list[Column]] = []
        self._width = width
        self._open = False

    def add(self, column: Column) -> None:
        if column.low > column.high:  # a gap
            self._open = False
        elif self._open:
            self.segments[-1].append(column)
        else:
            self.segments.append([column])
            self._open = True

    def extend_to_edges(self, xs: Doubles, ys: Doubles, edges: Doubles) -> None:
        """Interpolate the curve to the left and right edge of the window if it continues beyond them."""
        for edge, x in ((edges[0], 0), (edges[-1], self._width - 1)):
            after = bisect_left(xs, edge)
            if not 0 < after < len(xs):
                continue
            share = (edge - xs[after - 1]) / (xs[after] - xs[after - 1])
            value = ys[after - 1] + share * (ys[after] - ys[after - 1])
            if not -HUGE < value < HUGE:
                continue
            column = Column(x, value, value, value)
            segments = self.segments
            if not segments:
                segments.append([column])
            elif x == 0 and segments[0][0].x > 0:
                segments[0].insert(0, column)
            elif x and self._open and segments[-1][-1].x < x:
                segments[-1].append(column)
            elif x and len(segments) == 1 and len(segments[0]) == 1 and segments[0][0].x == 0:
                segments[0].append(column)


def _pairwise_min(some: Iterable[float], others: Iterable[float]) -> list[float]:
    return [one if one < other else other for one, other in zip(some, others, strict=False)]


def _pairwise_max(some: Iterable[float], others: Iterable[float]) -> list[float]:
    return [one if one > other else other for one, other in zip(some, others, strict=False)]


def _finite_range(ys: Doubles) -> tuple[float, float, Doubles]:
    """The lowest finite value, the highest and all of them. Without a finite value the lowest is above the highest."""
    low, high, total = min(ys), max(ys), sum(ys)
    if total == total and low > -HUGE and high < HUGE:
        return low, high, ys
    finite = [y for y in ys if -HUGE < y < HUGE]
    return (min(finite), max(finite), finite) if finite else (math.inf, -math.inf, finite)


def _column_slices(xs: Doubles, edges: Doubles) -> list[tuple[int, int, int]]:
    """Each column that has points, with the indices of its first point and of the one after its last. The last edge
    belongs to the last column."""
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
