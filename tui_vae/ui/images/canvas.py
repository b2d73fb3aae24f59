"""Widgets that draw greyscale images as half blocks, line by line, repainting only the lines that changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.ui.images import halfblocks
from tui_vae.ui.images.halfblocks import AGREE, SIDE, Colour, Drawing, Palette, Picture
from tui_vae.ui.terminal import has_unicode, legible

Lines = tuple[tuple[Segment, ...], ...]

SMALL, FULL = 1, 2
"""Scales count half sizes: an image of 28 × 28 pixels takes 14 × 7 cells at scale 1, a pixel a half block at scale 2,
and so on. Images of other sizes are drawn in the same cells."""


SLACK = 3
"""Levels that a pixel may be off in 256 colours, whose greys are 5 off already: a sixth fewer bytes a page."""


def cells(scale: int) -> Size:
    """The size of one image in cells, whatever its pixels."""
    return Size(SIDE // 2 * scale, SIDE // 4 * scale)


class Depth(Enum):
    """What there is to draw with."""

    CHARACTERS = 0
    COLOURS_256 = 1
    TRUE_COLOUR = 2
    COLOURS_16 = 3


_DEPTHS = {"truecolor": Depth.TRUE_COLOUR, "256": Depth.COLOURS_256}


class Toning(Enum):
    """What the levels of an image become. FashionMNIST is light on black."""

    BONE = "bone_r"
    GREY = "grey"
    INVERTED = "inverted"


@dataclass(frozen=True)
class ImageRenderer:
    """How pictures are drawn on this terminal. The toning asked for is used where the terminal has it."""

    depth: Depth
    wish: Toning | None = None

    @classmethod
    def of(cls, app: App[Any]) -> ImageRenderer:
        """The renderer of an app: its own `renderer` if it has one, else what its terminal suggests."""
        renderer = getattr(app, "renderer", None)
        return renderer if isinstance(renderer, ImageRenderer) else cls.for_terminal(app)

    @classmethod
    def for_terminal(cls, app: App[Any]) -> ImageRenderer:
        if app.no_color or not has_unicode(os.environ) or app.console.color_system is None:
            return cls(Depth.CHARACTERS)
        return cls(_DEPTHS.get(app.console.color_system, Depth.COLOURS_16))

    @property
    def tonings(self) -> tuple[Toning, ...]:
        """What this terminal can show; the first is what it shows unasked."""
        every = tuple(Toning)
        return every if self.depth is Depth.TRUE_COLOUR else every[1:]

    @property
    def toning(self) -> Toning:
        return self.wish if self.wish in self.tonings else self.tonings[0]

    @property
    def palette(self) -> Palette:
        return _PALETTES[self.depth, self.toning]

    def wishing(self, name: str) -> ImageRenderer:
        """The renderer that draws in the toning of this name; as the terminal likes where there is none."""
        return replace(self, wish=next((each for each in Toning if each.value == name), None))

    def turned(self) -> ImageRenderer:
        """The next toning."""
        each = self.tonings
        return replace(self, wish=each[(each.index(self.toning) + 1) % len(each)])

    def image(self, pixels: bytes, scale: int, width: int = 0) -> Lines:
        """An image in `cells(scale)`, whatever its size; `width` in pixels, 0 for a square one."""
        return _draw(self.depth, self.toning, pixels, scale, width)

    def difference(self, original: bytes, reconstruction: bytes, scale: int, width: int = 0) -> Lines:
        """Where the reconstruction is too dark and where too bright."""
        picture = Picture.of(halfblocks.difference(original, reconstruction), width)
        return _draw_difference(self.depth, picture, scale)


_DIFFERENCES = {
    Depth.TRUE_COLOUR: halfblocks.DIFFERENCE,
    Depth.COLOURS_256: halfblocks.DIFFERENCE_256,
    Depth.COLOURS_16: halfblocks.DIFFERENCE_16,
}


_PALETTES = {
    (Depth.TRUE_COLOUR, Toning.BONE): halfblocks.BONE_R,
    (Depth.TRUE_COLOUR, Toning.GREY): halfblocks.GREYS,
    (Depth.TRUE_COLOUR, Toning.INVERTED): halfblocks.PAPER,
    (Depth.COLOURS_256, Toning.GREY): halfblocks.GREYS_256,
    (Depth.COLOURS_256, Toning.INVERTED): halfblocks.PAPER_256,
    (Depth.COLOURS_16, Toning.GREY): halfblocks.GREYS_16,
    (Depth.COLOURS_16, Toning.INVERTED): halfblocks.PAPER_16,
    (Depth.CHARACTERS, Toning.GREY): halfblocks.GREYS,
    (Depth.CHARACTERS, Toning.INVERTED): halfblocks.PAPER,
}


@lru_cache(maxsize=1024)
def _draw(depth: Depth, toning: Toning, pixels: bytes, scale: int, width: int) -> Lines:
    picture, palette = Picture.of(pixels, width), _PALETTES[depth, toning]
    if depth is Depth.CHARACTERS:
        ramp = halfblocks.ASCII_RAMP[::-1] if toning is Toning.INVERTED else halfblocks.ASCII_RAMP
        return _lines(halfblocks.ascii_art(_scaled(picture, scale), ramp))
    if scale == SMALL:
        return _lines(halfblocks.small_blocks(halfblocks.squared(picture, SIDE), palette))
    slack = SLACK if depth is Depth.COLOURS_256 and scale == FULL else 0
    return _lines(halfblocks.half_blocks(_scaled(picture, scale), palette, slack))


@lru_cache(maxsize=256)
def _draw_difference(depth: Depth, picture: Picture, scale: int) -> Lines:
    if depth is Depth.CHARACTERS:
        return _lines(halfblocks.ascii_art(_scaled(picture, scale, AGREE), halfblocks.ASCII_SIGNS))
    return _lines(halfblocks.half_blocks(_scaled(picture, scale, AGREE), _DIFFERENCES[depth]))


def _scaled(picture: Picture, scale: int, ground: int = 0) -> Picture:
    """A picture with as many pixels a side as `cells(scale)` has columns."""
    if scale == SMALL:
        return halfblocks.halve(halfblocks.squared(picture, SIDE, ground))
    return halfblocks.squared(picture, cells(scale).width, ground)


@lru_cache(maxsize=4096)
def _style(foreground: Colour | None, background: Colour | None) -> Style:
    # Never None: a segment without a style crashes Textual under NO_COLOR.
    if foreground is None or background is None:
        return Style()
    return Style(color=Color.from_rgb(*foreground), bgcolor=Color.from_rgb(*background))


def _lines(drawing: Drawing) -> Lines:
    return tuple(tuple(Segment(run.text, _style(run.foreground, run.background)) for run in row) for row in drawing)


@dataclass(frozen=True, slots=True)
class Tile:
    """Lines of one width somewhere on a canvas."""

    x: int
    y: int
    width: int
    lines: Lines

    @property
    def size(self) -> Size:
        return Size(self.width, len(self.lines))


Tiles = dict[tuple[int, int], Tile]
"""By their upper left corners."""


class CanvasColumn(Widget):
    """A vertical part of a canvas. Textual sends a changed line from its widget's left edge on, so a column that
    changes while its neighbours stand still has to be a widget of its own."""

    ALLOW_SELECT = False

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self._canvas = canvas
        self.left = self.right = 0
        """Its columns of the canvas, without the last."""

    def place(self, left: int, right: int) -> None:
        self.left, self.right = left, right
        self.styles.width = right - left
        self.refresh(layout=True)

    def render_line(self, y: int) -> Strip:
        return self._canvas.render_line(y).crop(self.left, self.right)


INKS = ("label", "note", "text", "accent", "blue")


class Canvas(Widget):
    """Tiles on a plain ground. Placing a new set repaints only the lines of those tiles that differ."""

    DEFAULT_CSS = """
    Canvas {
        layout: horizontal;
        & > CanvasColumn { height: 100%; }
        & > .canvas--label { color: $label; }
        & > .canvas--note { color: $note; }
        & > .canvas--text { color: $foreground; }
        & > .canvas--accent { color: $accent; }
        & > .canvas--blue { color: $secondary; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"canvas--{name}" for name in INKS}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._tiles: Tiles = {}
        self._rows: dict[int, list[Tile]] = {}
        self._edges: tuple[int, ...] = ()

    def tiles(self, size: Size) -> Iterable[Tile]:
        """What to draw on a canvas of this size: left to right, never overlapping, never beyond the right edge."""
        return ()

    def edges(self, size: Size) -> Sequence[int]:
        """Where the canvas is cut into columns that are sent on their own: the right edge of each, or none at all."""
        return ()

    @property
    def renderer(self) -> ImageRenderer:
        return ImageRenderer.of(self.app)

    def ink(self, name: str) -> Style:
        """The style of text on the canvas: label, note, text, accent or blue."""
        return self.get_component_rich_style(f"canvas--{name}")

    def text(self, x: int, y: int, width: int, *parts: tuple[str, str]) -> Tile:
        """One line of text, cut or filled to the width; each part with the name of its ink."""
        strip = Strip(Segment(legible(text), self.ink(ink)) for text, ink in parts)
        return Tile(x, y, width, (tuple(strip.adjust_cell_length(width, self.rich_style)),))

    def redraw(self) -> None:
        """Lay the tiles out anew."""
        if not self.is_attached or not self.size:
            return
        before, after = self._tiles, {(tile.x, tile.y): tile for tile in self.tiles(self.size)}
        self._tiles = after
        self._rows = {}
        for tile in after.values():
            for row in range(tile.y, tile.y + len(tile.lines)):
                self._rows.setdefault(row, []).append(tile)
        self._cut()
        if {at: tile.size for at, tile in before.items()} != {at: tile.size for at, tile in after.items()}:
            for piece in (self, *self.query_children(CanvasColumn)):
                piece.refresh()
        else:
            self._refresh_changed_lines(before, after)

    def _cut(self) -> None:
        """Give the columns their places, and make or remove some where their number changed."""
        edges = tuple(self.edges(self.size))
        if edges == self._edges:
            return
        self._edges = edges
        columns = list(self.query_children(CanvasColumn))
        fresh = [CanvasColumn(self) for _ in edges[len(columns) :]]
        for column, left, right in zip([*columns, *fresh], (0, *edges), edges, strict=False):
            column.place(left, right)
        for column in columns[len(edges) :]:
            column.remove()
        if fresh:
            self.mount_all(fresh)

    def _refresh_changed_lines(self, before: Tiles, after: Tiles) -> None:
        """One region a line and column: Textual sends a line from its widget's left edge to each region's end."""
        columns = [(column, column.left, column.right) for column in self.query_children(CanvasColumn)]
        pieces: list[tuple[Widget, int, int]] = [*columns] or [(self, 0, self.size.width)]
        ends: dict[tuple[Widget, int], int] = {}
        for at, tile in after.items():
            changed = [
                row
                for row, (was, now) in enumerate(zip(before[at].lines, tile.lines, strict=True), tile.y)
                if was is not now and was != now
            ]
            for piece, left, right in pieces if changed else ():
                end = min(right, tile.x + tile.width) - left
                if tile.x < right and end > 0:
                    ends.update({(piece, row): max(ends.get((piece, row), 0), end) for row in changed})
        for piece, _, _ in pieces:
            regions = [Region(0, row, end, 1) for (each, row), end in ends.items() if each is piece]
            if regions:
                piece.refresh(*regions)

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
