"""Draws charts as rows of characters with roles. The widget gives each role its colour."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from tui_vae.ui.charts import bands, dashes, raster, scales
from tui_vae.ui.charts.curves import Column, Curve
from tui_vae.ui.charts.raster import BLANK, Point
from tui_vae.ui.charts.scales import Scale, Tick
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.fitting import SEPARATOR, first_that_fits
from tui_vae.ui.glyphs import Glyphs
from tui_vae.ui.numbers import metric, short

GUTTER = 7
"""Cells left of the plot for the labels of the y axis: as many in all charts, so that their plots line up."""

MARKER_SPACING = 4
"""The least distance between two markers of epochs, in cells."""

MARKER_MARGIN = 0.02
"""The share of the plot's height by which a value may be outside the scale and still have a marker, at the edge."""

CURVES = ("train", "test")
"""Roles of curves that do not hide each other."""

STEEP_START = 0.2
"""The share of what a run has done, from its start, that a chart of the whole run may leave outside its y axis."""

LEAST_COLUMNS = 20
"""Columns of dots that a curve needs for that: fewer are drawn whole."""

LEAST_GAP_ROWS = 10
"""Rows of a plot from which the gap between train and test is filled: in a lower one it is a few stray dots."""

NOT_LOG = "linear, as some ≤ 0"
"""The note of a chart that cannot have the logarithmic scale that was asked for."""


class Span(NamedTuple):
    """Neighbouring characters of one role."""

    text: str
    role: str


class Control(NamedTuple):
    """A mark at the step where a user did something. `sets`: whether that set a value, such as the learning rate."""

    step: float
    label: str
    sets: bool = False


class Points(Sequence[Point]):
    """Points in the order of x, in two doubles each."""

    def __init__(self) -> None:
        self._xs, self._ys = array("d"), array("d")

    def extend(self, xs: Iterable[float], ys: Iterable[float]) -> None:
        """Add points in the order of x."""
        self._xs.extend(xs)
        self._ys.extend(ys)

    def __len__(self) -> int:
        return len(self._xs)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...
    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        if isinstance(index, slice):
            return list(zip(self._xs[index], self._ys[index], strict=True))
        return self._xs[index], self._ys[index]


@dataclass
class Sources:
    """The curves of one chart. `steps` is None where the values are known only at the ends of epochs."""

    steps: Curve | None
    train: Curve
    test: Curve
    train_epochs: Points = field(default_factory=Points)
    test_epochs: Points = field(default_factory=Points)

    def empty(self) -> bool:
        """Whether there is no curve to draw."""
        return not (self.steps or len(self.train) or len(self.test))


@dataclass(frozen=True)
class View:
    """How to draw a chart, in cells; the cursor is at a step. `colours`: whether there are any; without them the test
    curve is dashed, and bands, which could not be told from curves, are left out."""

    width: int
    height: int
    axis: Axis
    log: bool = False
    colours: bool = True
    cursor: float | None = None

    @property
    def plot_width(self) -> int:
        """Columns of the plot itself."""
        return max(0, self.width - GUTTER - 1)


@dataclass(frozen=True)
class Chart:
    """A chart as rows of characters. `log_refused`: whether it is linear though a logarithmic one was wished.

    `empty`: whether there is no figure in view that can be drawn.
    """

    rows: list[list[Span]]
    scale: Scale
    log_refused: bool = False
    empty: bool = False


def draw_chart(sources: Sources, controls: Sequence[Control], view: View, glyphs: Glyphs) -> Chart:
    """Draw one chart. From below: grid, marks of controls, band, gap, test curve, train curve, epochs."""
    width, height = view.plot_width, view.height
    dots = raster.BRAILLE if glyphs.braille else raster.one_dot(glyphs.line)
    edges = view.axis.edges(width * dots.across) if width else []
    steps, train, test = (
        curve.segments(edges) if curve is not None and len(curve) and edges else []
        for curve in (sources.steps, sources.train, sources.test)
    )
    scale, refused = _scale([*steps, *train, *test], view)

    def extremes(
        segments: Sequence[Sequence[Column]], dots: raster.Dots = dots, pattern: dashes.Pattern = ()
    ) -> tuple[str, ...]:
        if bands.dense(segments, width * dots.across):
            strokes = bands.strokes(segments, scale.place, height * dots.down)
            return bands.fill(dashes.thinned(strokes, pattern), width, height, dots)
        placed = ([(x, scale.place(y)) for x, y in zigzag(segment)] for segment in segments)
        paths = tuple(raster.dot_path(part, height * dots.down) for each in placed for part in raster.clip(each))
        if pattern:
            return bands.fill(dashes.dashed(paths, pattern), width, height, dots)
        return raster.rasterize(paths, width, height, dots)

    smoothed = sources.steps is not None and sources.steps.span > 0
    canvas = Canvas(width, height, dots.down)
    canvas.grid(scale.ticks, scale, glyphs)
    columns = _control_columns(controls, view)
    for column in columns:
        canvas.vertical(column, glyphs.control, "mark")
    if smoothed and view.colours:
        canvas.paint(extremes(steps, dots if glyphs.braille else raster.one_dot(".")), "band")
    if view.colours and glyphs.braille and height >= LEAST_GAP_ROWS:
        canvas.paint(
            bands.fill(bands.between(train, test, scale.place, height * dots.down), width, height, dots), "gap"
        )
    if glyphs.braille:
        canvas.paint(extremes(test, dots, () if view.colours else dashes.TEST), "test")
    else:
        canvas.paint(extremes(test, raster.one_dot(glyphs.test_line)), "test")
    canvas.paint(extremes([smooth_line(segment) for segment in steps] if smoothed else steps), "train")
    if sources.steps is None:
        canvas.paint(extremes(train), "train")
    canvas.markers(_thinned(sources.train_epochs, view), scale, view, glyphs, "train")
    canvas.markers(_thinned(sources.test_epochs, view), scale, view, glyphs, "test")
    if scale.clipped is not None and scale.clipped > scale.high:
        for column in _cells_above([*steps, *train, *test], scale.high, dots.across):
            canvas.put(column, 0, glyphs.above, "mark")
    for column, labels in columns.items():
        canvas.label(column, [glyphs.plain(label) for label in labels], glyphs.plain(SEPARATOR))
    if view.cursor is not None and 0 <= view.axis.place(view.cursor) <= 1:
        canvas.vertical(_cell(view.cursor, view), glyphs.cursor, "cursor", through=True)
    gutter = gutter_labels(scale, height, dots.down, glyphs)
    rows = [[Span(gutter[y], "label"), *canvas.row(y), Span(BLANK, "ground")] for y in range(height)]
    return Chart(rows, scale, refused, not (steps or train or test))


def zigzag(segment: Sequence[Column]) -> list[Point]:
    """A path through the lowest and the highest value of every column: at most two points a column, no spike lost."""
    points: list[Point] = []
    for column in segment:
        low, high = (column.x, column.low), (column.x, column.high)
        if column.low == column.high:
            points.append(low)
        elif points and abs(points[-1][1] - column.high) < abs(points[-1][1] - column.low):
            points += [high, low]
        else:
            points += [low, high]
    return points


def smooth_line(segment: Sequence[Column]) -> list[Column]:
    """A segment whose lowest and highest values are the smoothed ones."""
    return [Column(column.x, column.smooth, column.smooth, column.smooth) for column in segment]


def tick_count(height: int) -> int:
    """About how many ticks the y axis of a plot of this height has."""
    return 2 if height < 6 else 3 if height < 10 else 4 if height < 16 else 5


def place_labels(axis: Axis, width: int) -> list[tuple[int, str]]:
    """The labels of an x axis and the columns they begin at: centred below their ticks, never overlapping."""
    placed: list[tuple[int, str]] = []
    free = 0
    for tick in axis.ticks:
        centre = round((tick.value - axis.low) / (axis.high - axis.low) * (width - 1))
        start = min(max(0, centre - (len(tick.label) - 1) // 2), width - len(tick.label))
        if start >= free:
            placed.append((start, tick.label))
            free = start + len(tick.label) + 2
    return placed


def bottom_edge(labels: Sequence[tuple[int, str]], width: int, glyphs: Glyphs) -> list[tuple[str, str]]:
    """The lower edge of a frame of `width` cells inside, as texts with roles; `labels` as from `place_labels`."""
    parts, at = [(glyphs.corners[2] + glyphs.horizontal * (GUTTER - 1), "frame")], -1
    for start, label in labels:
        parts += [(glyphs.horizontal * (start - 1 - at), "frame"), (f" {label} ", "label")]
        at = start + len(label) + 1
    return [*parts, (glyphs.horizontal * (width - GUTTER - at) + glyphs.corners[3], "frame")]


def clipped_label(value: float) -> str:
    """The text for a value that the scale leaves out, in a chart's frame."""
    return short(value, 0) if abs(value) >= 1000 else metric(value, 0, 3)


def nearest_point(points: Sequence[Point], x: float) -> Point | None:
    """The point nearest to x; `points` are in the order of x."""
    after = bisect_left(points, (x, -math.inf))
    return min(points[max(0, after - 1) : after + 1], key=lambda point: abs(point[0] - x), default=None)


def _scale(segments: list[list[Column]], view: View) -> tuple[Scale, bool]:
    """The scale of the y axis. The first steps of a run, in which most figures fall steeply, do not stretch it."""
    columns = [column for segment in segments for column in segment]
    values = [value for column in columns for value in (column.low, column.high)]
    newest = [segment[-1].smooth for segment in segments]
    last = max((column.x for column in columns), default=0)
    first = last * STEEP_START if view.axis.low == 0 and last >= LEAST_COLUMNS else 0
    shown = [value for column in columns if column.x >= first for value in (column.low, column.high)]
    return scales.scale(shown, newest, tick_count(view.height), view.log, values)


def _cell(step: float, view: View) -> int:
    """The column of the plot that a step is in."""
    return min(view.plot_width - 1, max(0, int(view.axis.place(step) * view.plot_width)))


def _control_columns(controls: Sequence[Control], view: View) -> dict[int, list[str]]:
    """The labels in each column that has one: the newest of each kind, those that set a value first."""
    found: dict[int, dict[str, Control]] = {}
    for control in controls:
        if 0 <= view.axis.place(control.step) <= 1:
            found.setdefault(_cell(control.step, view), {})[control.label.partition(" ")[0]] = control
    return {
        column: [each.label for each in sorted(kinds.values(), key=lambda each: not each.sets)]
        for column, kinds in found.items()
    }


def _thinned(points: Points, view: View) -> list[Point]:
    """Every epoch in view, or every 2nd, 5th, 10th … so that markers stay apart; and always the newest."""
    first, last = view.axis.window
    start, stop = bisect_left(points, (first, -math.inf)), bisect_right(points, (last, math.inf))
    if stop - start < 2:
        return points[start:stop]
    width = view.axis.place(points[stop - 1][0]) - view.axis.place(points[start][0])
    spacing = width / (stop - 1 - start) * view.plot_width
    strides = (factor * 10**n for n in range(12) for factor in (1, 2, 5))
    every = next((stride for stride in strides if stride * spacing >= MARKER_SPACING), stop)
    kept = range(start + (every - 1 - start) % every, stop - 1, every)  # the same ones wherever the window is
    return [*(points[at] for at in kept), points[stop - 1]]


def _cells_above(segments: list[list[Column]], high: float, across: int) -> set[int]:
    """The columns of cells in which a curve goes above `high`."""
    return {column.x // across for segment in segments for column in segment if column.high > high}


def gutter_labels(scale: Scale, height: int, down: int, glyphs: Glyphs) -> list[str]:
    """The labels of the y axis, a text of `GUTTER` cells for each row."""
    gutter = [BLANK * GUTTER] * height
    for tick in scale.ticks:
        y = row_at(scale.place(tick.value), height, down)
        label = first_that_fits((tick.label, metric(tick.value, 0, 2)), GUTTER - 1)
        gutter[y] = glyphs.plain(label).rjust(GUTTER - 1) + BLANK
    return gutter


def row_at(place: float, height: int, down: int) -> int:
    """The row of cells, from the top, of a place of 0 … 1; `down` is the number of dots a cell is high."""
    dot = min(height * down - 1, max(0, raster.dot_row(place, height * down)))
    return height - 1 - dot // down


class Canvas:
    """Cells, each with a character and a role. What is painted later hides what was there, cell by cell."""

    def __init__(self, width: int, height: int, down: int) -> None:
        self.width, self.height, self._down = width, height, down
        self._text = [[BLANK] * width for _ in range(height)]
        self._roles: list[list[str]] = [["ground"] * width for _ in range(height)]

    def put(self, x: int, y: int, character: str, role: str) -> None:
        """Put a character into a cell."""
        self._text[y][x], self._roles[y][x] = character, role

    def paint(self, rows: Sequence[str], role: str) -> None:
        """Put all characters that are not blank."""
        for y, row in enumerate(rows):
            if row.isspace():
                continue
            text, roles = self._text[y], self._roles[y]
            for x, character in enumerate(row):
                if character != BLANK:
                    meets = roles[x] in CURVES and role in CURVES
                    text[x], roles[x] = bands.joined(text[x], character) if meets else character, role

    def grid(self, ticks: Sequence[Tick], scale: Scale, glyphs: Glyphs) -> None:
        """Put faint dots at the height of each tick."""
        for tick in ticks:
            y = row_at(scale.place(tick.value), self.height, self._down)
            for x in range(0, self.width, 4):
                self.put(x, y, glyphs.dot if glyphs.braille else ".", "grid")

    def vertical(self, x: int, character: str, role: str, through: bool = False) -> None:
        """Draw a vertical line in empty cells; `through`: over marks and bands too."""
        for y in range(self.height):
            if self._roles[y][x] in ("ground", "grid") or (through and self._roles[y][x] in ("mark", "band")):
                self.put(x, y, character, role)

    def markers(self, points: Iterable[Point], scale: Scale, view: View, glyphs: Glyphs, role: str) -> None:
        """Put a marker at each point that is inside the scale, or outside by `MARKER_MARGIN` at most.

        In Braille it is a thick dot, which stands on the curve itself: a character of its own would stand beside it.
        """
        shown = [(x, y) for x, y in points if math.isfinite(y)]
        if not glyphs.braille:
            for x, y in shown:
                self.marker(_cell(x, view), y, scale, glyphs.test if role == "test" else glyphs.train, role)
            return
        across = self.width * raster.BRAILLE.across
        placed = [
            (min(across - 1, max(0, int(view.axis.place(x) * across))), place)
            for x, y in shown
            if -MARKER_MARGIN <= (place := scale.place(y)) <= 1 + MARKER_MARGIN
        ]
        rows = bands.dots_at(placed, self.height * self._down)
        self.paint(bands.fill(rows, self.width, self.height, raster.BRAILLE), role)

    def marker(self, x: int, value: float, scale: Scale, marker: str, role: str) -> None:
        """Put a marker in column `x` at the height of a value that is not outside the scale by more than the margin."""
        if -MARKER_MARGIN <= (place := scale.place(value)) <= 1 + MARKER_MARGIN:
            self.put(x, row_at(place, self.height, self._down), marker, role)

    def label(self, x: int, labels: Sequence[str], separator: str) -> None:
        """Put labels beside a vertical line, at the top or the bottom: as many as there is room for from the first on,
        or the first word."""
        several = (separator.join(labels[:count]) for count in range(len(labels), 0, -1))
        for text in dict.fromkeys((*several, labels[0].partition(" ")[0])):
            cells = range(x + 1, x + 1 + len(text))
            for y in (0, self.height - 1) if cells.stop <= self.width else ():
                if all(self._roles[y][cell] in ("ground", "grid") for cell in cells):
                    for cell, character in zip(cells, text, strict=True):
                        self.put(cell, y, character, "mark")
                    return

    def row(self, y: int) -> list[Span]:
        """A row of cells as spans."""
        spans: list[Span] = []
        start = 0
        text, roles = "".join(self._text[y]), self._roles[y]
        for x in range(1, self.width + 1):
            if x == self.width or roles[x] != roles[start]:
                spans.append(Span(text[start:x], roles[start]))
                start = x
        return spans
