"""A widget that shows originals above their reconstructions, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from textual.geometry import Size

from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import SMALL, ImageRenderer, cells

Pairs = list[tuple[Picture, Picture]]
"""Each original and its reconstruction."""


APART = 1
"""Empty lines between an original and its reconstruction: two dark images that touch look like one."""


GAPS = (0, 1, 2)
"""Empty lines between two rows of pairs: as many as cost no row."""


@dataclass(frozen=True)
class Grid:
    """How pairs are laid out: their scale, the number of columns and of rows, and the empty lines between an original
    and its reconstruction, and between two rows of pairs."""

    scale: int
    columns: int
    rows: int
    apart: int
    gap: int

    @property
    def capacity(self) -> int:
        """Pairs that fit."""
        return self.columns * self.rows

    @property
    def pair_height(self) -> int:
        """Lines from the top of an original to the bottom of its reconstruction."""
        return 2 * cells(self.scale).height + self.apart


def grid(size: Size, count: int) -> Grid:
    """The grid that shows the most of `count` pairs; of several, the one with the largest images.

    It has room for one pair in any case; where it has not, for its reconstruction.
    """
    largest = max(SMALL, size.width // cells(SMALL).width)
    for apart in (APART, 0):
        fitting = [found for scale in range(SMALL, largest + 1) if (found := _grid(size, scale, apart)).capacity]
        if fitting:
            return max(fitting, key=lambda each: (min(each.capacity, count), each.scale))
    return Grid(SMALL, max(1, (size.width + 1) // (cells(SMALL).width + 1)), 1, 0, 0)


def _grid(size: Size, scale: int, apart: int) -> Grid:
    image = cells(scale)
    columns, high = (size.width + 1) // (image.width + 1), 2 * image.height + apart
    rows, gap = max(((size.height + gap) // (high + gap), gap) for gap in GAPS)
    return Grid(scale, columns, rows, apart, gap)


def pair_tiles(renderer: ImageRenderer, pairs: Pairs, layout: Grid, corner: tuple[int, int] = (0, 0),
               height: int | None = None) -> Iterator[Tile]:  # fmt: skip
    """The images of as many pairs as fit, from the corner (column, line) on. In less `height` than a pair needs, the
    reconstructions alone."""
    image = cells(layout.scale)
    for at, (original, reconstruction) in enumerate(pairs[: layout.capacity]):
        row, column = divmod(at, layout.columns)
        x = corner[0] + column * (image.width + 1)
        y = corner[1] + row * (layout.pair_height + layout.gap)
        if height is None or height >= layout.pair_height:
            yield Tile(x, y, image.width, renderer.image(original, layout.scale))
            y += image.height + layout.apart
        yield Tile(x, y, image.width, renderer.image(reconstruction, layout.scale))


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
        return grid(self.size, len(self._pairs))

    def show_pairs(self, pairs: Pairs) -> None:
        """Show these images. The same ones cost nothing."""
        if pairs != self._pairs:
            self._pairs = pairs
            self.redraw()

    def shows_originals(self, size: Size) -> bool:
        """Whether there is room for the originals above the reconstructions."""
        return size.height >= self.layout_of_pairs.pair_height

    @property
    def example(self) -> Picture | None:
        return self._pairs[0][1] if self._pairs else None

    def tiles(self, size: Size) -> Iterable[Tile]:
        layout, shown = self.layout_of_pairs, self._pairs[self._first :]
        corner = _middle(size, layout, min(len(shown), layout.capacity))
        yield from pair_tiles(self.renderer, shown, layout, corner, size.height)


def _middle(size: Size, layout: Grid, count: int) -> tuple[int, int]:
    """The corner from which so many pairs stand in the middle."""
    columns, rows = min(count, layout.columns), -(-count // layout.columns)
    width = columns * (cells(layout.scale).width + 1) - 1
    height = rows * (layout.pair_height + layout.gap) - layout.gap
    return max(0, (size.width - width) // 2), max(0, (size.height - height) // 2)
