"""The view of the plane: the test images as a scatter with a cursor, and beside it the decoded image of the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Size
from textual.message import Message

from tui_vae.ui.fitting import beside_figure, first_that_fits
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Tile
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL, SMALL, Lines, cells
from tui_vae.ui.latent.canvas import LatentCanvas, class_mark, lines_of
from tui_vae.ui.latent.plane import Extent, Plane, Point, extent_of
from tui_vae.ui.latent.scatter_cells import BRAILLE, Cells, gather, of_class
from tui_vae.ui.numbers import MINUS
from tui_vae.ui.terminal import legible

MARK_EVERY = 5
"""One cell in so many shows the mark of its class; the others show their dots."""

LARGEST = 6
"""The largest scale of the decoded image."""

IMAGE_SHARE = 0.36
"""The share of the pane's width that the decoded image takes at most, beyond full size."""

WORDS_HEIGHT = 13
"""Lines, at least, below a decoded image beyond full size: the cursor's place, the nearest image and ten classes."""

DECODING = "decoding …"
"""What stands in the place of the first decoded image."""

MANY_CLASSES = 20
"""Of more classes the legend shows those around the chosen one that there is room for."""

NARROWEST_PLANE = 30
"""Columns, at least, that an image at full size leaves to the plane; else the image is shown at half size."""


def coordinates(point: Point) -> str:
    """`(−1.20, +0.45)`: a number below ten always takes five cells."""
    a, b = (f"{value:+.2f}".replace("-", MINUS) for value in point)
    return f"({a}, {b})"


def places(point: Point | None) -> tuple[str, ...]:
    """Where a latent was decoded, the longest wording first."""
    if point is None:
        return ("",)
    a, b = (f"{value:+.1f}".replace("-", MINUS) for value in point)
    return f"z at {coordinates(point)}", coordinates(point), f"({a}, {b})", f"{a} {b}"


class Scatter(LatentCanvas):
    """The test images on the plane, and a cursor.

    The points are drawn once for each plane and size. Moving the cursor repaints two lines.
    """

    @dataclass
    class Pointed(Message):
        """A click on the plane."""

        point: Point

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.plane: Plane | None = None
        self.extent = Extent()
        self.cursor: Point = (0.0, 0.0)
        self.marks: dict[str, int] = {}
        """The marked test images by the letters that mark them."""
        self.label: int | None = None
        """The only class that is shown in colour; None: all are."""
        self.marks_only = False
        """Whether every cell shows the mark of its class."""
        self._lines: Lines = ()
        """The points and axes, without cursor and marks."""
        self._drawn_for: object = None
        """What `_lines` were drawn for."""

    def show(self, plane: Plane) -> None:
        """Show a plane, in the extent of the one before it while that fits."""
        self.extent = extent_of(plane, self.extent if self.plane is not None else None)
        self.plane = plane
        self._update_frame()
        self.redraw()

    def on_resize(self) -> None:
        self._update_frame()
        super().on_resize()

    def _update_frame(self) -> None:
        """Say which plane it is, in as many words as fit."""
        if (plane := self.plane) is None:
            return
        first, second = plane.explained
        if plane.is_the_space:
            titles: tuple[str, ...] = "the latent space itself", "latent space"
            about: tuple[str, ...] = f"z 0 across, z 1 up · {len(plane.xs):,} images", "z 0 across, z 1 up"
        else:
            titles = f"main directions 1 and 2 of {plane.latent_dim}", "main directions"
            about = f"explain {first:.1%} + {second:.1%} of the variance", f"{first:.1%} + {second:.1%}"
        room = self.size.width - 4
        self.border_title, self.border_subtitle = (legible(first_that_fits(each, room)) for each in (titles, about))

    def move(self, columns: int, rows: int) -> bool:
        """Move the cursor by cells, at most to the edge; return whether it moved."""
        width, height = self.size
        if not width or not height:
            return False
        column, row = self.extent.cell(self.cursor, width, height)
        there = min(max(0, column + columns), width - 1), min(max(0, row + rows), height - 1)
        if there == (column, row):
            return False
        self.cursor = self.extent.centre(*there, width, height)
        return True

    def on_click(self, event: Click) -> None:
        at = event.get_content_offset(self)
        if at is not None and self.plane is not None:
            self.post_message(self.Pointed(self.extent.centre(at.x, at.y, *self.size)))

    def notify_style_update(self) -> None:
        self._drawn_for = None
        super().notify_style_update()

    def tiles(self, size: Size) -> Iterator[Tile]:
        if self.plane is None:
            return
        drawn_for = self.plane, self.extent, size, self.label, self.marks_only
        if drawn_for != self._drawn_for:
            self._drawn_for = drawn_for
            self._lines = self._draw(self.plane, size)
        lines = list(self._lines)
        for letter, index in self.marks.items():
            if index < len(self.plane.xs):
                column, row = self.extent.cell((self.plane.xs[index], self.plane.ys[index]), *size)
                lines[row] = _with(lines[row], column, letter, self.mark_ink("mark"))
        column, row = self.extent.cell(self.cursor, *size)
        lines[row] = _with(lines[row], column, "┼" if glyphs().braille else "+", self.mark_ink("cursor"))
        yield Tile(0, 0, size.width, tuple(lines))

    def _draw(self, plane: Plane, size: Size) -> Lines:
        width, height = size
        everything = gather(plane.xs, plane.ys, plane.labels, self.extent, width, height)
        chosen = None if self.label is None else of_class(plane, self.label, self.extent, width, height)
        axes = self._axes(size)
        rows = []
        for y in range(height):
            row = []
            for x in range(width):
                at = y * width + x
                if chosen is not None and chosen.classes[at]:
                    row.append(self._cell(chosen, at, x, y, None))
                elif everything.classes[at]:
                    row.append(self._cell(everything, at, x, y, None if chosen is None else self.mark_ink("quiet")))
                else:
                    row.append((axes.get((x, y), " "), self.mark_ink("quiet")))
            rows.append(row)
        return lines_of(rows)

    def _cell(self, cells: Cells, at: int, x: int, y: int, ink: Style | None) -> tuple[str, Style]:
        """The character and style of one cell of points; in the colour of its class where no other ink is given."""
        label = cells.classes[at] - 1
        style = self.class_ink(label) if ink is None else ink
        as_mark = not glyphs().braille or self.app.no_color or self.marks_only or (x + 2 * y) % MARK_EVERY == 0
        if as_mark and (ink is None or not glyphs().braille):
            return (class_mark(label) if ink is None else "."), style
        return chr(BRAILLE + cells.dots[at]), style

    def _axes(self, size: Size) -> dict[tuple[int, int], str]:
        """The characters of faint lines through the origin, by their cells."""
        extent, found = self.extent, {}
        column, row = extent.cell((0.0, 0.0), *size)
        if extent.bottom < 0 < extent.top:
            found.update({(x, row): "·" if glyphs().braille else "-" for x in range(0, size.width, 2)})
        if extent.left < 0 < extent.right:
            found.update({(column, y): "·" if glyphs().braille else "|" for y in range(size.height)})
        return found


def _with(line: tuple[Segment, ...], column: int, character: str, style: Style) -> tuple[Segment, ...]:
    """A line with one cell replaced."""
    found: list[Segment] = []
    x = 0
    for segment in line:
        end = x + len(segment.text)
        if x <= column < end:
            before, after = segment.text[: column - x], segment.text[column - x + 1 :]
            parts = ((before, segment.style), (character, style), (after, segment.style))
            found += [Segment(text, ink) for text, ink in parts if text]
        else:
            found.append(segment)
        x = end
    return tuple(found)


class CursorImage(LatentCanvas):
    """The decoded image of the cursor, the cursor's place, the nearest test image, and a legend of the classes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.image: Picture | None = None
        self.where: Point | None = None
        """The cursor's place."""
        self.near = "", ""
        """The nearest test image, and its class."""
        self.label: int | None = None
        """The only class that is shown in colour; None: all are."""
        self.names: tuple[str, ...] = ()
        """Of the classes."""

    @staticmethod
    def scale_for(pane: Size) -> int:
        """The largest scale that leaves most of the width to the plane and enough of the height to the words below."""
        for scale in range(LARGEST, FULL, -1):
            image = cells(scale)
            if image.width <= pane.width * IMAGE_SHARE and image.height + WORDS_HEIGHT <= pane.height:
                return scale
        return FULL if cells(FULL).width + NARROWEST_PLANE <= pane.width else SMALL

    @property
    def scale(self) -> int:
        """The scale at which the image fills the width."""
        return max(SMALL, self.size.width // cells(SMALL).width)

    def show(self, image: Picture, where: Point, near: tuple[str, str]) -> None:
        """Show an image, where it was decoded, and the test image nearest to it, by its number and its class."""
        self.image, self.where, self.near = image, where, near
        self.redraw()

    @property
    def example(self) -> Picture | None:
        return self.image

    def tiles(self, size: Size) -> Iterator[Tile]:
        picture = cells(self.scale)
        width = size.width
        if self.image is not None:
            yield Tile(0, 0, picture.width, self.renderer.image(self.image, self.scale))
        else:
            yield self.text(0, picture.height // 2, width, (DECODING.center(picture.width), "label"))
        y = picture.height
        rest = size.height - y
        single = rest >= len(self.names) + 4
        legend = len(self.names) if single else -(-len(self.names) // 2)
        if len(self.names) > MANY_CLASSES:
            legend = min(legend, max(0, rest - 3))
        yield self.text(0, y, width, (first_that_fits(places(self.where), width), "text"))
        if rest >= legend + 2:
            near, name = self.near
            yield self.text(0, y + 1, width, (f"{near} {beside_figure(name, f'{near} ', width)}", "note"))
            y += 1 + (rest >= legend + 3)
        y += 1
        yield from self._legend(y, size, single)

    def _legend(self, top: int, size: Size, single: bool) -> Iterator[Tile]:
        columns = 1 if single else 2
        width = size.width // columns
        room = size.height - top
        rows = -(-len(self.names) // columns)
        first, last = 0, len(self.names)
        if len(self.names) > MANY_CLASSES and rows > room > 0:
            rows, last = room, columns * room - 1  # the last place says how many others there are
            first = max(0, min((self.label or 0) - last // 2, len(self.names) - last))
            more = f" {len(self.names) - last} more"[: width - 2]
            yield self.text((columns - 1) * width, size.height - 1, width, (more, "label"))
        for place, label in enumerate(range(first, min(first + last, len(self.names)))):
            name = self.names[label]
            column, row = divmod(place, rows)
            if top + row >= size.height:
                continue
            chosen = self.label in (None, label)
            text = f" {name}"[: width - 2].ljust(width - 1)
            mark = Segment(class_mark(label), self.class_ink(label) if chosen else self.mark_ink("quiet"))
            ink = "note" if self.label is None else "text" if chosen else "label"
            yield Tile(column * width, top + row, width, ((mark, Segment(text, self.ink(ink))),))
