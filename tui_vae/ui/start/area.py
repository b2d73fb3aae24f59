"""A series as an area of a few rows of block characters: a curve where there is no room for a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PLAIN = " _.-=+*##"
"""In a terminal without Unicode."""


def area(values: Sequence[float | None], width: int, rows: int, unicode: bool = True) -> list[str]:
    """The series in `rows` lines of `width` cells, the highest line first.

    Each cell shows the mean of its part, on a scale from the lowest value to the highest; the scale is a square root:
    a loss falls so steeply at first that the rest would look flat. The lowest value still has an eighth of a cell.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or width < 1:
        return [" " * max(0, width)] * rows
    low, span = min(known), max(known) - min(known)
    top = rows * (len(_EIGHTHS) - 1)
    heights = [
        0 if mean is None else 1 + round(math.sqrt((mean - low) / span) * (top - 1)) if span > 0 else 1
        for mean in _means(values, width)
    ]
    signs = _EIGHTHS if unicode else _PLAIN
    full = len(signs) - 1
    return ["".join(signs[max(0, min(full, height - row * full))] for height in heights) for row in range(rows)][::-1]


def _means(values: Sequence[float | None], width: int) -> list[float | None]:
    """The values of `width` cells: means of several, or several cells of one value."""
    found: list[float | None] = []
    for cell in range(width):
        first = cell * len(values) // width
        part = values[first : max(first + 1, (cell + 1) * len(values) // width)]
        numbers = [value for value in part if value is not None and math.isfinite(value)]
        found.append(sum(numbers) / len(numbers) if numbers else None)
    return found
