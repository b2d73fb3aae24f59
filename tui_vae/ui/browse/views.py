"""How Browse lays images out: a page of pairs, and one image large beside its difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.renderer import FULL, SMALL, Depth, Lines, cells
from tui_vae.ui.test_set import Pair

GAP = 2
"""Columns between two pairs."""
WORDS = 18
"""Columns for the words beside a pair, where they stand there."""
AIR = Size(4, 2)
"""So much further apart than they need to be pairs stand where there is room."""

Line = list[tuple[str, str]]
"""Texts and the names of their inks."""


@dataclass(frozen=True)
class Grid:
    """Where the pairs of a page stand; `step`: from one to the next across and down; `words`: columns beside each."""

    scale: int
    columns: int
    rows: int
    corner: tuple[int, int]
    step: Size
    words: int = 0

    @property
    def capacity(self) -> int:
        return self.columns * self.rows

    @property
    def pair_width(self) -> int:
        return 2 * cells(self.scale).width + 1 + self.words

    @property
    def pair_height(self) -> int:
        return cells(self.scale).height + (not self.words)

    def place(self, number: int) -> tuple[int, int]:
        """The upper left corner of a pair."""
        row, column = divmod(number, self.columns)
        return self.corner[0] + column * self.step.width, self.corner[1] + row * self.step.height

    def at(self, x: int, y: int) -> int | None:
        """The pair at a cell."""
        column, across = divmod(x - self.corner[0], self.step.width)
        row, down = divmod(y - self.corner[1], self.step.height)
        inside = 0 <= column < self.columns and 0 <= row < self.rows
        return row * self.columns + column if inside and across < self.pair_width and down < self.pair_height else None


def grid_of(size: Size, scale: int, words: int = 0) -> Grid:
    """As many pairs of a scale as fit, in the middle, with some air between them; their words below, or beside."""
    image = cells(scale)
    width = 2 * image.width + 1 + words
    height = image.height + (not words)
    between = 1 if words else 0
    columns = max(1, (size.width + GAP) // (width + GAP))
    rows = max(1, (size.height + between) // (height + between))
    wide = max(0, size.width - columns * (width + GAP) + GAP)
    high = max(0, size.height - rows * (height + between) + between)
    across, down = min(AIR.width, wide // columns), min(AIR.height, high // rows)
    corner = (wide - across * (columns - 1)) // 2, (high - down * (rows - 1)) // 2
    return Grid(scale, columns, rows, corner, Size(width + GAP + across, height + between + down), words)


def grid_for(size: Size, wish: str = "") -> Grid:
    """Full size where several pairs fill most of the screen, else half size; `full` or `half` where it is wished."""
    full = max(grid_of(size, FULL), grid_of(size, FULL, WORDS), key=lambda grid: grid.capacity)
    fits = full.pair_width <= size.width and full.pair_height <= size.height
    filled = full.rows * full.pair_height / max(1, size.height)
    big = wish == "full" or (wish != "half" and full.capacity >= 2 and filled > 0.6)
    return full if fits and big else grid_of(size, SMALL)


class PairGrid(Canvas):
    """A page of pairs, one of them selected."""

    @dataclass
    class Opened(Message):
        number: int

    class Resized(Message):
        """There is room for more or fewer pairs."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pairs: list[Pair] = []
        self.selected: int | None = None
        self.marked: frozenset[int] = frozenset()
        self.wish = ""
        """The size of the images that is wished: `full`, `half`, or none."""
        self.differences = False
        """Whether differences stand where else reconstructions do."""

    @property
    def grid(self) -> Grid:
        # A hidden widget has no size; its container has, and what will be shown must be known before.
        room = self.parent.size if isinstance(self.parent, Widget) else self.size
        return grid_for(room, self.wish)

    def turn_size(self) -> bool:
        """Wish for the other size; whether there is room for it."""
        before = self.grid
        self.wish = "half" if before.scale == FULL else "full"
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

    def show(self, pairs: list[Pair], selected: int | None) -> None:
        self.pairs, self.selected = pairs, selected
        self.redraw()

    def select(self, number: int) -> None:
        self.selected = number
        self.redraw()

    def tiles(self, size: Size) -> Iterator[Tile]:
        grid = self.grid
        image = cells(grid.scale)
        for number, pair in enumerate(self.pairs[: grid.capacity]):
            x, y = grid.place(number)
            if pair.original is not None:
                yield Tile(x, y, image.width, self.renderer.image(pair.original, grid.scale, pair.width))
            yield Tile(x + image.width + 1, y, image.width, self._answer(pair, grid.scale))
            if grid.words:
                yield from self._beside(pair, grid, x, y, number == self.selected)
            else:
                yield self._caption(pair, x, y + image.height, grid.pair_width, number == self.selected)

    def _answer(self, pair: Pair, scale: int) -> Lines:
        """What stands beside the original."""
        if self.differences and pair.original is not None:
            return self.renderer.difference(pair.original, pair.reconstruction, scale, pair.width)
        return self.renderer.image(pair.reconstruction, scale, pair.width)

    def edges(self, size: Size) -> list[int]:
        """Originals apart from reconstructions: while a run is watched, only these change."""
        grid = self.grid
        edges = []
        for column in range(grid.columns):
            start, _ = grid.place(column)
            end = start + grid.step.width if column + 1 < grid.columns else size.width
            edges += [start + cells(grid.scale).width + 1, end]
        return edges

    def _caption(self, pair: Pair, x: int, y: int, width: int, selected: bool) -> Tile:
        """One line below a pair."""
        name, number = ("accent", "accent") if selected else ("text", "label")
        index = "" if pair.index is None else f" #{pair.index}"
        mark = self._mark(pair) + (" ◂" if selected else "")
        error = "" if pair.mse is None else f"mse {pair.mse:.4f}"
        if len(pair.label + index + mark + error) >= width:
            error = error.removeprefix("mse ")
        space = " " * max(1, width - len(pair.label) - len(index) - len(mark) - len(error))
        return self.text(x, y, width, (pair.label, name), (index + mark, number), (space, "label"), (error, "note"))

    def _beside(self, pair: Pair, grid: Grid, x: int, y: int, selected: bool) -> Iterator[Tile]:
        """The same beside a pair, above its difference at half size."""
        name, number = ("accent", "accent") if selected else ("text", "label")
        lines: list[Line] = [[(pair.label, name), (" ◂" if selected else "", name)]]
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
            difference = self.renderer.difference(pair.original, pair.reconstruction, SMALL, pair.width)
            yield Tile(left, y + cells(grid.scale).height - small.height, small.width, difference)

    def _mark(self, pair: Pair) -> str:
        return " *" if pair.index in self.marked else ""

    def on_click(self, event: Click) -> None:
        number = self.grid.at(event.screen_x - self.region.x, event.screen_y - self.region.y)
        if number is not None and number < len(self.pairs):
            self.post_message(self.Opened(number))


@dataclass(frozen=True)
class LargeLayout:
    """Where one image, its reconstruction, their difference and the words about them stand."""

    scale: int
    difference_scale: int
    difference_at: tuple[int, int]
    words_at: tuple[int, int]
    beside: bool
    """Whether the words stand in a column beside the images; else in a few lines below."""

    @property
    def height(self) -> int:
        image, words = cells(self.scale).height, self.words_at[1]
        return max(image, words + (BESIDE.height if self.beside else BELOW.height))


BELOW, BESIDE = Size(60, 3), Size(17, 9)
"""The room that the words need below the images and beside them."""


STRIP = 2 * cells(SMALL).height + 1
"""Lines of a strip of images above their reconstructions, with their numbers."""


def large_layout(size: Size) -> LargeLayout:
    """The largest images that leave room for the difference and the words."""
    for scale in range(max(SMALL, size.width // cells(SMALL).width), 0, -1):
        image = cells(scale)
        pair_width = 2 * image.width + 1
        side = size.width - pair_width - GAP
        if image.height + BELOW.height <= size.height and side >= image.width:
            return LargeLayout(scale, scale, (pair_width + 1, 0), (0, image.height), beside=False)
        if image.height > size.height:
            continue
        low = image.height if image.height + STRIP <= size.height else size.height  # rather than to go without a strip
        for smaller in range(scale, (scale - 1) // 2, -1):
            other = cells(smaller)
            if max(other.width, BESIDE.width) <= side and other.height + BESIDE.height <= low:
                return LargeLayout(scale, smaller, (pair_width + GAP, 0), (pair_width + GAP, other.height), beside=True)
    image = cells(SMALL)
    return LargeLayout(SMALL, SMALL, (2 * image.width + 2, 0), (0, image.height), beside=False)


class OneImage(Canvas):
    """One pair as large as fits, with its signed difference and what is known of it; below, if there is room, a strip.

    The strip shows the images before and after it, each above its reconstruction.
    """

    @dataclass
    class Picked(Message):
        """A click on an image of the strip: its index in the test set."""

        index: int

    class Resized(Message):
        """There is room for more or fewer images."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pair: Pair | None = None
        self.place = ""
        self.strip: list[Pair] = []

    def on_resize(self) -> None:
        super().on_resize()
        self.post_message(self.Resized())

    @property
    def neighbours(self) -> int:
        """How many images the strip has room for, the large one among them; 0 where there is none for it."""
        image, size = cells(SMALL), self.size
        return size.width // (image.width + 1) if size.height - large_layout(size).height >= STRIP else 0

    def strip_is(self, indices: list[int]) -> bool:
        """Whether just these images are there."""
        return [pair.index for pair in self.strip] == indices

    def show(self, pair: Pair, place: str, strip: list[Pair]) -> None:
        """`place` says where in the order it stands; `strip`: itself and its neighbours, in their order."""
        self.pair, self.place, self.strip = pair, place, strip
        self.redraw()

    def tiles(self, size: Size) -> Iterator[Tile]:
        pair = self.pair
        if pair is None or pair.original is None:
            return
        layout = large_layout(size)
        image = cells(layout.scale)
        top = self._top(size)
        yield Tile(0, top, image.width, self.renderer.image(pair.original, layout.scale, pair.width))
        yield Tile(
            image.width + 1, top, image.width, self.renderer.image(pair.reconstruction, layout.scale, pair.width)
        )
        difference = self.renderer.difference(pair.original, pair.reconstruction, layout.difference_scale, pair.width)
        x, y = layout.difference_at
        yield Tile(x, y + top, cells(layout.difference_scale).width, difference)
        x, y = layout.words_at
        lines = self._beside(pair) if layout.beside else self._below(pair, image.width)
        for number, line in enumerate(lines):
            if y + top + number < size.height:
                yield self.text(x, y + top + number, size.width - x, *line)
        yield from self._strip(size)

    def _top(self, size: Size) -> int:
        """Where the large images begin: in the middle of what the strip leaves."""
        return max(0, size.height - large_layout(size).height - (STRIP if self.neighbours else 0)) // 2

    def _strip_corner(self, size: Size) -> tuple[int, int]:
        image = cells(SMALL)
        return (size.width + 1 - len(self.strip) * (image.width + 1)) // 2, size.height - STRIP

    def _strip(self, size: Size) -> Iterator[Tile]:
        if not 1 < len(self.strip) <= self.neighbours:
            return  # it is to come, or what is there is of another size
        image = cells(SMALL)
        left, top = self._strip_corner(size)
        for number, pair in enumerate(self.strip):
            if pair.original is None:
                continue
            x = left + number * (image.width + 1)
            here = pair.index == (self.pair and self.pair.index)
            number_of = f"#{pair.index} ◂" if here else f"#{pair.index}"
            yield self.text(x, top, image.width, (number_of, "accent" if here else "label"))
            yield Tile(x, top + 1, image.width, self.renderer.image(pair.original, SMALL, pair.width))
            yield Tile(
                x, top + 1 + image.height, image.width, self.renderer.image(pair.reconstruction, SMALL, pair.width)
            )

    def on_click(self, event: Click) -> None:
        left, top = self._strip_corner(self.size)
        x, y = event.screen_x - self.region.x, event.screen_y - self.region.y
        number = (x - left) // (cells(SMALL).width + 1)
        if y >= top and 0 <= number < len(self.strip) and (index := self.strip[number].index) is not None:
            self.post_message(self.Picked(index))

    @property
    def _signs(self) -> tuple[str, str]:
        """How the difference map shows too dark and too bright."""
        signs = {Depth.CHARACTERS: ("- =", "+ #"), Depth.COLOURS_16: ("cyan", "yellow")}
        return signs.get(self.renderer.depth, ("blue", "amber"))

    def _beside(self, pair: Pair) -> list[Line]:
        dark, bright = self._signs
        return [
            [("difference", "label")],
            [],
            [(pair.label, "text"), (f" #{pair.index}", "label")],
            [(f"mse {pair.mse:.4f}", "text")],
            [(self.place, "note")],
            [],
            [(f"{dark} ", "blue"), ("too dark", "label")],
            [(f"{bright} ", "accent"), ("too bright", "label")],
            [("full at ±¼ of white", "label")],
        ]

    def _below(self, pair: Pair, width: int) -> list[Line]:
        dark, bright = self._signs
        return [
            [(f"{name:<{width + 1}}", "label") for name in ("original", "reconstruction", "difference")],
            [],
            [(pair.label, "text"), (f" #{pair.index}   ", "label"), (f"mse {pair.mse:.4f}   ", "text"),
             (self.place, "note")],
            [("difference: ", "label"), (f"{dark} ", "blue"), ("too dark, ", "label"), (f"{bright} ", "accent"),
             ("too bright, in full at ±¼ of white", "label")],
        ]  # fmt: skip
