"""One image large beside its reconstruction and their difference; below them a strip of the images around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.events import Click
from textual.geometry import Size
from textual.message import Message

from tui_vae.ui.fitting import beside_figure, first_that_fits
from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.pairs import APART
from tui_vae.ui.images.picture import SCALES, Picture, fitted_scale, levels_of
from tui_vae.ui.images.renderer import SMALL, Depth, cells
from tui_vae.ui.test_set import Pair

Line = list[tuple[str, str]]
"""Texts, each with the name of its ink."""

GAP = 2
"""Columns between the two images and what stands beside them."""

BELOW, BESIDE = Size(60, 3), Size(17, 9)
"""The columns and lines that the words need below the images and beside them."""

STRIP = 2 * cells(SMALL).height + 1 + APART
"""Lines of the strip: small images, their reconstructions below them, and a line of indices above."""


@dataclass(frozen=True)
class LargeLayout:
    """Where an image, its reconstruction, their difference and the words about them stand, in cells."""

    scale: int
    """Of the image and its reconstruction."""
    difference_scale: int
    difference_at: tuple[int, int]
    words_at: tuple[int, int]
    beside: bool
    """Whether the words stand in a column beside the images; else they stand in a few lines below."""

    @property
    def height(self) -> int:
        """Rows of all that, in cells."""
        image, words = cells(self.scale).height, self.words_at[1]
        return max(image, words + (BESIDE.height if self.beside else BELOW.height))

    def has_difference(self, width: int) -> bool:
        """Whether the difference fits into this width whole; where it does not it is left out."""
        return self.difference_at[0] + cells(self.difference_scale).width <= width


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
        # Where a strip fits below the images, the words end with the images, so that there is room for it.
        low = image.height if image.height + STRIP <= size.height else size.height
        for smaller in range(scale, (scale - 1) // 2, -1):
            other = cells(smaller)
            if max(other.width, BESIDE.width) <= side and other.height + BESIDE.height <= low:
                return LargeLayout(scale, smaller, (pair_width + GAP, 0), (pair_width + GAP, other.height), beside=True)
    image = cells(SMALL)
    return LargeLayout(SMALL, SMALL, (2 * image.width + 2, 0), (0, image.height), beside=False)


class OneImage(Canvas):
    """One pair as large as fits, with its signed difference and the words about it.

    Where there is room below, a strip shows it among the images around it in the list, each above its reconstruction.
    """

    @dataclass
    class Picked(Message):
        """A click on an image of the strip."""

        index: int
        """In the test set."""

    class Resized(Message):
        """There is room for more or fewer images."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.pair: Pair | None = None
        self.place = ""
        """Its place in the list, `57 of 1,000`."""
        self.strip: list[Pair] = []
        self.full = SCALES[-1]
        """Percent of the way from black to white that the difference shows at full strength: what fits the image."""

    def on_resize(self) -> None:
        super().on_resize()
        self.post_message(self.Resized())

    @property
    def neighbours(self) -> int:
        """How many images the strip has room for, the large one among them; 0 where there is no room for a strip."""
        image, size = cells(SMALL), self.size
        return size.width // (image.width + 1) if size.height - large_layout(size).height >= STRIP else 0

    def strip_is(self, indices: list[int]) -> bool:
        """Whether the strip holds these images."""
        return [pair.index for pair in self.strip] == indices

    def show(self, pair: Pair, place: str, strip: list[Pair]) -> None:
        """Show a pair. `strip` is the pair and its neighbours in the order of the list."""
        self.pair, self.place, self.strip = pair, place, strip
        self.full = SCALES[-1] if pair.original is None else fitted_scale([(pair.original, pair.reconstruction)])
        self.redraw()

    @property
    def example(self) -> Picture | None:
        return self.pair.reconstruction if self.pair else None

    def tiles(self, size: Size) -> Iterator[Tile]:
        pair = self.pair
        if pair is None or pair.original is None:
            return
        layout = large_layout(size)
        image = cells(layout.scale)
        top = self._top(size)
        yield Tile(0, top, image.width, self.renderer.image(pair.original, layout.scale))
        yield Tile(image.width + 1, top, image.width, self.renderer.image(pair.reconstruction, layout.scale))
        if layout.has_difference(size.width):
            full = levels_of(self.full)
            difference = self.renderer.difference(pair.original, pair.reconstruction, layout.difference_scale, full)
            x, y = layout.difference_at
            yield Tile(x, y + top, cells(layout.difference_scale).width, difference)
        x, y = layout.words_at
        room = size.width - x
        lines = self._beside(pair, room) if layout.beside else self._below(pair, image.width, room)
        if not layout.has_difference(size.width):
            lines = [lines[2]]
        for number, line in enumerate(lines):
            if y + top + number < size.height:
                yield self.text(x, y + top + number, size.width - x, *line)
        yield from self._strip(size)

    def _top(self, size: Size) -> int:
        """The line at which the large images begin, so that they stand in the middle of what the strip leaves."""
        return max(0, size.height - large_layout(size).height - (STRIP if self.neighbours else 0)) // 2

    def _strip_corner(self, size: Size) -> tuple[int, int]:
        image = cells(SMALL)
        return (size.width + 1 - len(self.strip) * (image.width + 1)) // 2, size.height - STRIP

    def _strip(self, size: Size) -> Iterator[Tile]:
        if not 1 < len(self.strip) <= self.neighbours:
            return  # the neighbours are still to come, or were requested for another width
        image = cells(SMALL)
        left, top = self._strip_corner(size)
        for number, pair in enumerate(self.strip):
            if pair.original is None:
                continue
            x = left + number * (image.width + 1)
            selected = self.pair is not None and pair.index == self.pair.index
            name = f"#{pair.index} ◂" if selected else f"#{pair.index}"
            yield self.text(x, top, image.width, (name, "accent" if selected else "label"))
            yield Tile(x, top + 1, image.width, self.renderer.image(pair.original, SMALL))
            yield Tile(x, top + 1 + image.height + APART, image.width, self.renderer.image(pair.reconstruction, SMALL))

    def on_click(self, event: Click) -> None:
        left, top = self._strip_corner(self.size)
        x, y = event.screen_x - self.region.x, event.screen_y - self.region.y
        number = (x - left) // (cells(SMALL).width + 1)
        if y >= top and 0 <= number < len(self.strip) and (index := self.strip[number].index) is not None:
            self.post_message(self.Picked(index))

    @property
    def _difference_words(self) -> tuple[str, str]:
        """What in the difference map means too dark and what too bright: characters or the names of colours."""
        few = ("blue", "red") if self.renderer.light else ("cyan", "yellow")
        words = {Depth.CHARACTERS: ("- =", "+ #"), Depth.COLOURS_16: few}
        return words.get(self.renderer.depth, ("blue", "amber"))

    def _beside(self, pair: Pair, room: int) -> list[Line]:
        dark, bright = self._difference_words
        index = f" #{pair.index}"
        return [
            [("difference", "label")],
            [],
            [(beside_figure(pair.label, index, room), "text"), (index, "label")],
            [(f"mse {pair.mse:.4f}", "text")],
            [(first_that_fits((self.place, self.place.partition(" ")[0]), room), "note")],
            [],
            [(f"{dark} ", "blue"), ("too dark", "label")],
            [(f"{bright} ", "accent"), ("too bright", "label")],
            [(f"full at ±{self.full} %", "label")],
        ]

    def _below(self, pair: Pair, width: int, room: int) -> list[Line]:
        dark, bright = self._difference_words
        index, error = f" #{pair.index}", f"   mse {pair.mse:.4f}"
        place = first_that_fits((f"   {self.place}", ""), room - len(index + error))
        label = beside_figure(pair.label, index + error + place, room)
        return [
            [(f"{name:<{width + 1}}", "label") for name in ("original", "reconstruction", "difference")],
            [],
            [(label, "text"), (index, "label"), (error, "text"), (place, "note")],
            [("difference: ", "label"), (f"{dark} ", "blue"), ("too dark, ", "label"), (f"{bright} ", "accent"),
             (f"too bright, in full at ±{self.full} % of white", "label")],
        ]  # fmt: skip
