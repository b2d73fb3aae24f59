"""The right half of the start screen: what there is to tell about the entry under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from textwrap import wrap

from textual.geometry import Size

from tui_vae.ui.big_digits import ROWS as DIGIT_ROWS
from tui_vae.ui.big_digits import big
from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.header_figure import WIDTH as FIGURE_WIDTH
from tui_vae.ui.header_figure import figure_text
from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.pairs import grid, pair_tiles
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import SMALL, cells
from tui_vae.ui.start.area import area
from tui_vae.ui.start.detail import Detail

DOT = " · "
"""Between facts of one line; those that there is no room for are left out."""

TALL = 30
"""Lines from which there is air between the parts, and a curve of more than two rows."""

TALL_CURVE = 5
"""Rows of the curve then."""

LEAST_CURVE = 8
"""Cells that a curve needs beside the figure."""

LEAST_IMAGES = 2 * cells(SMALL).height + 1
"""Lines of a pair of small images, an empty one between them."""


class DetailView(Canvas):
    """Draws a `Detail` in the room there is: the images take what is left."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.detail = Detail()

    def show(self, detail: Detail) -> None:
        """Show this. The same costs nothing."""
        if detail != self.detail:
            self.detail = detail
            self.redraw()

    @property
    def example(self) -> Picture | None:
        return self.detail.pairs[0][1] if self.detail.pairs else None

    def tiles(self, size: Size) -> Iterable[Tile]:
        """Title, sentences, the figure with its curve, and images from the first line that they leave."""
        if not self.detail.title:
            return
        tall = size.height >= TALL
        yield self._title(size.width)
        y = 1
        for line in self._sentences(size):
            yield self.text(0, y, size.width, (line, "note"))
            y += 1
        figure = list(self._figure(size.width, y + tall, TALL_CURVE if tall else DIGIT_ROWS))
        yield from figure
        y = max([y, *(tile.y + len(tile.lines) for tile in figure)])
        room = size.height - y
        if not self.detail.pairs or room < LEAST_IMAGES:
            return
        if room > LEAST_IMAGES + 1:  # room for their title, and for an empty line above it
            y += room > LEAST_IMAGES + 2
            yield self.text(0, y, size.width, (fitting(self.detail.about_pairs, size.width), "label"))
            y += 1
        elif room > LEAST_IMAGES:
            y += 1
        below = Size(size.width, size.height - y)
        yield from pair_tiles(self.renderer, self.detail.pairs, grid(below, len(self.detail.pairs)), (0, y))

    def _title(self, width: int) -> Tile:
        state, ink = self.detail.state
        name = shortened(self.detail.title, max(1, width - len(state) - 2))
        space = " " * max(1, width - len(name) - len(state))
        return self.text(0, 0, width, (name, "emphasis"), (space, "note"), (state, ink))

    def _sentences(self, size: Size) -> list[str]:
        """The lines, broken at the width; on a low screen those that leave room for a pair of images."""
        lines = [part for line in self.detail.lines for part in self._parts(line, size.width)]
        figure = DIGIT_ROWS + 1 if self.detail.about_figure else 0
        most = max(1, size.height - 1 - figure - LEAST_IMAGES) if self.detail.pairs else size.height
        if len(lines) > most:
            lines = [*lines[: most - 1], f"{lines[most - 1].rstrip(';,.: ')[: size.width - 2]} …"]
        return lines

    @staticmethod
    def _parts(line: str, width: int) -> list[str]:
        return [fitting(line, width)] if DOT in line else wrap(line, width)

    def _figure(self, width: int, y: int, rows: int) -> Iterator[Tile]:
        """The best figure, large, its curve beside it, and below both what it is."""
        detail, unicode = self.detail, glyphs().braille
        if not detail.about_figure:
            return
        digits = () if detail.figure is None or not unicode else big(figure_text(detail.figure))
        left = FIGURE_WIDTH + 3 if digits else 0
        curve = width - left if width - left >= LEAST_CURVE and len(detail.curve) > 1 else 0
        lines = area(detail.curve, curve, rows, unicode) if curve else [""] * (rows if not digits else DIGIT_ROWS)
        for number, line in enumerate(lines):
            row = number - (len(lines) - DIGIT_ROWS)
            figure = digits[row] if digits and row >= 0 else ""
            above = lines[number - 1] if number else " " * len(line)
            yield self.text(0, y + number, width, (f"{figure:<{left}}", "emphasis"), *_inked(line, above))
        about = fitting(detail.about_figure, width)
        if not digits and detail.figure is not None:
            about = f"{figure_text(detail.figure)} {about}"
        yield self.text(0, y + len(lines), width, (about, "label"))


def _inked(line: str, above: str) -> Iterator[tuple[str, str]]:
    """A line of an area: what has nothing above it in the curve's colour, and what lies below it in a quiet one."""
    for is_top, cells_ in groupby(zip(line, above, strict=True), lambda pair: pair[1] == " "):
        yield "".join(sign for sign, _ in cells_), "blue" if is_top else "quiet"


def fitting(text: str, width: int) -> str:
    """As many parts of a text, between its dots, as fit into the width; the first one is cut if it must be."""
    parts = text.split(DOT)
    while len(parts) > 1 and len(DOT.join(parts)) > width:
        parts.pop()
    kept = DOT.join(parts)
    return kept if len(kept) <= width else kept[: max(0, width - 1)] + "…"
