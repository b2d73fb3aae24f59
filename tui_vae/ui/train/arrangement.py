"""How the Train pane arranges its charts, its images and its table in a pane of a certain size."""

from __future__ import annotations

from typing import Literal

from textual.geometry import Size

Arrangement = Literal["columns", "stacked", "beside", "compact"]
ARRANGEMENTS: tuple[Arrangement, ...] = ("columns", "stacked", "beside", "compact")

COLUMNS_FROM, STACKED_FROM, BESIDE_WIDTH = Size(148, 40), Size(64, 29), 116
"""The smallest panes for the arrangements `columns` and `stacked`, and the least width for `beside`, in cells."""

TABLE_WIDTH = 34
"""Cells of the table of epochs beside images of half size, at least."""

PAIR_WIDTH = 15
"""Cells from one image of half size to the next: its 14, and a gap."""

LEAST_PAIRS, MOST_PAIRS = 2, 8
"""Pairs of images beside the table: at least, and at most."""


def arrangement(width: int, height: int) -> Arrangement:
    """The arrangement for a pane of this size. An image is 28×14 cells, or 14×7 at half size, and is drawn twice.

    columns: charts left; large images and the table right. stacked: charts above; small images and the table below.
    beside: charts and the table. compact: charts alone. In all of them the zoom reaches every panel.
    """
    if width >= COLUMNS_FROM.width and height >= COLUMNS_FROM.height:
        return "columns"
    if width >= STACKED_FROM.width and height >= STACKED_FROM.height:
        return "stacked"
    return "beside" if width >= BESIDE_WIDTH else "compact"


def strip_width(width: int) -> int:
    """Cells of the images beside the table, in a pane of this width that is `stacked`: whole pairs and the frame."""
    pairs = max(LEAST_PAIRS, min(MOST_PAIRS, (width - TABLE_WIDTH - 1) // PAIR_WIDTH))
    return PAIR_WIDTH * pairs + 1
