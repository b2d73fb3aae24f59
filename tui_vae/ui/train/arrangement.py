"""How the Train pane arranges its charts, its images and its table in a pane of a certain size."""

from __future__ import annotations

from typing import Literal

from textual.geometry import Size
from textual.widget import Widget

from tui_vae.ui.images.pairs import grid
from tui_vae.ui.images.renderer import cells

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


LEAST_CHART = 66
"""Cells that each of two charts side by side keeps beside the images."""

FAIR_TABLE, LEAST_TABLE = 14, 9
"""Lines that the headline, the table of epochs with its frame, and the frame of the images above it keep; and where the
images had one row otherwise."""

LEAST_SIDE = 59
"""Cells of the images above the table, at least: four of half size, and as many as the table needs."""

PREVIEWS = 10
"""Images that a run previews, at most."""


FEW_CHARTS, MANY_CHARTS = (2, 2), (4, 2)
"""Rows and columns of charts: usually, and where four of them would be higher than they need to be read."""

MANY_FROM = 72
"""Lines of a pane from which there are many: each chart still has 18."""


def usual_charts(height: int) -> tuple[int, int]:
    """Rows and columns of charts in a pane of this height, for a user who has not chosen."""
    return MANY_CHARTS if height >= MANY_FROM else FEW_CHARTS


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


def side_size(size: Size) -> Size:
    """Width and height of the images above the table with their frame, in a pane of this size in `columns`.

    They take the size that shows the most of them, and as little of the charts' width as that needs.
    """
    room = max(LEAST_SIDE, size.width - 2 * LEAST_CHART - 2)
    layout = grid(Size(room, size.height - FAIR_TABLE), PREVIEWS)
    if layout.rows == 1:
        layout = grid(Size(room, size.height - LEAST_TABLE), PREVIEWS)
    columns = min(layout.columns, -(-PREVIEWS // layout.rows))
    rows = min(layout.rows, -(-PREVIEWS // columns))
    width = columns * (cells(layout.scale).width + 1) - 1
    return Size(max(LEAST_SIDE, width) + 2, rows * layout.pair_height + (rows - 1) * layout.gap + 2)


def place_images(pane: Widget, images: Widget, chosen: Arrangement, size: Size, alone: bool = False) -> None:
    """Give the images of a pane of this size their place in its arrangement, or `alone` the whole pane."""
    images.styles.width = strip_width(size.width) if chosen == "stacked" and not alone else "1fr"
    if chosen == "columns" and not alone:
        side = side_size(size)
        pane.styles.grid_columns = f"1fr {side.width}"
        images.styles.height = side.height
    else:
        pane.styles.clear_rule("grid_columns")
        images.styles.clear_rule("height")
