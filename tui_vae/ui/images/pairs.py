"""A widget that shows originals above their reconstructions, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.geometry import Size

from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL, SMALL, cells

Pairs = list[tuple[Picture, Picture]]
"""Each original and its reconstruction."""


@dataclass(frozen=True)
class Grid:
    """How pairs are laid out: their scale, the number of columns and of rows, the empty lines between two rows."""

    scale: int
    columns: int
    rows: int
    gap: int

    @property
    def capacity(self) -> int:
        """Pairs that fit."""
        return self.columns * self.rows


def grid(size: Size, count: int, large: bool = False) -> Grid:
    """The grid for `count` pairs: in full size if all of them fit or `large` ones are wanted, else in half size. It
    has room for one pair in any case."""
    full = _grid(size, FULL)
    return full if full.rows and (large or full.capacity >= count) else _grid(size, SMALL)


def _grid(size: Size, scale: int) -> Grid:
    image = cells(scale)
    columns = max(1, (size.width + 1) // (image.width + 1))
    for gap in (1, 0):
        rows = (size.height + gap) // (2 * image.height + gap)
        if rows != 1:
            break
    return Grid(scale, columns, rows if scale == FULL else max(1, rows), gap)


class ImagePairs(Canvas):
    """Shows as many pairs as fit, from `_first` on."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pairs: Pairs = []
        self._first = 0
        """The index of the first pair on show, for widgets that turn pages."""

    @property
    def layout_of_pairs(self) -> Grid:
        """The grid for the present size and number of pairs."""
        return grid(self.size, len(self._pairs), large=self.has_class("-zoomed"))

    def show_pairs(self, pairs: Pairs) -> None:
        """Show these images. The same ones cost nothing."""
        if pairs != self._pairs:
            self._pairs = pairs
            self.redraw()

    @property
    def example(self) -> Picture | None:
        return self._pairs[0][1] if self._pairs else None

    def tiles(self, size: Size) -> Iterable[Tile]:
        layout = self.layout_of_pairs
        image = cells(layout.scale)
        for at, (original, reconstruction) in enumerate(self._pairs[self._first : self._first + layout.capacity]):
            row, column = divmod(at, layout.columns)
            x, y = column * (image.width + 1), row * (2 * image.height + layout.gap)
            if size.height >= 2 * image.height:
                yield Tile(x, y, image.width, self.renderer.image(original, layout.scale))
                y += image.height
            yield Tile(x, y, image.width, self.renderer.image(reconstruction, layout.scale))
