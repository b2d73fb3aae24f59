"""A figure of a pane as a file: PNG and SVG to show, CSV to draw it anew. All of it in one small list of shapes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_vae.runs.files import write_atomic
from tui_vae.ui.charts import scales
from tui_vae.ui.terminal import ASCII_WORDS

if TYPE_CHECKING:
    from PIL import ImageDraw

ENDINGS = (".png", ".svg", ".csv")

WIDTH, HEIGHT = 900, 560
"""Pixels of a figure: readable in a paper's column and on a slide."""

LEFT, RIGHT, TOP, BOTTOM = 80, 20, 46, 56
"""Pixels around the plot, for title, a row of the legend, and labels."""

ROW = 18
"""Pixels of a further row of the legend."""

FINER = 2
"""How many times finer a PNG is drawn than it is written: so its lines have smooth edges."""

DENSE = 2000
"""Points of a line from which on only the extremes of each pixel column are drawn."""

TEXT_SIZE = 14
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
"""Ten colours that stay apart (the categorical palette of Tableau)."""
GRID, FAINT, INK = "#dddddd", "#999999", "#333333"

RADIUS, CORNERS = 5.0, 16
"""Pixels of the disc at a path's end, and the corners that it is drawn with."""


@dataclass(frozen=True)
class Line:
    """One series: a line, dots or bars. `spreads`: at each point, half the height of a band around it; may be empty.

    A `path` is a line that leads somewhere, with a disc at its end; a `contour` is a faint line with its name at its
    right end, which belongs to the axes and is not among the data.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    kind: Literal["line", "dots", "bars", "path", "contour"] = "line"
    spreads: Sequence[float] = ()


@dataclass(frozen=True)
class Figure:
    """What is drawn, with the names of its axes."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]

    @property
    def series(self) -> list[Line]:
        """The lines that are data."""
        return [line for line in self.lines if line.kind != "contour"]


@dataclass(frozen=True)
class Shape:
    """A polyline, polygon or text in pixels. `fill`: of a polygon; with `text`, its only point is where it stands."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.5
    fill: bool = False
    text: str = ""
    anchor: Literal["start", "middle", "end"] = "start"


def complaint(folder: Path, text: str) -> str:
    """Why a figure cannot be written under this name; empty where it can."""
    if text.endswith("/") or Path(text).suffix.lower() not in ENDINGS:
        return f"The name must end in {', '.join(ENDINGS)}."
    if (folder / text).exists():
        return "There is a file of this name already."
    return "" if (folder / text).parent.is_dir() else "There is no such folder."


def write_figure(figure: Figure, file: Path) -> None:
    """Write a figure in the format that the file's ending says.

    Raises:
        OSError: it cannot be written.
    """
    make = {".png": as_png, ".svg": as_svg, ".csv": as_csv}[file.suffix.lower()]
    write_atomic(file, make(figure))


def as_csv(figure: Figure) -> bytes:
    """A row for each point: the series, x, y and, where there is one, the spread."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    spreads = any(line.spreads for line in figure.series)
    rows.writerow(["series", figure.x, figure.y, *(["spread"] if spreads else [])])
    for line in figure.series:
        for at, (x, y) in enumerate(zip(line.xs, line.ys, strict=True)):
            rows.writerow([line.name, x, y, *([line.spreads[at] if line.spreads else ""] if spreads else [])])
    return out.getvalue().encode()


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG 1.1."""
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    font = f'font-family="sans-serif" font-size="{TEXT_SIZE}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for shape in shapes(figure):
        if shape.text:
            (x, y), words = shape.points[0], escape(shape.text)
            lines.append(
                f'<text x="{x:.1f}" y="{y:.1f}" fill="{shape.colour}" text-anchor="{shape.anchor}">{words}</text>'
            )
            continue
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        if shape.fill:
            lines.append(f'<polygon points="{points}" fill="{shape.colour}"/>')
        else:
            lines.append(
                f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width}"/>'
            )
    return "\n".join([*lines, "</svg>", ""]).encode()


def as_png(figure: Figure) -> bytes:
    """The figure as PNG."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), "#ffffff")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT_SIZE * FINER)
    for shape in shapes(figure):
        _draw(draw, shape, font)
    out = io.BytesIO()
    image.reduce(FINER).save(out, "PNG")
    return out.getvalue()


def _draw(draw: ImageDraw.ImageDraw, shape: Shape, font: object) -> None:
    points = [(FINER * x, FINER * y) for x, y in shape.points]
    if shape.text:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
        words = shape.text.translate(ASCII_WORDS)  # Pillow's own font has no Greek letters
        draw.text(points[0], words, fill=shape.colour, font=font, anchor=anchor)  # type: ignore[arg-type]
    elif shape.fill:
        draw.polygon(points, fill=shape.colour)
    else:
        draw.line(points, fill=shape.colour, width=round(FINER * shape.width), joint="curve")


def shapes(figure: Figure) -> Iterator[Shape]:
    """All shapes of a figure, from below."""
    legend, rows = _legend([line.name for line in figure.series])
    place = _Place(figure, TOP + ROW * (rows - 1))
    yield Shape(((LEFT, 20),), INK, text=figure.title)
    yield from place.axes(figure)
    for contour in (line for line in figure.lines if line.kind == "contour"):
        yield from _contour(contour, place)
    for number, line in enumerate(figure.series):
        colour = COLOURS[number % len(COLOURS)]
        if line.spreads:
            yield from _band(line, colour, place)
        yield from _series(line, colour, place)
    for number, (line, (x, y)) in enumerate(zip(figure.series, legend, strict=False)):
        colour = COLOURS[number % len(COLOURS)]
        yield Shape(((x, y - 10), (x + 10, y - 10), (x + 10, y), (x, y)), colour, fill=True)
        yield Shape(((x + 15, y),), colour, text=line.name)


def _legend(names: Sequence[str]) -> tuple[list[tuple[int, int]], int]:
    """Where each name of the legend begins, in as many rows as they need, of which there is one at least."""
    found: list[tuple[int, int]] = []
    x, y = LEFT, 38
    for name in names if len(names) > 1 else ():
        width = 35 + round(0.6 * TEXT_SIZE * len(name))
        if found and x + width > WIDTH:
            x, y = LEFT, y + ROW
        found.append((x, y))
        x += width
    return found, 1 + (y - 38) // ROW


def _contour(line: Line, place: _Place) -> Iterator[Shape]:
    points = tuple(place(x, y) for x, y in zip(line.xs, line.ys, strict=True))
    if points:
        yield Shape(points, GRID, 1)
        yield Shape(((points[-1][0] - 4, points[-1][1] + TEXT_SIZE),), FAINT, text=line.name, anchor="end")


class _Place:
    """Where values lie in the plot, in pixels."""

    def __init__(self, figure: Figure, top: int = TOP) -> None:
        self._top = top
        xs = [x for line in figure.series for x in line.xs if math.isfinite(x)] or [0.0, 1.0]
        ys = [y for line in figure.series for y in _reach(line) if math.isfinite(y)] or [0.0, 1.0]
        bars = any(line.kind == "bars" for line in figure.series)
        self.x0, self.x1 = _widened(min(xs) - bars, max(xs) + bars)
        self.y0, self.y1 = _widened(min(0.0, *ys) if bars else min(ys), max(ys))

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x0) / (self.x1 - self.x0)
        up = (y - self.y0) / (self.y1 - self.y0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - self._top - BOTTOM)

    def axes(self, figure: Figure) -> Iterator[Shape]:
        """Grid lines with their labels, and the names of the axes."""
        for tick in scales.ticks(self.x0, self.x1, 8):
            x, foot = self(tick.value, self.y0)
            yield Shape(((x, self._top), (x, foot)), GRID, 1)
            yield Shape(((x, foot + 18),), INK, text=tick.label, anchor="middle")
        for tick in scales.ticks(self.y0, self.y1, 6):
            left, y = self(self.x0, tick.value)
            yield Shape(((left, y), (WIDTH - RIGHT, y)), GRID, 1)
            yield Shape(((left - 8, y + 5),), INK, text=tick.label, anchor="end")
        yield Shape((((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12),), INK, text=figure.x, anchor="middle")
        if figure.y != figure.title:
            yield Shape(((WIDTH - RIGHT, 20),), INK, text=f"up: {figure.y}", anchor="end")


def _reach(line: Line) -> Iterator[float]:
    yield from line.ys
    for y, spread in zip(line.ys, line.spreads, strict=False):
        yield y - spread
        yield y + spread


def _widened(low: float, high: float) -> tuple[float, float]:
    """Bounds with a little room, and some where both are one value."""
    room = (high - low) * 0.03 or max(abs(low) * 0.05, 0.5)
    return low - room, high + room


def _band(line: Line, colour: str, place: _Place) -> Iterator[Shape]:
    known = [(x, y, s) for x, y, s in zip(line.xs, line.ys, line.spreads, strict=True) if math.isfinite(y + s)]
    upper = [place(x, y + s) for x, y, s in known]
    lower = [place(x, y - s) for x, y, s in reversed(known)]
    if len(known) > 1:
        yield Shape((*upper, *lower), _pale(colour), fill=True)


def _pale(colour: str) -> str:
    """The colour at a fifth of its strength on white."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{255 - (255 - part) // 5:02x}" for part in parts)


def _series(line: Line, colour: str, place: _Place) -> Iterator[Shape]:
    known = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if line.kind in ("line", "path"):
        points = [place(x, y) for x, y in known]
        yield Shape(tuple(_thinned(points) if len(points) > DENSE else points), colour)
        if line.kind == "path" and points:
            yield _disc(points[-1], colour)
        return
    for x, y in known:
        if line.kind == "dots":
            across, down = place(x, y)
            yield Shape(
                ((across - 2, down), (across, down - 2), (across + 2, down), (across, down + 2)), colour, fill=True
            )
        else:
            (left, top), (right, foot) = place(x - 0.4, y), place(x + 0.4, 0.0)
            yield Shape(((left, top), (right, top), (right, foot), (left, foot)), colour, fill=True)


def _disc(centre: tuple[float, float], colour: str) -> Shape:
    """A disc that marks the end of a path."""
    turns = [math.tau * part / CORNERS for part in range(CORNERS)]
    around = tuple((centre[0] + RADIUS * math.cos(turn), centre[1] + RADIUS * math.sin(turn)) for turn in turns)
    return Shape(around, colour, fill=True)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of each column of pixels the first, the lowest, the highest and the last point: the line looks the same."""
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        columns.setdefault(int(point[0]), []).append(point)
    kept: list[tuple[float, float]] = []
    for column in columns.values():
        low, high = min(column, key=lambda point: point[1]), max(column, key=lambda point: point[1])
        kept += [column[0], low, high, column[-1]]
    return kept
