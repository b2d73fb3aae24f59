"""A series as one line of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui_vae.ui.glyphs import Glyphs

_LEVELS, _PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.-~^"


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """A series in at most `width` cells; each cell's height is the mean of its part, on a scale from lowest to highest.

    The scale is a square root: a loss falls so steeply at first that the rest would look flat.
    """
    finite = [value for value in values if value is not None]
    if not finite or width < 1:
        return ""
    levels = _LEVELS if glyphs.braille else _PLAIN_LEVELS
    cells = min(width, len(values))
    means: list[float | None] = []
    for cell in range(cells):
        part = [v for v in values[cell * len(values) // cells : (cell + 1) * len(values) // cells] if v is not None]
        means.append(sum(part) / len(part) if part else None)
    known = [mean for mean in means if mean is not None]
    low, span = min(known), max(known) - min(known)
    top = len(levels) - 1
    return "".join(
        " " if mean is None else levels[round(math.sqrt((mean - low) / span) * top) if span > 0 else 0]
        for mean in means
    )
