"""Dashed lines: without colours, curves are told apart by their dashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle, pairwise

from tui_vae.ui.charts.bands import Stroke
from tui_vae.ui.charts.raster import DotPath

Pattern = tuple[int, ...]
"""Dots that are drawn, then dots that are left out, and so on; empty: the whole line."""

PATTERNS: tuple[Pattern, ...] = ((), (6, 4), (1, 3), (7, 3, 1, 3))
"""Solid, dashed, dotted, and dashes with dots: what takes the place of four colours. The dashes are longer than the
eighth of a cell that a line of Braille may jump, and the gaps wider than a cell."""

TEST = PATTERNS[1]
"""That of the test curve, beside a solid train curve."""

SAMPLES = "⠤⠤⠤", "⠤ ⠤"
"""A bit of a train curve and of a test curve, for the legend."""

LINK = (1, 5)
"""A line that is none of the curves: fainter than all of them."""


def dashed(paths: Iterable[DotPath], pattern: Pattern) -> list[Stroke]:
    """The dots of paths that a pattern leaves, each as a stroke of one dot. It runs along the line, however steep."""
    found = []
    for path in paths:
        drawn = _drawn(pattern)
        found += [(x, y, y) for x, y in _dots(path) if next(drawn)]
    return found


def thinned(strokes: Iterable[Stroke], pattern: Pattern) -> list[Stroke]:
    """The strokes of a dense curve in the columns of dots that a pattern leaves."""
    on = [drawn for drawn, _ in zip(_drawn(pattern), range(sum(pattern) or 1), strict=False)]
    return [stroke for stroke in strokes if on[stroke[0] % len(on)]]


def _drawn(pattern: Pattern) -> Iterator[bool]:
    for place, length in enumerate(cycle(pattern or (1,))):
        yield from (place % 2 == 0 or not pattern for _ in range(length))


def _dots(path: DotPath) -> Iterator[tuple[int, int]]:
    """Every dot of a path, once where its pieces meet."""
    yield from path[:1]
    for (x, y), (to_x, to_y) in pairwise(path):
        steps = max(abs(to_x - x), abs(to_y - y))
        for step in range(1, steps + 1):
            yield x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps)
