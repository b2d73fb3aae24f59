"""Greyscale images as rows of coloured terminal cells: two pixels a cell with half blocks, four with quadrants.

These are pure functions over bytes: no terminal, no toolkit, no numpy. A picture is its pixels, row after row, and its
width. A drawing is a list of rows, and a row is a list of runs. The caller turns runs into what its screen needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Colour = tuple[int, int, int]
"""Red, green and blue, each 0 … 255."""

Choices = tuple[Colour, Colour, Colour]
"""The colours that a pixel may be shown in, the best first."""

SIDE = 28
"""Pixels along one side of a FashionMNIST image, for which the layout of all panes is made."""

UPPER, LOWER, FULL, EMPTY = "▀", "▄", "█", " "

ASCII_RAMP = " .:-=+*#%@"
"""Characters for levels, from black to white."""

ASCII_DIFFERENCE = "=- +#"
"""Characters for levels of a difference, from too dark over none to too bright."""

QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By which quadrants are filled: bit 0 is upper left, 1 upper right, 2 lower left, 3 lower right."""


class Run(NamedTuple):
    """Neighbouring cells of one row that share their two colours. Plain text has None for both colours."""

    text: str
    foreground: Colour | None
    background: Colour | None


Row = list[Run]
Drawing = list[Row]


Palette = tuple[Colour, ...]
"""A colour for each of the 256 levels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A greyscale image, a byte for each pixel."""

    pixels: bytes
    width: int = SIDE

    @classmethod
    def of(cls, pixels: bytes, width: int = 0) -> Picture:
        """A picture of these pixels. Without a width it is a square."""
        return cls(pixels, width or math.isqrt(len(pixels)))

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return len(self.pixels) // self.width

    def row(self, y: int) -> bytes:
        """The pixels of row y; none below the last row."""
        return self.pixels[y * self.width : (y + 1) * self.width]


def _interpolate(stops: Sequence[tuple[float, Colour]], level: float) -> Colour:
    for (left, low), (right, high) in pairwise(stops):
        if level <= right:
            share = (level - left) / (right - left)
            red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
            return red, green, blue
    return stops[-1][1]


def _gradient(*stops: tuple[float, Colour]) -> Palette:
    return tuple(_interpolate(stops, level / 255) for level in range(256))


def _nearest_terminal_grey(level: int) -> Colour:
    """The colour that Rich turns into the nearest grey of 256 colours: black, the 24 steps 8, 18 … 238, and white.

    Rich turns a grey g into step round(25 · g / 255), which at the bright end is not always the nearest step. So this
    chooses the nearest step itself and returns a grey that Rich turns into it.
    """
    step = 25 if level > 246 else min(24, (level + 7) // 10) if level > 3 else 0
    grey = round(step * 255 / 25)
    return grey, grey, grey


GREYS: Palette = tuple((level, level, level) for level in range(256))
GREYS_256: Palette = tuple(_nearest_terminal_grey(level) for level in range(256))
GREYS_16: Palette = tuple(((level * 3 + 127) // 255 * 85,) * 3 for level in range(256))
"""The greys of 16 colours, as Rich believes they look: black, bright black, white and bright white."""

INVERTED, INVERTED_256, INVERTED_16 = GREYS[::-1], GREYS_256[::-1], GREYS_16[::-1]

BONE_R = _gradient((0.0, (255, 255, 255)), (0.253968, (166, 198, 198)), (0.634921, (81, 81, 113)), (1.0, (0, 0, 0)))
"""Matplotlib's `bone_r`: dark on white. It is for true colour alone: 256 colours make navy and teal blotches of it."""

DIFFERENCE = _gradient((0.0, (95, 215, 255)), (0.5, (18, 18, 18)), (1.0, (255, 175, 95)))
"""For a signed difference: blue where the reconstruction is too dark, amber where it is too bright."""

_BLUES_256 = ((95, 215, 255), (95, 175, 215), (0, 135, 175), (0, 95, 135))
_AMBERS_256 = ((135, 95, 0), (175, 95, 0), (215, 135, 0), (255, 175, 95))
_STEPS_256 = (*_BLUES_256, (18, 18, 18), *_AMBERS_256)
DIFFERENCE_256: Palette = tuple(_STEPS_256[level * 9 // 256] for level in range(256))
"""`DIFFERENCE` in colours of the 256-colour cube, so that no step of it becomes another hue."""

_STEPS_16 = ((85, 255, 255), (0, 170, 170), (0, 0, 0), (170, 85, 0), (255, 255, 85))
DIFFERENCE_16: Palette = tuple(_STEPS_16[level * 5 // 256] for level in range(256))

NO_DIFFERENCE = 128
"""The level that a picture of differences has where both images agree."""


FULL_DIFFERENCE = 64
"""Levels of difference, of 255, that are shown at full strength: a quarter of the way from black to white is much."""


def difference(original: bytes, reconstruction: bytes, full: int = FULL_DIFFERENCE) -> bytes:
    """The signed difference as pixels: `NO_DIFFERENCE` where both agree, 0 or 255 from `full` levels of difference on.

    Raises ValueError where the two have different lengths.
    """
    return bytes(
        min(255, max(0, NO_DIFFERENCE + (second - first) * NO_DIFFERENCE // full))
        for first, second in zip(original, reconstruction, strict=True)
    )


def squared(picture: Picture, side: int, margin: int = 0) -> Picture:
    """The picture as a square of `side` × `side` pixels; beside or above and below one that is no square, the level is
    `margin`. Pixels are repeated if the square is larger than the picture, and averaged if it is smaller."""
    if picture.width != picture.height:
        longer = max(picture.width, picture.height)
        left, above = (longer - picture.width) // 2, (longer - picture.height) // 2
        right, below = longer - picture.width - left, longer - picture.height - above
        pad = bytes([margin])
        rows = [pad * left + picture.row(y) + pad * right for y in range(picture.height)]
        picture = Picture(pad * longer * above + b"".join(rows) + pad * longer * below, longer)
    return enlarge(picture, side) if picture.width < side else reduce(picture, side)


def reduce(picture: Picture, width: int) -> Picture:
    """The picture at most `width` pixels wide, in its proportions. Each new pixel is the mean of those it covers."""
    if picture.width <= width:
        return picture
    from PIL import Image

    height = max(1, round(picture.height * width / picture.width))
    whole = Image.frombytes("L", (picture.width, picture.height), picture.pixels)
    return Picture(whole.resize((width, height), Image.Resampling.BOX).tobytes(), width)


def enlarge(picture: Picture, width: int) -> Picture:
    """The picture `width` pixels wide, its pixels repeated: honest, and half the bytes of a smooth enlargement."""
    columns = [x * picture.width // width for x in range(width)]
    height = picture.height * width // picture.width
    rows = []
    for y in range(height):
        row = picture.row(y * picture.height // height)
        rows.append(bytes(row[x] for x in columns))
    return Picture(b"".join(rows), width)


def halve(picture: Picture) -> Picture:
    """The picture at half its width and half its height. Each new pixel is the mean of four."""
    rows = []
    for y in range(0, picture.height - 1, 2):
        top, bottom = picture.row(y), picture.row(y + 1)
        quads = zip(top[::2], top[1::2], bottom[::2], bottom[1::2], strict=False)
        rows.append(bytes((sum(quad) + 2) // 4 for quad in quads))
    return Picture(b"".join(rows), picture.width // 2)


def half_blocks(picture: Picture, palette: Palette = GREYS, slack: int = 0) -> Drawing:
    """One cell for two pixels, one above the other. Below an odd last row stands the palette's lowest colour.

    `slack`: a pixel may be shown as one that is this many levels darker or brighter, where that saves a change of
    colour.
    """
    darker, brighter = (palette[:1] * slack + palette)[:256], palette[slack:] + palette[-1:] * slack
    choices = list(zip(palette, darker, brighter, strict=True))
    rows: Drawing = []
    for y in range(0, picture.height, 2):
        top, bottom = picture.row(y), picture.row(y + 1) or bytes(picture.width)
        rows.append(_merge_halves([(choices[a], choices[b]) for a, b in zip(top, bottom, strict=True)]))
    return rows


def _merge_halves(cells: list[tuple[Choices, Choices]]) -> Row:
    """Cells as runs. A run goes on for as long as two colours suffice: ▀, ▄, █ and the empty cell show every
    arrangement of the two.

    A colour that two neighbouring runs need stays foreground or stays background, so that only the other is sent.
    """
    runs: Row = []
    text: list[str] = []
    ink, paper, before = None, cells[0][1][0], None
    for above, below in cells:
        top, bottom = above[0], below[0]
        if top not in (ink, paper) or bottom not in (ink, paper):
            top, bottom = _cheapest(above, below, (ink, paper))
        if ink is None and not top == bottom == paper:
            ink = bottom if top == paper else before if before in (top, bottom) else top
        if top not in (ink, paper) or bottom not in (ink, paper):
            runs.append(Run("".join(text), ink or paper, paper))
            text, before = [], ink or before
            if top == bottom:
                ink, paper = None, bottom
            elif ink in (top, bottom):
                paper = bottom if ink == top else top
            elif paper in (top, bottom):
                ink = bottom if paper == top else top
            else:
                ink, paper = top, bottom
        text.append((FULL if top == ink else EMPTY) if top == bottom else UPPER if top == ink else LOWER)
    runs.append(Run("".join(text), ink or paper, paper))
    return runs


def _cheapest(above: Choices, below: Choices, current: tuple[Colour | None, Colour]) -> tuple[Colour, Colour]:
    """The colours of two pixels that need the fewest changes: current ones, else one colour for both."""
    top = next((each for each in above if each in current), None)
    bottom = next((each for each in below if each in current), None)
    if top is None and bottom is None:
        top = bottom = next((each for each in above if each in below), None)
    return top or above[0], bottom or below[0]


def small_blocks(picture: Picture, palette: Palette = GREYS) -> Drawing:
    """A drawing of half the size of `half_blocks`: a cell shows 2 × 4 pixels as four quadrants in two colours."""
    rows: Drawing = []
    for y in range(0, picture.height - 3, 4):
        first, second, third, fourth = (picture.row(y + step) for step in range(4))
        upper = [(a + b + 1) // 2 for a, b in zip(first, second, strict=True)]
        lower = [(a + b + 1) // 2 for a, b in zip(third, fourth, strict=True)]
        row: Row = []
        for x in range(0, picture.width - 1, 2):
            run = _quadrant_cell((upper[x], upper[x + 1], lower[x], lower[x + 1]), palette)
            if row and row[-1][1:] == run[1:]:
                run = Run(row.pop().text + run.text, run.foreground, run.background)
            row.append(run)
        rows.append(row)
    return rows


def _quadrant_cell(levels: tuple[int, int, int, int], palette: Palette) -> Run:
    """One cell. The four levels are divided at their widest gap: the mean of the bright ones is the foreground, the
    mean of the others the background."""
    ordered = sorted(levels)
    _, cut = max((ordered[index + 1] - ordered[index], index) for index in range(3))
    dark, bright = ordered[: cut + 1], ordered[cut + 1 :]
    paper, ink = palette[round(sum(dark) / len(dark))], palette[round(sum(bright) / len(bright))]
    if ink == paper:
        return Run(EMPTY, paper, paper)
    return Run(QUADRANTS[sum(1 << bit for bit, level in enumerate(levels) if level >= bright[0])], ink, paper)


def ascii_art(picture: Picture, ramp: str = ASCII_RAMP) -> Drawing:
    """A drawing of the size of `half_blocks` in plain characters, for terminals without Unicode or without colours."""
    rows: Drawing = []
    for y in range(0, picture.height, 2):
        top, bottom = picture.row(y), picture.row(y + 1) or bytes(picture.width)
        text = "".join(ramp[(a + b) * len(ramp) // 512] for a, b in zip(top, bottom, strict=True))
        rows.append([Run(text, None, None)])
    return rows
