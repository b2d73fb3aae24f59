"""How one image becomes styled terminal cells: in the colours of this terminal, at one of a few scales."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Size

from tui_vae.ui.images import halfblocks
from tui_vae.ui.images.halfblocks import Colour, Drawing, Palette
from tui_vae.ui.images.picture import FULL_DIFFERENCE, NO_DIFFERENCE, SIDE, Picture, difference, halve, squared
from tui_vae.ui.images.shades import Shade, shade_256, true_shade
from tui_vae.ui.terminal import has_unicode

Lines = tuple[tuple[Segment, ...], ...]
"""The lines of a drawing, from the top, each as styled text."""

SMALL, FULL = 1, 2
"""Scales, in halves of the full size. An image of 28 × 28 pixels takes 14 × 7 cells at scale 1 and 28 × 14 cells at
scale 2, where each half block is a pixel. Images of other sizes are drawn in the same cells."""

SLACK_256 = 3
"""Levels by which a pixel may be off in 256 colours. Their greys are off by up to 5 already, and this saves a sixth of
a page's bytes."""

SMALL_SLACK_256 = 8
"""The same for small images, whose colours are means of several pixels."""


def cells(scale: int) -> Size:
    """The size of one image in cells, whatever its size in pixels."""
    return Size(SIDE // 2 * scale, SIDE // 4 * scale)


class Depth(Enum):
    """What the terminal can draw with."""

    CHARACTERS = 0
    COLOURS_256 = 1
    TRUE_COLOUR = 2
    COLOURS_16 = 3


_DEPTHS = {"truecolor": Depth.TRUE_COLOUR, "256": Depth.COLOURS_256}


class Toning(Enum):
    """Which colours the levels of a grey image get.

    One rule: level 0, the ground of FashionMNIST and its like, is the lightest tone on a light theme and the darkest
    on a dark one, whatever the terminal's colours. Two people with one theme see one picture.
    """

    BONE = "bone"
    """Matplotlib's `bone` on a dark theme, `bone_r` on a light one; in true colour alone."""
    GREY = "grey"
    INVERTED = "inverted"
    """Against the rule: the tones of the other theme."""


@dataclass(frozen=True)
class ImageRenderer:
    """Draws images for one terminal. It uses the preferred toning where the terminal can show it.

    An image in colour has its own colours in true colour and in 256; elsewhere it is drawn by its brightness.
    """

    depth: Depth
    preferred: Toning | None = None
    light: bool = False
    """Whether the theme is a light one."""

    @classmethod
    def for_terminal(cls, app: App[Any]) -> ImageRenderer:
        """The renderer for the terminal that the app runs in."""
        if app.no_color or not has_unicode(os.environ) or app.console.color_system is None:
            return cls(Depth.CHARACTERS)
        return cls(_DEPTHS.get(app.console.color_system, Depth.COLOURS_16))

    @property
    def tonings(self) -> tuple[Toning, ...]:
        """The tonings that this terminal can show, the default first."""
        every = tuple(Toning)
        return every if self.depth is Depth.TRUE_COLOUR else every[1:]

    @property
    def toning(self) -> Toning:
        """The preferred toning if this terminal can show it, else its default."""
        return self.preferred if self.preferred in self.tonings else self.tonings[0]

    @property
    def tones(self) -> Tones:
        """What the levels of a grey image become."""
        if self.toning is Toning.INVERTED:
            return Tones(self.depth is Depth.TRUE_COLOUR, not self.light)
        return Tones(self.toning is Toning.BONE, self.light)

    @property
    def has_colours(self) -> bool:
        """Whether images in colour are drawn in their own colours."""
        return self.depth in _SHADES

    def with_toning(self, name: str) -> ImageRenderer:
        """This renderer in the toning of that name, or in the terminal's default if there is no such toning."""
        return replace(self, preferred=next((each for each in Toning if each.value == name), None))

    def on_ground(self, light: bool) -> ImageRenderer:
        """This renderer for a light or a dark theme."""
        return replace(self, light=light)

    def with_next_toning(self) -> ImageRenderer:
        """This renderer in the next toning that the terminal can show."""
        tonings = self.tonings
        return replace(self, preferred=tonings[(tonings.index(self.toning) + 1) % len(tonings)])

    def image(self, picture: Picture, scale: int) -> Lines:
        """An image in `cells(scale)`, whatever its size."""
        return _draw(self.depth, self.tones, _no_larger(picture, scale), scale)

    def difference(self, original: Picture, reconstruction: Picture, scale: int, full: int = FULL_DIFFERENCE) -> Lines:
        """A map of where the reconstruction is too dark and where it is too bright, in full at `full` levels."""
        picture = difference(_no_larger(original, scale), _no_larger(reconstruction, scale), full)
        return _draw_difference(self.depth, self.light, picture, scale)


class Tones(NamedTuple):
    """Which palette draws grey levels: one in the tones of `bone` or in greys, its level 0 light or dark."""

    bone: bool
    light: bool

    def palette(self, depth: Depth) -> Palette:
        """The palette in the colours of a terminal."""
        if self.bone and depth is Depth.TRUE_COLOUR:
            return halfblocks.BONE_R if self.light else halfblocks.BONE
        return _GREYS[depth][1 if self.light else 0]


_DIFFERENCE_PALETTES = {
    Depth.TRUE_COLOUR: (halfblocks.DIFFERENCE, halfblocks.LIGHT_DIFFERENCE),
    Depth.COLOURS_256: (halfblocks.DIFFERENCE_256, halfblocks.LIGHT_DIFFERENCE_256),
    Depth.COLOURS_16: (halfblocks.DIFFERENCE_16, halfblocks.LIGHT_DIFFERENCE_16),
}
"""For a dark theme and for a light one, as in `_GREYS`."""

_GREYS = {
    Depth.TRUE_COLOUR: (halfblocks.GREYS, halfblocks.INVERTED),
    Depth.COLOURS_256: (halfblocks.GREYS_256, halfblocks.INVERTED_256),
    Depth.COLOURS_16: (halfblocks.GREYS_16, halfblocks.INVERTED_16),
    Depth.CHARACTERS: (halfblocks.GREYS, halfblocks.INVERTED),
}


_SHADES: dict[Depth, Shade] = {Depth.TRUE_COLOUR: true_shade, Depth.COLOURS_256: shade_256}


@lru_cache(maxsize=1024)
def _draw(depth: Depth, tones: Tones, picture: Picture, scale: int) -> Lines:
    if not picture.is_grey:
        return _draw_colours(depth, tones, picture, scale)
    if depth is Depth.CHARACTERS:
        ramp = halfblocks.ASCII_RAMP[::-1] if tones.light else halfblocks.ASCII_RAMP
        return _lines(halfblocks.ascii_art(_scaled(picture, scale), ramp))
    palette = tones.palette(depth)
    if scale == SMALL:
        slack = SMALL_SLACK_256 if depth is Depth.COLOURS_256 else 0
        return _lines(halfblocks.small_blocks(squared(picture, SIDE), palette, slack))
    slack = SLACK_256 if depth is Depth.COLOURS_256 and scale == FULL else 0
    return _lines(halfblocks.half_blocks(_scaled(picture, scale), palette, slack))


def _draw_colours(depth: Depth, tones: Tones, picture: Picture, scale: int) -> Lines:
    shade = _SHADES.get(depth)
    if shade is None:
        return _draw(depth, tones, picture.luminance(), scale)
    if scale == SMALL:
        return _lines(halfblocks.small_colour_blocks(squared(picture, SIDE), shade))
    return _lines(halfblocks.colour_blocks(_scaled(picture, scale), shade))


@lru_cache(maxsize=256)
def _draw_difference(depth: Depth, light: bool, picture: Picture, scale: int) -> Lines:
    if depth is Depth.CHARACTERS:
        return _lines(halfblocks.ascii_art(_scaled(picture, scale, NO_DIFFERENCE), halfblocks.ASCII_DIFFERENCE))
    return _lines(halfblocks.half_blocks(_scaled(picture, scale, NO_DIFFERENCE), _DIFFERENCE_PALETTES[depth][light]))


def _no_larger(picture: Picture, scale: int) -> Picture:
    """The picture in the size that it is drawn in, if it is larger: what is remembered of large ones is then small."""
    side = max(SIDE, cells(scale).width)
    return squared(picture, side) if max(picture.width, picture.height) > side else picture


def _scaled(picture: Picture, scale: int, margin: int = 0) -> Picture:
    """A square picture with as many pixels a side as `cells(scale)` has columns."""
    if scale == SMALL:
        return halve(squared(picture, SIDE, margin))
    return squared(picture, cells(scale).width, margin)


@lru_cache(maxsize=1 << 14)
def _style(foreground: Colour | None, background: Colour | None) -> Style:
    # Never None: a segment without a style crashes Textual under NO_COLOR.
    if foreground is None or background is None:
        return Style()
    return Style(color=Color.from_rgb(*foreground), bgcolor=Color.from_rgb(*background))


def _lines(drawing: Drawing) -> Lines:
    return tuple(tuple(Segment(run.text, _style(run.foreground, run.background)) for run in row) for row in drawing)
