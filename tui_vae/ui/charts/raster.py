"""Lines as characters: plotext turns paths on a grid of dots into Braille; without Unicode, a cell is one dot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from tui_vae.ui.workarounds.plotext_import import import_plotext

Point = tuple[float, float]

DotPath = tuple[tuple[int, int], ...]
"""A path on a grid of dots: columns from the left, rows from below."""

BLANK = " "


@dataclass(frozen=True)
class Dots:
    """How many dots a cell has across and down, and plotext's marker for them."""

    across: int
    down: int
    marker: str


BRAILLE = Dots(2, 4, "braille")


@cache
def one_dot(character: str) -> Dots:
    """One dot a cell, drawn as this character."""
    return Dots(1, 1, character)


def clip(points: Sequence[Point]) -> list[list[Point]]:
    """The parts of a path whose y is within 0 … 1. A part ends where the path crosses y = 0 or y = 1."""
    parts: list[list[Point]] = []
    part: list[Point] = []
    for number, point in enumerate(points):
        if number:
            for end in _crossings(points[number - 1], point):
                if part or not 0 <= points[number - 1][1] <= 1:
                    part.append(end)
                if len(part) > 1 and not 0 <= point[1] <= 1 and end[1] == (1 if point[1] > 1 else 0):
                    parts.append(part)
                    part = []
        if 0 <= point[1] <= 1:
            part.append(point)
        elif part:
            parts.append(part)
            part = []
    return [*parts, part] if part else parts


def _crossings(start: Point, end: Point) -> list[Point]:
    """The points where a line from `start` to `end` crosses y = 0 and y = 1, in its direction."""
    (x0, y0), (x1, y1) = start, end
    found = []
    for edge in (0.0, 1.0):
        if (y0 - edge) * (y1 - edge) < 0:
            share = (edge - y0) / (y1 - y0)
            found.append((share, (x0 + share * (x1 - x0), edge)))
    return [point for _, point in sorted(found)]


def dot_row(place: float, rows: int) -> int:
    """The row of dots, counted from below, of a place of 0 … 1 of the height."""
    return round(place * (rows - 1))


def dot_path(points: Iterable[Point], rows: int) -> DotPath:
    """A path of points with y in 0 … 1 on a grid of `rows` rows of dots, without points that change no dot."""
    kept: list[tuple[int, int]] = []
    for x, y in points:
        dot = int(x), dot_row(y, rows)
        if kept and dot == kept[-1]:
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], dot):
            kept.pop()
        kept.append(dot)
    return tuple(kept)


def _straight(first: tuple[int, int], middle: tuple[int, int], last: tuple[int, int]) -> bool:
    """Whether `middle` lies on a horizontal or vertical line from `first` to `last`."""
    flat = first[1] == middle[1] == last[1] and first[0] < middle[0] < last[0]
    upright = first[0] == middle[0] == last[0] and (first[1] < middle[1]) == (middle[1] < last[1])
    return flat or upright


@lru_cache(maxsize=128)
def rasterize(paths: tuple[DotPath, ...], width: int, height: int, dots: Dots) -> tuple[str, ...]:
    """The paths as `height` rows of `width` characters, from the top. Cells without a line are blank.

    Results are cached: most redraws change no dot and cost nothing.
    """
    if not any(paths) or width < 1 or height < 1:
        return (BLANK * max(0, width),) * max(0, height)
    figure = _figure()
    figure.clear()
    figure.plot_size(width, height)
    figure.axes(False)
    figure.canvas("default")
    for axis, end in (("x", width * dots.across), ("y", height * dots.down)):
        figure.ruler(axis).frequency(0).lim(0, end).alignment("edge")
    for line in paths:
        if line:
            xs, ys = zip(*line, strict=True)
            signal = figure.signal([x + 0.5 for x in xs], [y + 0.5 for y in ys], marker=dots.marker)
            figure.draw(signal.lines())
    rows = figure.build().string(colorless=True).split("\n")[:height]
    return tuple(row.replace("\u2800", BLANK).ljust(width) for row in rows)


@cache
def _figure() -> Any:
    plotext = import_plotext()
    plotext.terminal.limit(False, False)
    return plotext.figure


def preload() -> None:
    """Import plotext. Panes call this in a thread while there is nothing to draw yet."""
    _figure()
