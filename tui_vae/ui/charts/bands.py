"""Draws a dense curve as the band between its extremes, column by column.

plotext draws a line dot by dot, and a noisy curve on a large chart has tens of thousands of dots. Here each column of
dots is one stroke from its lowest to its highest value, which loses no spike either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise

from tui_vae.ui.charts.curves import Column
from tui_vae.ui.charts.raster import BLANK, BRAILLE, Dots, dot_row

Stroke = tuple[int, int, int]
"""A column of dots, and its lowest and highest dot, counted from below."""

_BRAILLE_BITS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bits of the dots in a cell's left and right column, from below (Unicode, Braille Patterns)."""

_BRAILLE_CHARACTERS = {0: BLANK, **{bits: chr(0x2800 + bits) for bits in range(1, 256)}}


def dense(segments: Sequence[Sequence[Column]], width: int) -> bool:
    """Whether more than half of `width` columns of dots have a value."""
    return 2 * sum(map(len, segments)) > width


def strokes(segments: Iterable[Sequence[Column]], place: Callable[[float], float], rows: int) -> list[Stroke]:
    """The curve as strokes on `rows` rows of dots. Each stroke is long enough to touch the one before.

    `place` maps values to 0 … 1 of the height.
    """
    found: list[Stroke] = []
    for segment in segments:
        before: Stroke | None = None
        for column in segment:
            low, high = dot_row(place(column.low), rows), dot_row(place(column.high), rows)
            if before is not None:
                found += _bridge(before, column.x, low, high)
                reached = found[-1] if found[-1][0] >= before[0] else before
                low, high = min(low, reached[2] + 1), max(high, reached[1] - 1)
            before = column.x, low, high
            found.append(before)
    return [(x, max(0, low), min(rows - 1, high)) for x, low, high in found if high >= 0 and low < rows]


def _bridge(before: Stroke, x: int, low: int, high: int) -> list[Stroke]:
    """A line from stroke `before` to column `x`, through the columns between them, which have no value."""
    start, least, most = before
    level = most if low > most else least if high < least else max(least, low)
    end = min(max(level, low), high)
    found, at = [], level
    for column in range(start + 1, x):
        to = round(level + (end - level) * (column - start) / (x - start))
        found.append((column, min(to, at + 1) if to > at else to, max(to, at - 1) if to < at else to))
        at = to
    return found


def between(
    some: Sequence[Sequence[Column]], others: Sequence[Sequence[Column]], place: Callable[[float], float], rows: int
) -> list[Stroke]:
    """What lies between two curves of the same columns, as a stroke in every other column of dots."""
    found: list[Stroke] = []
    for one, other in zip(some, others, strict=False):
        ys = {column.x: place(column.smooth) for column in other}
        common = [(column.x, place(column.smooth), ys[column.x]) for column in one if column.x in ys]
        for (start, first, second), (end, last_first, last_second) in pairwise(common):
            for x in range(start + start % 2, end, 2):
                share = (x - start) / (end - start)
                ends = first + share * (last_first - first), second + share * (last_second - second)
                low, high = dot_row(min(ends), rows), dot_row(max(ends), rows)
                if high - low > 1 and high >= 0 and low < rows:
                    found.append((x, max(0, low), min(rows - 1, high)))
    return found


def dots_at(points: Sequence[tuple[int, float]], rows: int) -> list[Stroke]:
    """A thick dot at each point: a column of dots, and a place of 0 … 1 of the height."""
    found: list[Stroke] = []
    for x, place in points:
        row = min(rows - 1, max(0, dot_row(place, rows)))
        low = max(0, row - 1) if place < 1 / 2 else row
        found += [(column, low, min(rows - 1, low + 1)) for column in (x - 1, x) if column >= 0]
    return found


def joined(one: str, other: str) -> str:
    """The character with the dots of both, of which neither must be lost where two curves meet in a cell."""
    bits = ord(one) | ord(other)
    return chr(bits) if min(ord(one), ord(other)) >= 0x2800 and bits <= 0x28FF else other


def fill(strokes: Iterable[Stroke], width: int, height: int, dots: Dots) -> tuple[str, ...]:
    """The strokes as `height` rows of `width` characters, from the top. Cells without a stroke are blank."""
    rows = [bytearray(width) for _ in range(height)]
    down, masks = dots.down, _masks(dots)
    for x, low, high in strokes:
        cell, side = divmod(x, dots.across)
        mask = masks[side]
        (above, first), (below, last) = divmod(low, down), divmod(high, down)
        top, bottom = height - 1 - below, height - 1 - above
        if top == bottom:
            rows[top][cell] |= mask[first][last]
            continue
        rows[bottom][cell] |= mask[first][down - 1]
        rows[top][cell] |= mask[0][last]
        full = mask[0][down - 1]
        for y in range(top + 1, bottom):
            rows[y][cell] |= full
    table = _BRAILLE_CHARACTERS if dots == BRAILLE else {0: BLANK, 1: dots.marker}
    return tuple(row.decode("latin-1").translate(table) for row in rows)


@cache
def _masks(dots: Dots) -> list[list[list[int]]]:
    """By side of the cell, lowest dot and highest dot: the bits of all dots from the lowest to the highest."""
    bits = _BRAILLE_BITS if dots == BRAILLE else ((1,),)
    return [[[sum(side[low : high + 1]) for high in range(len(side))] for low in range(len(side))] for side in bits]
