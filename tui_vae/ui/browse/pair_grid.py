"""A page of test images, each beside its reconstruction: how many fit, where they stand, and what stands with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from tui_vae.ui.fitting import beside_figure
from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.picture import SCALES, Picture, fitted_scale, levels_of
from tui_vae.ui.images.renderer import FULL, SMALL, Lines, cells
from tui_vae.ui.test_set import Pair

GAP = 2
"""Columns between two pairs, at least."""

WORDS = 18
"""Columns that the words beside a pair add to it, an empty one among them."""

AIR = Size(4, 2)
"""Columns and rows that the distance between pairs grows by, at most, where there is room."""

MOST_PAIRS, SCREEN = 32, Size(200, 60)
"""Pairs on a page, at most, on a screen of this size or a smaller one: what 60 KB hold in 256 colours. On a larger one
they are more in proportion."""

Line = list[tuple[str, str]]
"""Texts, each with the name of its ink."""


@dataclass(frozen=True)
class Grid:
    """Where the pairs of a page stand. Sizes and places are in cells."""

    scale: int
    columns: int
    rows: int
    corner: tuple[int, int]
    """The upper left corner of the first pair."""
    step: Size
    """From a pair to the next one across, and to the one below."""
    words: int = 0
    """Columns for the words beside each pair; 0: the words stand in a line below it."""

    @property
    def capacity(self) -> int:
        """Pairs on a page."""
        return self.columns * self.rows

    @property
    def pair_width(self) -> int:
        """Columns of a pair, its words beside it included."""
        return 2 * cells(self.scale).width + 1 + self.words

    @property
    def pair_height(self) -> int:
        """Rows of a pair, its words below it included."""
        return cells(self.scale).height + (not self.words)

    def place(self, number: int) -> tuple[int, int]:
        """The upper left corner of a pair."""
        row, column = divmod(number, self.columns)
        return self.corner[0] + column * self.step.width, self.corner[1] + row * self.step.height

    def at(self, x: int, y: int) -> int | None:
        """The number of the pair at a cell, if there is one."""
        column, across = divmod(x - self.corner[0], self.step.width)
        row, down = divmod(y - self.corner[1], self.step.height)
        inside = 0 <= column < self.columns and 0 <= row < self.rows
        return row * self.columns + column if inside and across < self.pair_width and down < self.pair_height else None


def grid_of(size: Size, scale: int, words: int = 0) -> Grid:
    """As many pairs of a scale as fit, in the middle, spread out where there is room; one pair where none fits."""
    image = cells(scale)
    width = 2 * image.width + 1 + words
    height = image.height + (not words)
    between = 1 if words else 0
    columns = max(1, (size.width + GAP) // (width + GAP))
    most = round(MOST_PAIRS * max(1.0, size.area / SCREEN.area))
    rows = max(1, min((size.height + between) // (height + between), most // columns))
    wide = max(0, size.width - columns * (width + GAP) + GAP)
    high = max(0, size.height - rows * (height + between) + between)
    across, down = min(AIR.width, wide // columns), min(AIR.height, high // rows)
    corner = (wide - across * (columns - 1)) // 2, (high - down * (rows - 1)) // 2
    return Grid(scale, columns, rows, corner, Size(width + GAP + across, height + between + down), words)


def grid_for(size: Size, wish: str = "", count: int | None = None) -> Grid:
    """The grid in the size that the user wishes, `full` or `half`; without a wish, the one that shows the most pairs.

    Of several that show as many, it is the one with the largest images: `count` is how many pairs there are; None: more
    than fit. Where no pair fits at full size, it is half size.
    """
    scales = {"half": [SMALL], "full": [FULL]}.get(wish, list(range(SMALL, max(SMALL, size.width // 28) + 1)))
    grids = [grid_of(size, scale, words) for scale in scales for words in ((0, WORDS) if scale >= FULL else (0,))]
    fitting = [grid for grid in grids if grid.pair_width <= size.width and grid.pair_height <= size.height]
    if not fitting:
        return grid_of(size, SMALL)
    return max(fitting, key=lambda grid: (min(grid.capacity, count or grid.capacity), grid.scale, not grid.words))


class PairGrid(Canvas):
    """A page of pairs, one of them selected."""

    @dataclass
    class Opened(Message):
        """A click on a pair."""

        number: int
        """Its place on the page."""

    class Resized(Message):
        """There is room for more or fewer pairs."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pairs: list[Pair] = []
        self.selected: int | None = None
        """The place of the selected pair on the page."""
        self.marked: frozenset[int] = frozenset()
        """The indices of the images that the user marked."""
        self.wish = ""
        """The size of the images that the user wishes: `full`, `half`, or empty."""
        self.count: int | None = None
        """How many pairs there are to show; None where that is not known."""
        self.differences = False
        """Whether differences stand in the place of reconstructions."""
        self.full = SCALES[-1]
        """Percent of the way from black to white that differences show at full strength: what fits the page."""

    @property
    def grid(self) -> Grid:
        """Where the pairs stand in the room that there is now."""
        # A hidden widget has no size, but the pane must know how many pairs to request before it shows them. The
        # container always has a size.
        room = self.parent.size if isinstance(self.parent, Widget) else self.size
        return grid_for(room, self.wish, self.count)

    def turn_size(self) -> bool:
        """Wish for the other size; return whether there is room for it."""
        before = self.grid
        self.wish = "half" if before.scale >= FULL else "full"
        return self.grid != before

    def on_resize(self) -> None:
        super().on_resize()
        self.post_message(self.Resized())

    @property
    def columns(self) -> int:
        return self.grid.columns

    @property
    def capacity(self) -> int:
        return self.grid.capacity

    def capacity_for(self, count: int) -> int:
        """Pairs on a page of so many in all, in the size that shows the most of them."""
        self.count = count or None
        return self.capacity

    def show(self, pairs: list[Pair], selected: int | None) -> None:
        """Show a page. `selected`: the place on it of the selected pair; None where these are all the pairs there are,
        and none is selected."""
        self.pairs, self.selected = pairs, selected
        if selected is None:
            self.count = len(pairs) or None
        self.full = fitted_scale([(pair.original, pair.reconstruction) for pair in pairs if pair.original is not None])
        self.redraw()

    def select(self, number: int) -> None:
        """Select the pair at this place on the page."""
        self.selected = number
        self.redraw()

    @property
    def example(self) -> Picture | None:
        return self.pairs[0].reconstruction if self.pairs else None

    def tiles(self, size: Size) -> Iterator[Tile]:
        grid = self.grid
        image = cells(grid.scale)
        for number, pair in enumerate(self.pairs[: grid.capacity]):
            x, y = grid.place(number)
            if pair.original is not None:
                yield Tile(x, y, image.width, self.renderer.image(pair.original, grid.scale))
            yield Tile(x + image.width + 1, y, image.width, self._right_image(pair, grid.scale))
            if grid.words:
                yield from self._beside(pair, grid, x, y, number == self.selected)
            else:
                yield self._caption(pair, x, y + image.height, grid.pair_width, number == self.selected)

    def _right_image(self, pair: Pair, scale: int) -> Lines:
        """The reconstruction, or the difference in its place."""
        if self.differences and pair.original is not None:
            return self.renderer.difference(pair.original, pair.reconstruction, scale, levels_of(self.full))
        return self.renderer.image(pair.reconstruction, scale)

    def edges(self, size: Size) -> list[int]:
        """Originals and reconstructions lie in columns of their own: while a run is watched, only the latter change."""
        grid = self.grid
        edges = []
        for column in range(grid.columns):
            start, _ = grid.place(column)
            end = start + grid.step.width if column + 1 < grid.columns else size.width
            edges += [start + cells(grid.scale).width + 1, end]
        return edges

    def _caption(self, pair: Pair, x: int, y: int, width: int, selected: bool) -> Tile:
        """The words in one line below a pair."""
        name, number = ("accent", "accent") if selected else ("text", "label")
        index = "" if pair.index is None else f" #{pair.index}"
        mark = self._mark(pair) + (" ◂" if selected else "")
        error = "" if pair.mse is None else f" mse {pair.mse:.4f}"
        if len(pair.label + index + mark + error) > width:
            error = error.replace("mse ", "")
        label = beside_figure(pair.label, index + mark + error, width)
        space = " " * max(0, width - len(label + index + mark + error))
        return self.text(x, y, width, (label, name), (index + mark, number), (space, "label"), (error, "note"))

    def _beside(self, pair: Pair, grid: Grid, x: int, y: int, selected: bool) -> Iterator[Tile]:
        """The words in a column beside a pair, above its difference at half size."""
        name, number = ("accent", "accent") if selected else ("text", "label")
        here = " ◂" if selected else ""
        lines: list[Line] = [[(beside_figure(pair.label, here, grid.words - 1) + here, name)]]
        if pair.index is not None:
            lines.append([(f"#{pair.index}{self._mark(pair)}", number)])
        if pair.mse is not None:
            lines += [[], [("mse ", "label"), (f"{pair.mse:.4f}", "note")]]
        left = x + 2 * cells(grid.scale).width + 2
        width = grid.words - 1
        texts = [self.text(left, y, width, *line).lines[0] for line in lines]
        yield Tile(left, y, width, tuple(texts))
        small = cells(SMALL)
        if pair.original is not None and not self.differences:
            full = levels_of(self.full)
            difference = self.renderer.difference(pair.original, pair.reconstruction, SMALL, full)
            yield Tile(left, y + cells(grid.scale).height - small.height, small.width, difference)

    def _mark(self, pair: Pair) -> str:
        return " *" if pair.index in self.marked else ""

    def on_click(self, event: Click) -> None:
        number = self.grid.at(event.screen_x - self.region.x, event.screen_y - self.region.y)
        if number is not None and number < len(self.pairs):
            self.post_message(self.Opened(number))
