"""The curves of several runs over their epochs, from figures to rows of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tui_vae.ui.charts import bands, dashes, raster, scales
from tui_vae.ui.charts.curves import Column
from tui_vae.ui.charts.draw import GUTTER, Canvas, Span, gutter_labels, tick_count
from tui_vae.ui.charts.raster import BLANK, Point
from tui_vae.ui.charts.scales import Scale
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.glyphs import Glyphs
from tui_vae.ui.runs.groups import Group, Row
from tui_vae.ui.runs.marks import series_dashes, series_marker, series_role

MARKER_SPACING = 12
"""Cells from one marker on a curve to the next, at least."""

WHISKER_SPACING = 8
"""Columns of dots from one upright line of a band to the next, in a terminal without colours."""

TICK_SPACING, MOST_TICKS = 12, 10
"""Cells from one tick of the x axis to the next, at least; and how many it has, at most."""


@dataclass(frozen=True)
class Measure:
    """A figure that can be overlaid: its name among a run's figures, and its title. `over`: the x axis."""

    name: str
    title: str
    unit: str = ""
    digits: int = 4
    over: str = "epoch"


PLANE = Measure("plane", "distortion over rate (KL)", "nats", over="rate")
"""Not a figure over the epochs, but the plane of two of them: draw_plane.py."""

MEASURES = (
    Measure("loss", "test loss"),
    Measure("recon", "test reconstruction"),
    Measure("kl", "test KL", "nats"),
    Measure("mse", "test mse"),
    Measure("elbo_bpd", "test bits a pixel"),
    PLANE,
)


@dataclass(frozen=True)
class Series:
    """One run's curve: its name, its slot among the marks, and (epoch, value) points, with NaN where there is none.

    spreads: of a group, whose curve is a mean, the standard deviation at each of its points.
    """

    name: str
    slot: int
    points: tuple[Point, ...]
    spreads: tuple[float, ...] = ()

    @property
    def newest(self) -> float | None:
        """The newest value; None where there is none."""
        return next((y for _, y in reversed(self.points) if math.isfinite(y)), None)


@dataclass(frozen=True)
class Overlay:
    """The chart as rows of characters. `log_refused`: as of a `Chart`."""

    rows: list[list[Span]]
    scale: Scale
    axis: Axis
    log_refused: bool = False


def series(record: Row, measure: Measure, slot: int) -> Series:
    """The curve of a figure of a run, or of a group. `slot`: its slot among the marks, for its marker and colour."""
    if isinstance(record, Group):
        curve = record.curve(measure.name)
        return Series(record.name, slot, tuple((x, y) for x, y, _ in curve), tuple(spread for *_, spread in curve))
    values = ((each.epoch, getattr(each, measure.name)) for each in record.curve)
    return Series(record.name, slot, tuple((float(x), math.nan if y is None else y) for x, y in values))


def cut_to_shortest(all_series: Sequence[Series]) -> list[Series]:
    """The curves up to the last epoch that all of them have."""
    end = min((each.points[-1][0] for each in all_series if each.points), default=0.0)
    return [_cut(each, end) for each in all_series]


def _cut(each: Series, end: float) -> Series:
    count = sum(x <= end for x, _ in each.points)
    return replace(each, points=each.points[:count], spreads=each.spreads[:count])


def draw_overlay(
    all_series: Sequence[Series], width: int, height: int, glyphs: Glyphs, log: bool = False, shortest: bool = False,
    colours: bool = True,
) -> Overlay:  # fmt: skip
    """The curves one above the other, the first on top, with a gutter for the y axis' labels at the left.

    `shortest`: the axis ends where they do, as they have been cut to one length. `colours`: whether there are any; else
    dashes tell the curves apart.
    """
    plot = max(1, width - GUTTER - 1)
    lengths = [each.points[-1][0] for each in all_series if each.points]
    longest = max(lengths, default=0.0)
    end = max(1.0, longest) if shortest else scales.axis_end(longest)
    dots = {each.slot: _dots(each.slot, glyphs) for each in all_series}
    runs = {each.slot: _runs(each.points, end, plot * dots[each.slot].across) for each in all_series}
    shown = [run for found in runs.values() for run in found]
    scale, refused = _scale([*shown, *(edge for each in all_series for edge in _edges(each))], height, log)
    down = (raster.BRAILLE if glyphs.braille else raster.one_dot(BLANK)).down
    canvas = Canvas(plot, height, down)
    canvas.grid(scale.ticks, scale, glyphs)
    for each in all_series if glyphs.braille else ():
        canvas.paint(_band(each, end, plot, height, scale, colours), "band")
    for each in reversed(all_series):
        sort = dots[each.slot]
        placed = ([(x, scale.place(y)) for x, y in run] for run in runs[each.slot])
        paths = tuple(raster.dot_path(part, height * sort.down) for run in placed for part in raster.clip(run))
        canvas.paint(curve(paths, each.slot, canvas, sort, colours), series_role(each.slot))
    for number, each in reversed(list(enumerate(all_series))):
        for x, value in _markers(each, end, plot, number, len(all_series)):
            canvas.marker(x, value, scale, series_marker(each.slot, glyphs), series_role(each.slot))
    gutter = gutter_labels(scale, height, down, glyphs)
    rows = [[Span(gutter[y], "label"), *canvas.row(y), Span(BLANK, "ground")] for y in range(height)]
    count = max(2, min(MOST_TICKS, plot // TICK_SPACING))
    axis = Axis(0.0, end, name="epochs", ticks=scales.ticks(0.0, end, count, whole=True))
    return Overlay(rows, scale, axis, refused)


def _edges(each: Series) -> list[list[Point]]:
    """The lower and the upper edge of a series' band; none where it has no spread."""
    if not each.spreads:
        return []
    pairs = list(zip(each.points, each.spreads, strict=True))
    return [[(x, y - spread) for (x, y), spread in pairs], [(x, y + spread) for (x, y), spread in pairs]]


def curve(
    paths: tuple[raster.DotPath, ...], slot: int, canvas: Canvas, dots: raster.Dots, colours: bool
) -> tuple[str, ...]:
    """A series' paths as rows of characters; dashed where there is nothing else that tells it from others."""
    pattern = () if colours or dots != raster.BRAILLE else series_dashes(slot)
    if pattern:
        return bands.fill(dashes.dashed(paths, pattern), canvas.width, canvas.height, dots)
    return raster.rasterize(paths, canvas.width, canvas.height, dots)


def _band(each: Series, end: float, plot: int, height: int, scale: Scale, colours: bool) -> tuple[str, ...]:
    """The band of a group: its mean, more and less the standard deviation. Without colours, which tell it from the
    curve, it is upright lines far from each other."""
    across = plot * raster.BRAILLE.across
    sides = [[[Column(min(across - 1, int(x / end * across)), y, y, y) for x, y in edge]] for edge in _edges(each)] or [
        [],
        [],
    ]
    strokes = bands.between(sides[0], sides[1], scale.place, height * raster.BRAILLE.down)
    strokes = strokes if colours else [stroke for stroke in strokes if stroke[0] % WHISKER_SPACING == 0]
    return bands.fill(strokes, plot, height, raster.BRAILLE)


def _dots(slot: int, glyphs: Glyphs) -> raster.Dots:
    return raster.BRAILLE if glyphs.braille else raster.one_dot(series_marker(slot, glyphs))


def _runs(points: Sequence[Point], end: float, width: int) -> list[list[Point]]:
    """A series on `width` columns of dots: the lowest and the highest value of each, and a new list after every gap."""
    found: list[list[Point]] = [[]]
    for column, group in groupby(points, lambda point: min(width - 1, int(point[0] / end * width))):
        values = [y for _, y in group]
        finite = [y for y in values if math.isfinite(y)]
        if finite:
            low, high = min(finite), max(finite)
            last = found[-1][-1][1] if found[-1] else high
            ordered = (high, low) if abs(last - high) < abs(last - low) else (low, high)
            found[-1] += [(column, y) for y in (ordered if low < high else (low,))]
        if len(finite) < len(values) and found[-1]:
            found.append([])
    return [run for run in found if run]


def _scale(runs: Sequence[Sequence[Point]], height: int, log: bool) -> tuple[Scale, bool]:
    values = [y for run in runs for _, y in run]
    return scales.scale(values, [run[-1][1] for run in runs], tick_count(height), log)


def _markers(each: Series, end: float, plot: int, number: int, count: int) -> list[tuple[int, float]]:
    """Where a curve has its marker: at its newest value, and at intervals, at other places than the other curves."""
    known = [(min(plot - 1, int(x / end * plot)), y) for x, y in each.points if math.isfinite(y)]
    found: list[tuple[int, float]] = []
    spacing = max(MARKER_SPACING, 3 * count)
    free = number * spacing // count
    for place, value in known[:-1]:
        if place >= free and place <= known[-1][0] - 4:
            found.append((place, value))
            free = place + spacing
    return [*found, *known[-1:]]
