"""Greyscale images as rows of coloured terminal cells: two pixels a cell with half blocks, four with quadrants.

Pure functions over bytes: no terminal, no toolkit, no numpy. An image is its pixels, row after row, and its width.
A drawing is a list of rows, a row a list of runs; whoever shows it turns runs into Rich segments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Colour = tuple[int, int, int]

Choice = tuple[Colour, Colour, Colour]
"""What a pixel may be shown in, the best first."""

SIDE = 28
"""Pixels along one side of the images this program is about."""

UPPER, LOWER, FULL, EMPTY = "▀", "▄", "█", " "
ASCII_RAMP = " .:-=+*#%@"
ASCII_SIGNS = "=- +#"

# Index: bit 0 upper left, 1 upper right, 2 lower left, 3 lower right.
QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"


class Run(NamedTuple):
    """Neighbouring cells of one row that share their two colours; plain text where the colours are None."""

    text: str
    foreground: Colour | None
    background: Colour | None


Row = list[Run]
Drawing = list[Row]


@dataclass(frozen=True, eq=False, slots=True)
class Palette:
    """A colour for each of the 256 levels."""

    name: str
    colours: tuple[Colour, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A greyscale image."""

    pixels: bytes
    width: int = SIDE

    @classmethod
    def of(cls, pixels: bytes, width: int = 0) -> Picture:
        """Pixels as a picture; without a width it is a square."""
        return cls(pixels, width or math.isqrt(len(pixels)))

    @property
    def height(self) -> int:
        return len(self.pixels) // self.width

    def row(self, y: int) -> bytes:
        return self.pixels[y * self.width : (y + 1) * self.width]


def _between(stops: Sequence[tuple[float, Colour]], level: float) -> Colour:
    for (left, low), (right, high) in pairwise(stops):
        if level <= right:
            share = (level - left) / (right - left)
            red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
            return red, green, blue
    return stops[-1][1]


def _gradient(*stops: tuple[float, Colour]) -> tuple[Colour, ...]:
    return tuple(_between(stops, level / 255) for level in range(256))


def _nearest_terminal_grey(level: int) -> Colour:
    """Of what 256 colours have of grey: black, the 24 steps 8, 18 ... 238, and white."""
    step = 25 if level > 246 else min(24, (level + 7) // 10) if level > 3 else 0
    # Rich turns a grey g into step round(25 * g / 255), which misses the nearest one at the bright end.
    # So the pixel is given the grey that Rich sends to the step wanted.
    emitted = round(step * 255 / 25)
    return emitted, emitted, emitted


GREYS = Palette("grey", tuple((level, level, level) for level in range(256)))
GREYS_256 = Palette("grey", tuple(_nearest_terminal_grey(level) for level in range(256)))

PAPER = Palette("paper", GREYS.colours[::-1])
PAPER_256 = Palette("paper", GREYS_256.colours[::-1])

# What 16 colours have of grey, as Rich believes they look: black, bright black, white and bright white.
GREYS_16 = Palette("grey", tuple(((level * 3 + 127) // 255 * 85,) * 3 for level in range(256)))
PAPER_16 = Palette("paper", GREYS_16.colours[::-1])

# Matplotlib's bone_r, ink on paper. Only for true colour: 256 colours turn it into navy and teal blotches.
BONE_R = Palette(
    "bone_r",
    _gradient(*((0.0, (255, 255, 255)), (0.253968, (166, 198, 198)), (0.634921, (81, 81, 113)), (1.0, (0, 0, 0)))),
)

# The signed difference: blue where the reconstruction is too dark, amber where it is too bright.
DIFFERENCE = Palette("difference", _gradient((0.0, (95, 215, 255)), (0.5, (18, 18, 18)), (1.0, (255, 175, 95))))
# Colours of the 256-colour cube, so that neither arm falls apart into foreign hues.
_COLD = ((95, 215, 255), (95, 175, 215), (0, 135, 175), (0, 95, 135))
_WARM = ((135, 95, 0), (175, 95, 0), (215, 135, 0), (255, 175, 95))
_NINE = (*_COLD, (18, 18, 18), *_WARM)
_FIVE = ((85, 255, 255), (0, 170, 170), (0, 0, 0), (170, 85, 0), (255, 255, 85))
DIFFERENCE_16 = Palette("difference", tuple(_FIVE[level * 5 // 256] for level in range(256)))
DIFFERENCE_256 = Palette("difference", tuple(_NINE[level * 9 // 256] for level in range(256)))


AGREE = 128
"""The level of a difference that is none."""


def difference(original: bytes, reconstruction: bytes, full: int = 64) -> bytes:
    """The signed difference as a picture: `AGREE` where they agree, 0 and 255 from `full` levels apart on."""
    return bytes(
        min(255, max(0, AGREE + (second - first) * 128 // full))
        for first, second in zip(original, reconstruction, strict=True)
    )


def squared(picture: Picture, side: int, ground: int = 0) -> Picture:
    """A picture of any shape as a square of so many pixels, the ground's level where it is too narrow or too low.
    Pixels are repeated where there is more room than they need, and averaged where there is less."""
    if picture.width != picture.height:
        longer = max(picture.width, picture.height)
        left, above = (longer - picture.width) // 2, (longer - picture.height) // 2
        right, below = longer - picture.width - left, longer - picture.height - above
        fill = bytes([ground])
        rows = [fill * left + picture.row(y) + fill * right for y in range(picture.height)]
        picture = Picture(fill * longer * above + b"".join(rows) + fill * longer * below, longer)
    return enlarge(picture, side) if picture.width < side else reduce(picture, side)


def reduce(picture: Picture, width: int) -> Picture:
    """A picture no wider than that, in its proportions, by means of its pixels."""
    if picture.width <= width:
        return picture
    from PIL import Image

    height = max(1, round(picture.height * width / picture.width))
    whole = Image.frombytes("L", (picture.width, picture.height), picture.pixels)
    return Picture(whole.resize((width, height), Image.Resampling.BOX).tobytes(), width)


def enlarge(picture: Picture, width: int) -> Picture:
    """Repeats pixels to reach a width: honest, and half the bytes of a smooth enlargement."""
    columns = [x * picture.width // width for x in range(width)]
    height = picture.height * width // picture.width
    rows = []
    for y in range(height):
        row = picture.row(y * picture.height // height)
        rows.append(bytes(row[x] for x in columns))
    return Picture(b"".join(rows), width)


def halve(picture: Picture) -> Picture:
    """Half the width and half the height, each new pixel the mean of four."""
    rows = []
    for y in range(0, picture.height - 1, 2):
        top, bottom = picture.row(y), picture.row(y + 1)
        quads = zip(top[::2], top[1::2], bottom[::2], bottom[1::2], strict=False)
        rows.append(bytes((sum(quad) + 2) // 4 for quad in quads))
    return Picture(b"".join(rows), picture.width // 2)


def half_blocks(picture: Picture, palette: Palette = GREYS, slack: int = 0) -> Drawing:
    """One cell for two pixels, one above the other; below an odd last row the palette's lowest colour.

    `slack`: to spare a change of colours a pixel may be shown as one that is so many levels darker or brighter.
    """
    colours = palette.colours
    lower, higher = (colours[:1] * slack + colours)[:256], colours[slack:] + colours[-1:] * slack
    choices = list(zip(colours, lower, higher, strict=True))
    rows: Drawing = []
    for y in range(0, picture.height, 2):
        top, bottom = picture.row(y), picture.row(y + 1) or bytes(picture.width)
        rows.append(_merge_halves([(choices[a], choices[b]) for a, b in zip(top, bottom, strict=True)]))
    return rows


def _merge_halves(cells: list[tuple[Choice, Choice]]) -> Row:
    """Runs as long as two colours suffice: ▀, ▄, █ and the empty cell show every arrangement of the two.

    From one run to the next a colour that both need keeps its place: only the other one has to be sent.
    """
    runs: Row = []
    text: list[str] = []
    ink, paper, before = None, cells[0][1][0], None
    for above, below in cells:
        top, bottom = above[0], below[0]
        if top not in (ink, paper) or bottom not in (ink, paper):
            top, bottom = _at_hand(above, below, (ink, paper))
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


def _at_hand(above: Choice, below: Choice, now: tuple[Colour | None, Colour]) -> tuple[Colour, Colour]:
    """For two pixels the colours that need the fewest changes: ones that are there now, else one that does for both."""
    top = next((each for each in above if each in now), None)
    bottom = next((each for each in below if each in now), None)
    if top is None and bottom is None:
        top = bottom = next((each for each in above if each in below), None)
    return top or above[0], bottom or below[0]


def small_blocks(picture: Picture, palette: Palette = GREYS) -> Drawing:
    """Half the size of `half_blocks`: a cell covers 2×4 pixels as four quadrants in their two best colours."""
    rows: Drawing = []
    for y in range(0, picture.height - 3, 4):
        first, second, third, fourth = (picture.row(y + step) for step in range(4))
        upper = [(a + b + 1) // 2 for a, b in zip(first, second, strict=True)]
        lower = [(a + b + 1) // 2 for a, b in zip(third, fourth, strict=True)]
        row: Row = []
        for x in range(0, picture.width - 1, 2):
            run = _quadrant_cell((upper[x], upper[x + 1], lower[x], lower[x + 1]), palette.colours)
            if row and row[-1][1:] == run[1:]:
                run = Run(row.pop().text + run.text, run.foreground, run.background)
            row.append(run)
        rows.append(row)
    return rows


def _quadrant_cell(levels: tuple[int, int, int, int], colours: tuple[Colour, ...]) -> Run:
    """The four levels are split at their widest gap: the bright ones are ink, the others paper."""
    ordered = sorted(levels)
    _, cut = max((ordered[index + 1] - ordered[index], index) for index in range(3))
    dark, bright = ordered[: cut + 1], ordered[cut + 1 :]
    paper, ink = colours[round(sum(dark) / len(dark))], colours[round(sum(bright) / len(bright))]
    if ink == paper:
        return Run(EMPTY, paper, paper)
    return Run(QUADRANTS[sum(1 << bit for bit, level in enumerate(levels) if level >= bright[0])], ink, paper)


def ascii_art(picture: Picture, ramp: str = ASCII_RAMP) -> Drawing:
    """The size of `half_blocks` in plain characters, for terminals without Unicode or without colours."""
    rows: Drawing = []
    for y in range(0, picture.height, 2):
        top, bottom = picture.row(y), picture.row(y + 1) or bytes(picture.width)
        text = "".join(ramp[(a + b) * len(ramp) // 512] for a, b in zip(top, bottom, strict=True))
        rows.append([Run(text, None, None)])
    return rows
