"""A long series as a bounded number of buckets: the lowest, the highest and the last value of each, and its integral.

Points are added as they come. When the buckets are full, neighbours are merged: memory and the work of a redraw stay
bounded however long a run is, and no extreme is ever lost. A window too narrow for the buckets is drawn from the series
itself, if the caller keeps it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import accumulate, chain
from operator import mul, sub
from typing import NamedTuple

MAX_BUCKETS = 8192
"""The most buckets that a curve keeps: after merging still five for each dot column of a chart 400 cells wide."""

HUGE = 1e150
"""Values of at least this size make a gap, as infinities do."""

Doubles = Sequence[float]


class Column(NamedTuple):
    """The lowest and the highest value of a series within one column of dots, and the smoothed one at its end."""

    x: int
    low: float
    high: float
    smooth: float


class Reading(NamedTuple):
    """A curve's value at one x: as it was reported, and smoothed."""

    x: float
    raw: float
    smooth: float


class Integral:
    """The integral of a series of which each value stands for all x since the point before.

    Args:
        xs: where the parts end, in order. areas: the integral over each part. lengths: how much of x has a value there.
        begin: where the first part begins.
    """

    def __init__(self, xs: Doubles, areas: Doubles, lengths: Doubles, begin: float) -> None:
        self._xs, self._begin, self._parts = xs, begin, (areas, lengths)
        self._areas = list(accumulate(areas, initial=0.0))
        self._lengths = list(accumulate(lengths, initial=0.0))

    def mean_around(self, x: float, reach: float) -> float:
        """The mean from x - reach to x + reach, or as far on both sides as the series goes on both: so a curve that
        falls is not late, not even at its newest value. NaN where there is none."""
        reach = min(reach, x - self._begin, self._xs[-1] - x)
        if reach <= 0:
            at = min(bisect_left(self._xs, x), len(self._xs) - 1)
            area, length = (part[at] for part in self._parts)
        else:
            (area, length), (past, short) = self._until(x + reach), self._until(x - reach)
            area, length = area - past, length - short
        return area / length if length > 0 else math.nan

    def _until(self, x: float) -> tuple[float, float]:
        """The integral from the begin to x, and how much of that has a value."""
        at = min(bisect_left(self._xs, x), len(self._xs) - 1)
        start = self._xs[at - 1] if at else self._begin
        share = (x - start) / (self._xs[at] - start) if self._xs[at] > start else 1.0
        areas, lengths = self._areas, self._lengths
        return (areas[at] + share * (areas[at + 1] - areas[at]), lengths[at] + share * (lengths[at + 1] - lengths[at]))


class Curve:
    """A series in buckets. Points are added in the order of x. A value that is not finite or is `HUGE` makes a gap.

    Args:
        span: how much of x a smoothed value is the mean of; 0: values are not smoothed.
        series: the x and y of the whole series, which the caller keeps and extends.
    """

    def __init__(
        self,
        span: float = 0.0,
        max_buckets: int = MAX_BUCKETS,
        series: tuple[array[float], array[float]] | None = None,
    ) -> None:
        self.span = span
        self._max_buckets = max_buckets
        self._series = series
        self._stride = 1
        """Points in a full bucket."""
        self._filled = 0
        """Points in the newest bucket."""
        self._x, self._low, self._high, self._last, self._area, self._length = (array("d") for _ in range(6))

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
                empty = (self._newest, math.inf, -math.inf, math.nan, 0.0, 0.0)
                for column, value in zip(self._columns, empty, strict=True):
                    column.append(value)
            taken = min(self._stride - self._filled, count - at)
            self._add_to_newest_bucket(xs[at : at + taken], ys[at : at + taken])
            self._filled += taken
            at += taken

    @property
    def _columns(self) -> tuple[array[float], ...]:
        return self._x, self._low, self._high, self._last, self._area, self._length

    @property
    def _newest(self) -> float:
        return self._x[-1] if self._x else 0.0

    def _add_full_buckets(self, xs: Doubles, ys: Doubles) -> None:
        """Add finite values that fill buckets exactly, all buckets at once: a call for each bucket is slower."""
        stride = self._stride
        groups = [ys[first::stride] for first in range(stride)]
        lengths = list(map(sub, xs, chain((self._newest,), xs)))
        areas = list(map(mul, ys, lengths))
        self._x.extend(xs[stride - 1 :: stride])
        self._low.extend(reduce(_pairwise_min, groups))
        self._high.extend(reduce(_pairwise_max, groups))
        self._last.extend(groups[-1])
        self._area.extend(_sums_of(areas, stride))
        self._length.extend(_sums_of(lengths, stride))
        self._filled = stride

    def _add_to_newest_bucket(self, xs: Doubles, ys: Doubles) -> None:
        """Add values to the newest bucket. A bucket without a finite value is a gap: its low is above its high."""
        before, self._x[-1] = self._newest, xs[-1]
        low, high, values = _finite_range(ys)
        if low <= high:
            self._low[-1], self._high[-1] = min(self._low[-1], low), max(self._high[-1], high)
            self._last[-1] = values[-1]
            for x, y in zip(xs, ys, strict=True):
                if -HUGE < y < HUGE:
                    self._area[-1] += y * (x - before)
                    self._length[-1] += x - before
                before = x

    def _merge_neighbours(self) -> None:
        """Halve the number of buckets. The last one of an odd number stays alone and takes further points."""
        odd = len(self._x) % 2
        rest = [column[-1:] if odd else array("d") for column in self._columns]
        pairs = zip(self._last[0::2], self._last[1::2], strict=False)
        merged: tuple[Iterable[float], ...] = (
            self._x[1::2],
            _pairwise_min(self._low[0::2], self._low[1::2]),
            _pairwise_max(self._high[0::2], self._high[1::2]),
            [left if math.isnan(right) else right for left, right in pairs],
            _sums_of(self._area, 2),
            _sums_of(self._length, 2),
        )
        columns = [array("d", values) + last for values, last in zip(merged, rest, strict=True)]
        self._x, self._low, self._high, self._last, self._area, self._length = columns
        if not odd:
            self._filled += self._stride
        self._stride *= 2

    def at(self, x: float) -> Reading | None:
        """The point nearest to x; None where there is no point."""
        xs, ys = self._series or (self._x, self._last)
        after = bisect_left(xs, x)
        near = [at for at in (after - 1, after) if 0 <= at < len(xs)]
        if not near:
            return None
        best = min(near, key=lambda at: abs(xs[at] - x))
        smooth = ys[best]
        if self.span and self._series is not None:
            reach = self.span / 2
            smooth = self._integral_of(xs, ys, xs[best] - reach, xs[best] + reach).mean_around(xs[best], reach)
        return Reading(xs[best], ys[best], smooth)

    def segments(self, edges: Doubles) -> list[list[Column]]:
        """The series in the columns between these edges: at most one `Column` for each, a new list after every gap."""
        low, high = bisect_left(self._x, edges[0]), bisect_left(self._x, edges[-1])
        if self._series is not None and self._stride > 1 and high - low < len(edges):
            return self._segments_of(*self._series, edges)
        lows, highs, lasts = self._low, self._high, self._last
        smoothed = self._smoothed(lambda: Integral(self._x, self._area, self._length, 0.0), edges)
        found = _Segments(len(edges) - 1)
        for column, start, stop in _column_slices(self._x, edges):
            least, greatest = min(lows[start:stop]), max(highs[start:stop])
            value = lasts[stop - 1]
            if value != value and least <= greatest:
                value = next(value for value in reversed(lasts[start:stop]) if value == value)
            found.add(Column(column, least, greatest, smoothed(self._x[stop - 1], value)))
        found.extend_to_edges(self._x, lasts, edges, smoothed)
        return found.segments

    def _segments_of(self, xs: Doubles, ys: Doubles, edges: Doubles) -> list[list[Column]]:
        """The segments of the series itself."""
        found = _Segments(len(edges) - 1)
        smoothed = self._smoothed(lambda: self._integral_of(xs, ys, edges[0] - self.span, edges[-1] + self.span), edges)
        for column, start, stop in _column_slices(xs, edges):
            low, high, values = _finite_range(ys[start:stop])
            value = values[-1] if values else math.nan
            found.add(Column(column, low, high, smoothed(xs[stop - 1], value)))
        found.extend_to_edges(xs, ys, edges, smoothed)
        return found.segments

    def _smoothed(self, integral_of: Callable[[], Integral], edges: Doubles) -> Callable[[float, float], float]:
        """The smoothed value at x, where `value` is that of the point; without smoothing that one.

        What a column of dots cannot show apart is one mean as well.
        """
        if not self.span or not len(self._x):
            return lambda x, value: value
        integral, reach = integral_of(), max(self.span, edges[1] - edges[0]) / 2

        def smoothed(x: float, value: float) -> float:
            mean = integral.mean_around(x, reach)
            return value if math.isnan(mean) else mean

        return smoothed

    def _integral_of(self, xs: Doubles, ys: Doubles, low: float, high: float) -> Integral:
        """The integral of the series itself, between these x and to the next points."""
        start, stop = max(0, bisect_left(xs, low) - 1), bisect_left(xs, high) + 1
        begin = xs[start - 1] if start else 0.0
        ends, values = xs[start:stop], ys[start:stop]
        widths = list(map(sub, ends, chain((begin,), ends)))
        if math.isnan(sum(values)) or min(values, default=0.0) <= -HUGE or max(values, default=0.0) >= HUGE:
            lengths = [width if -HUGE < y < HUGE else 0.0 for width, y in zip(widths, values, strict=True)]
            areas = [width * y if width else 0.0 for width, y in zip(lengths, values, strict=True)]
            return Integral(ends, areas, lengths, begin)
        return Integral(ends, list(map(mul, values, widths)), widths, begin)


def _sums_of(values: Doubles, count: int) -> list[float]:
    """The sum of every `count` neighbours; a rest is left out."""
    groups = [values[first::count] for first in range(count)]
    return [sum(group) for group in zip(*groups, strict=False)]


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

    def extend_to_edges(
        self, xs: Doubles, ys: Doubles, edges: Doubles, smoothed: Callable[[float, float], float]
    ) -> None:
        """Interpolate the curve to the left and right edge of the window if it continues beyond them."""
        for edge, x in ((edges[0], 0), (edges[-1], self._width - 1)):
            after = bisect_left(xs, edge)
            if not 0 < after < len(xs):
                continue
            share = (edge - xs[after - 1]) / (xs[after] - xs[after - 1])
            value = smoothed(edge, ys[after - 1] + share * (ys[after] - ys[after - 1]))
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
