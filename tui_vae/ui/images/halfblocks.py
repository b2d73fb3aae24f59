"""Images as rows of coloured terminal cells: two pixels a cell with half blocks, eight with quadrants.

These are pure functions over bytes: no terminal, no toolkit, no numpy. A drawing is a list of rows, and a row is a list
of runs. The caller turns runs into what its screen needs. A palette gives the levels of a grey picture their colours;
the colours of others are those of `shades.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tui_vae.ui.images.picture import Picture

Colour = tuple[int, int, int]
"""Red, green and blue, each 0 … 255."""

Choices = tuple[Colour, Colour, Colour]
"""The colours that a pixel may be shown in, the best first."""

UPPER, LOWER, FULL, EMPTY = "▀", "▄", "█", " "

ASCII_RAMP = " .:-=+*#%@"
"""Characters for levels, from black to white."""

ASCII_DIFFERENCE = "=- +#"
"""Characters for levels of a difference, from too dark over none to too bright."""

QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By which quadrants are filled: bit 0 is upper left, 1 upper right, 2 lower left, 3 lower right."""

ALL = len(QUADRANTS) - 1
"""All quadrants."""


class Run(NamedTuple):
    """Neighbouring cells of one row that share their two colours. Plain text has None for both colours."""

    text: str
    foreground: Colour | None
    background: Colour | None


Row = list[Run]
Drawing = list[Row]


Palette = tuple[Colour, ...]
"""A colour for each of the 256 levels."""


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

BONE = BONE_R[::-1]
"""Matplotlib's `bone`: light on black."""


def _steps(*colours: Colour) -> Palette:
    return tuple(colours[level * len(colours) // 256] for level in range(256))


DIFFERENCE = _gradient((0.0, (95, 215, 255)), (0.5, (18, 18, 18)), (1.0, (255, 175, 95)))
"""For a signed difference: blue where the reconstruction is too dark, amber where it is too bright, and the ground of
the dark theme where both agree."""

_BLUES_256 = ((95, 215, 255), (95, 175, 215), (0, 135, 175), (0, 95, 135))
_AMBERS_256 = ((135, 95, 0), (175, 95, 0), (215, 135, 0), (255, 175, 95))
DIFFERENCE_256 = _steps(*_BLUES_256, (18, 18, 18), *_AMBERS_256)
"""`DIFFERENCE` in colours of the 256-colour cube, so that no step of it becomes another hue."""

DIFFERENCE_16 = _steps((85, 255, 255), (0, 170, 170), (0, 0, 0), (170, 85, 0), (255, 255, 85))

LIGHT_DIFFERENCE = _gradient((0.0, (0, 95, 175)), (0.5, (238, 238, 238)), (1.0, (175, 95, 0)))
"""`DIFFERENCE` on the ground of the light theme."""

_LIGHT_BLUES_256 = ((0, 95, 175), (0, 135, 215), (95, 175, 255), (175, 215, 255))
_LIGHT_AMBERS_256 = ((255, 215, 175), (255, 175, 95), (215, 135, 0), (175, 95, 0))
LIGHT_DIFFERENCE_256 = _steps(*_LIGHT_BLUES_256, GREYS_256[238], *_LIGHT_AMBERS_256)
LIGHT_DIFFERENCE_16 = _steps((0, 0, 170), (85, 85, 255), (255, 255, 255), (255, 85, 85), (170, 0, 0))


def half_blocks(picture: Picture, palette: Palette = GREYS, slack: int = 0) -> Drawing:
    """One cell for two pixels, one above the other. Below an odd last row stands the palette's lowest colour.

    `slack`: a pixel may be shown as one that is this many levels darker or brighter, where that saves a change of
    colour.
    """
    choices = _choices(palette, slack)
    return _halves([[choices[level] for level in picture.row(y)] for y in range(picture.height)], choices[0])


def _choices(palette: Palette, slack: int, near: int = 0) -> list[Choices]:
    """The colours in which each level may be shown, `slack` levels darker or brighter. Levels up to `near` from black
    or white are exact: an image's ground would get stripes."""
    darker, brighter = (palette[:1] * slack + palette)[:256], palette[slack:] + palette[-1:] * slack
    exact = {*range(near + 1), *range(255 - near, 256)}
    return [
        (colour, colour, colour) if level in exact else (colour, darker[level], brighter[level])
        for level, colour in enumerate(palette)
    ]


def colour_blocks(picture: Picture, shade: Callable[[Colour], Colour]) -> Drawing:
    """`half_blocks` of a colour image; `shade` gives the colour in which a pixel is shown."""
    rows: list[list[Choices]] = []
    for y in range(picture.height):
        shown = map(shade, zip(*(picture.plane(y, channel) for channel in range(3)), strict=True))
        rows.append([(each, each, each) for each in shown])
    return _halves(rows, ((0, 0, 0),) * 3)


def _halves(rows: list[list[Choices]], below_last: Choices) -> Drawing:
    if len(rows) % 2:
        rows = [*rows, [below_last] * len(rows[0])]
    return [_merge_halves(list(zip(*pair, strict=True))) for pair in zip(rows[::2], rows[1::2], strict=True)]


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


def small_blocks(picture: Picture, palette: Palette = GREYS, slack: int = 0) -> Drawing:
    """A drawing of half the size of `half_blocks`: a cell shows 2 × 4 pixels as four quadrants in two colours.

    `slack`: as in `half_blocks`, of the two colours of a cell.
    """
    choices = _choices(palette, slack, 2 * slack)
    [levels] = _quarters(picture)
    flat = 2 * slack
    return [
        _merge_quadrants([_quadrant_cell(cell, choices, flat) for cell in zip(*row, strict=True)]) for row in levels
    ]


def small_colour_blocks(picture: Picture, shade: Callable[[Colour], Colour]) -> Drawing:
    """`small_blocks` of a colour image; `shade` gives the colour in which a pixel is shown."""
    drawing: Drawing = []
    for rows in zip(*_quarters(picture), strict=True):  # those of red, of green and of blue
        cells = zip(*(zip(*planes, strict=True) for planes in zip(*rows, strict=True)), strict=True)
        drawing.append(_merge_quadrants([_colour_quadrant_cell(cell, shade) for cell in cells]))
    return drawing


Quarters = tuple[list[int], list[int], list[int], list[int]]
"""Levels of the upper left, upper right, lower left and lower right quadrants of a row's cells."""


def _quarters(picture: Picture) -> list[list[Quarters]]:
    """For each channel, the levels of each row of cells: a quadrant is the mean of two pixels."""
    found = []
    for channel in range(picture.channels):
        rows: list[Quarters] = []
        for y in range(0, picture.height - 3, 4):
            first, second, third, fourth = (picture.plane(y + step, channel) for step in range(4))
            upper = [(a + b + 1) // 2 for a, b in zip(first, second, strict=True)]
            lower = [(a + b + 1) // 2 for a, b in zip(third, fourth, strict=True)]
            odd = len(upper) // 2 * 2
            rows.append((upper[:odd:2], upper[1:odd:2], lower[:odd:2], lower[1:odd:2]))
        found.append(rows)
    return found


class _Cell(NamedTuple):
    """Which quadrants are bright, and in which colours those and the others may be shown, the best first."""

    bright: int
    ink: tuple[Colour, ...]
    paper: tuple[Colour, ...]
    """As `ink` where all quadrants are bright."""


def _merge_quadrants(cells: Sequence[_Cell]) -> Row:
    """Cells as runs. As in `_merge_halves`, a colour that two neighbouring runs need stays foreground or background,
    so that only the other is sent."""
    row: Row = []
    fore: Colour | None = None
    back: Colour | None = None
    for at, (bright, inks, papers) in enumerate(cells):
        ink = next((each for each in inks if each in (fore, back)), inks[0])
        paper = next((each for each in papers if each in (fore, back)), papers[0])
        if ink == paper:
            bright = 0
        if bright == 0:
            if paper != back and (paper == fore or _needs(cells[at + 1 :], back, fore)):
                fore, bright = paper, ALL
            else:
                back = paper
        elif ink == back or (paper == fore and ink != fore):  # the other way round
            fore, back, bright = paper, ink, ALL - bright
        else:
            fore, back = ink, paper
        sign = QUADRANTS[bright]
        if row and (row[-1].background, row[-1].foreground) == (back, fore or back):
            row[-1] = Run(row[-1].text + sign, fore or back, back)
        else:
            row.append(Run(sign, fore or back, back))
    return row


def _needs(rest: Sequence[_Cell], one: Colour | None, other: Colour | None) -> bool:
    """Whether the next cell needs one colour, and not the other."""
    return bool(rest) and one in (*rest[0].ink, *rest[0].paper) and other not in (*rest[0].ink, *rest[0].paper)


def _cut(levels: Sequence[int]) -> int:
    """The lowest of the four levels above their widest gap."""
    ordered = sorted(levels)
    _, cut = max((ordered[index + 1] - ordered[index], index) for index in range(3))
    return ordered[cut + 1]


def _quadrant_cell(levels: tuple[int, ...], choices: Sequence[Choices], flat: int) -> _Cell:
    """One cell. The four levels are divided at their widest gap: the mean of the bright ones is the foreground, the
    mean of the others the background. Levels that lie no further apart than `flat` are one colour."""
    cut = _cut(levels) if max(levels) - min(levels) > flat else 0
    dark, bright = [level for level in levels if level < cut], [level for level in levels if level >= cut]
    ink = choices[round(sum(bright) / len(bright))]
    return _Cell(_bright(levels, cut), ink, choices[round(sum(dark) / len(dark))] if dark else ink)


def _colour_quadrant_cell(colours: tuple[Colour, ...], shade: Callable[[Colour], Colour]) -> _Cell:
    """As `_quadrant_cell`, divided at the widest gap of brightness (ITU-R 601)."""
    levels = [(299 * red + 587 * green + 114 * blue) // 1000 for red, green, blue in colours]
    cut = _cut(levels)

    def mean(chosen: list[Colour]) -> tuple[Colour, ...]:
        red, green, blue = (round(sum(channel) / len(chosen)) for channel in zip(*chosen, strict=True))
        return (shade((red, green, blue)),)

    pairs = list(zip(levels, colours, strict=True))
    ink = mean([colour for level, colour in pairs if level >= cut])
    dark = [colour for level, colour in pairs if level < cut]
    return _Cell(_bright(levels, cut), ink, mean(dark) if dark else ink)


def _bright(levels: Sequence[int], cut: int) -> int:
    return sum(1 << bit for bit, level in enumerate(levels) if level >= cut)


def ascii_art(picture: Picture, ramp: str = ASCII_RAMP) -> Drawing:
    """A drawing of the size of `half_blocks` in plain characters, for terminals without Unicode or without colours."""
    rows: Drawing = []
    for y in range(0, picture.height, 2):
        top, bottom = picture.row(y), picture.row(y + 1) or bytes(picture.width)
        text = "".join(ramp[(a + b) * len(ramp) // 512] for a, b in zip(top, bottom, strict=True))
        rows.append([Run(text, None, None)])
    return rows
