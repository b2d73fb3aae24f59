"""Originals above their reconstructions, in as many columns and rows as there is room for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.geometry import Size

from tui_vae.ui.images.canvas import FULL, SMALL, Canvas, Tile, cells

Pairs = list[tuple[bytes, bytes]]
"""Originals and reconstructions."""


@dataclass(frozen=True)
class Grid:
    """How pairs are laid out: at which scale, in how many columns and rows, and the cells between two rows."""

    scale: int
    columns: int
    rows: int
    gap: int

    @property
    def capacity(self) -> int:
        return self.columns * self.rows


def grid(size: Size, count: int, large: bool = False) -> Grid:
    """Whole images where all of them fit or `large` ones are wanted, else at half size; one is shown in any case."""
    found = [_grid(size, scale) for scale in (FULL, SMALL)]
    if found[0].rows and (large or found[0].capacity >= count):
        return found[0]
    return found[1]


def _grid(size: Size, scale: int) -> Grid:
    image = cells(scale)
    columns = max(1, (size.width + 1) // (image.width + 1))
    for gap in (1, 0):
        rows = (size.height + gap) // (2 * image.height + gap)
        if rows != 1:
            break
    return Grid(scale, columns, rows if scale == FULL else max(1, rows), gap)


class ImagePairs(Canvas):
    """As many pairs as fit, from a first one on."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pairs: Pairs = []
        self._width = 0
        self._first = 0

    @property
    def layout_of_pairs(self) -> Grid:
        return grid(self.size, len(self._pairs), large=self.has_class("-zoomed"))

    def show_pairs(self, pairs: Pairs, width: int = 0) -> None:
        """Images so many pixels wide, 0 where they are square; a call with the same images costs nothing."""
        if (pairs, width) != (self._pairs, self._width):
            self._pairs, self._width = pairs, width
            self.redraw()

    def tiles(self, size: Size) -> Iterable[Tile]:
        layout = self.layout_of_pairs
        image = cells(layout.scale)
        for at, (original, reconstruction) in enumerate(self._pairs[self._first : self._first + layout.capacity]):
            row, column = divmod(at, layout.columns)
            x, y = column * (image.width + 1), row * (2 * image.height + layout.gap)
            if size.height >= 2 * image.height:
                yield Tile(x, y, image.width, self.renderer.image(original, layout.scale, self._width))
                y += image.height
            yield Tile(x, y, image.width, self.renderer.image(reconstruction, layout.scale, self._width))
