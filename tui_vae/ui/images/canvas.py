"""Widgets that show tiles of images and text, and repaint only the lines that changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ReturnType
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import Depth, ImageRenderer, Lines
from tui_vae.ui.terminal import legible


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of drawn lines: its upper left corner on the canvas, its width in cells, its lines."""

    x: int
    y: int
    width: int
    lines: Lines

    @property
    def size(self) -> Size:
        """Width and height in cells."""
        return Size(self.width, len(self.lines))


Tiles = dict[tuple[int, int], Tile]
"""Tiles by their upper left corners."""


class CanvasColumn(Widget):
    """A vertical part of a canvas. Textual sends a changed line from its widget's left edge on, so a column that
    changes while its neighbours do not has to be a widget of its own."""

    ALLOW_SELECT = False

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self._canvas = canvas
        self.left = self.right = 0
        """The columns of the canvas from which it begins and before which it ends."""

    def place(self, left: int, right: int) -> None:
        """Show the canvas from column `left` up to before column `right`."""
        self.left, self.right = left, right
        self.styles.width = right - left
        self.refresh(layout=True)

    def render_line(self, y: int) -> Strip:
        return self._canvas.render_line(y).crop(self.left, self.right)


INKS = ("quiet", "label", "note", "text", "emphasis", "accent", "blue", "good", "warn", "bad")
"""The names of the colours that text on a canvas may have."""


class ImageApp(App[ReturnType]):
    """An app with canvases. All of them draw with its `renderer`."""

    renderer: reactive[ImageRenderer] = reactive(ImageRenderer(Depth.CHARACTERS), init=False)

    def __init__(self) -> None:
        super().__init__()
        self.set_reactive(ImageApp.renderer, ImageRenderer.for_terminal(self))

    def watch_renderer(self) -> None:
        for canvas in self.screen.query(Canvas):
            canvas.redraw()


class Canvas(Widget):
    """Shows tiles on a plain ground, in an `ImageApp`. `redraw` repaints only the lines of those tiles that differ.

    While there are none, `waiting` stands in the middle: an empty canvas says what it waits for.
    """

    DEFAULT_CSS = """
    Canvas {
        layout: horizontal;
        & > CanvasColumn { height: 100%; }
        & > .canvas--quiet { color: $band; }
        & > .canvas--label { color: $label; }
        & > .canvas--note { color: $note; }
        & > .canvas--text { color: $foreground; }
        & > .canvas--emphasis { color: $emphasis; text-style: bold; }
        & > .canvas--accent { color: $accent; }
        & > .canvas--good { color: $success; }
        & > .canvas--warn { color: $warning; }
        & > .canvas--bad { color: $error; }
        & > .canvas--blue { color: $secondary; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"canvas--{name}" for name in INKS}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.waiting = ""
        self._tiles: Tiles = {}
        self._rows: dict[int, list[Tile]] = {}
        self._edges: tuple[int, ...] = ()

    def tiles(self, size: Size) -> Iterable[Tile]:
        """The tiles for a canvas of this size. Those of one line come from left to right; none overlaps another or
        reaches beyond the right edge."""
        return ()

    @property
    def example(self) -> Picture | None:
        """One of the pictures on show, if there is one: all are grey, or all are in colour."""
        return None

    def edges(self, size: Size) -> Sequence[int]:
        """The right edges of the columns into which the canvas is divided, to send each on its own; may be empty."""
        return ()

    @property
    def renderer(self) -> ImageRenderer:
        assert isinstance(self.app, ImageApp)
        return self.app.renderer

    def ink(self, name: str) -> Style:
        """The style of text in one of `INKS`."""
        return self.get_component_rich_style(f"canvas--{name}")

    def text(self, x: int, y: int, width: int, *parts: tuple[str, str]) -> Tile:
        """A tile of one line of text, cut or filled to the width. Each part is a text and the name of its ink."""
        strip = Strip(Segment(legible(text), self.ink(ink)) for text, ink in parts)
        return Tile(x, y, width, (tuple(strip.adjust_cell_length(width, self.rich_style)),))

    def wait_for(self, words: str) -> None:
        """Say this while there is nothing to show."""
        if words != self.waiting:
            self.waiting = words
            self.redraw()

    def _shown(self, size: Size) -> Iterator[Tile]:
        """The tiles; without any, the words about what is being waited for."""
        tile = None
        for tile in self.tiles(size):
            yield tile
        if tile is None and self.waiting:
            parts = (wrap(part, max(1, size.width)) for part in legible(self.waiting).splitlines())
            lines = [line for part in parts for line in part][: size.height]
            for y, line in enumerate(lines, (size.height - len(lines)) // 2):
                yield self.text(0, y, size.width, (line.center(size.width), "label"))

    def redraw(self) -> None:
        """Ask for the tiles again, and repaint what has changed."""
        if not self.is_attached or not self.size:
            return
        before, after = self._tiles, {(tile.x, tile.y): tile for tile in self._shown(self.size)}
        self._tiles = after
        self._rows = {}
        for tile in after.values():
            for row in range(tile.y, tile.y + len(tile.lines)):
                self._rows.setdefault(row, []).append(tile)
        self._place_columns()
        if {at: tile.size for at, tile in before.items()} != {at: tile.size for at, tile in after.items()}:
            for widget in (self, *self.query_children(CanvasColumn)):
                widget.refresh()
        else:
            self._refresh_changed_lines(before, after)

    def _place_columns(self) -> None:
        """Give the columns their places, and add or remove columns where their number has changed."""
        edges = tuple(self.edges(self.size))
        if edges == self._edges:
            return
        self._edges = edges
        columns = list(self.query_children(CanvasColumn))
        added = [CanvasColumn(self) for _ in edges[len(columns) :]]
        for column, left, right in zip([*columns, *added], (0, *edges), edges, strict=False):
            column.place(left, right)
        for column in columns[len(edges) :]:
            column.remove()
        if added:
            self.mount_all(added)

    def _refresh_changed_lines(self, before: Tiles, after: Tiles) -> None:
        """Refresh one region for each changed line of each column, from the column's left edge on: Textual sends a
        line from its widget's left edge to each region's end."""
        columns = [(column, column.left, column.right) for column in self.query_children(CanvasColumn)]
        parts: list[tuple[Widget, int, int]] = [*columns] or [(self, 0, self.size.width)]
        ends: dict[tuple[Widget, int], int] = {}
        for at, tile in after.items():
            changed = [
                row
                for row, (was, now) in enumerate(zip(before[at].lines, tile.lines, strict=True), tile.y)
                if was is not now and was != now
            ]
            for widget, left, right in parts if changed else ():
                end = min(right, tile.x + tile.width) - left
                if tile.x < right and end > 0:
                    ends.update({(widget, row): max(ends.get((widget, row), 0), end) for row in changed})
        for widget, _, _ in parts:
            regions = [Region(0, row, end, 1) for (each, row), end in ends.items() if each is widget]
            if regions:
                widget.refresh(*regions)

    def on_resize(self) -> None:
        self.redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.redraw()

    def render_line(self, y: int) -> Strip:
        ground = self.rich_style
        width = self.size.width
        segments: list[Segment] = []
        x = 0
        for tile in self._rows.get(y, ()):
            if tile.x > x:
                segments.append(Segment(" " * (tile.x - x), ground))
            segments.extend(tile.lines[y - tile.y])
            x = tile.x + tile.width
        if x < width:
            segments.append(Segment(" " * (width - x), ground))
        return Strip(segments, max(x, width)).crop(0, width)
