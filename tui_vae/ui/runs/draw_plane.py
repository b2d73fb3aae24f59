"""The rate-distortion plane: a path a run, from its first epoch to its newest, lines of one ELBO, a sweep as a curve.

Below and left is better. A run moves along a line of one ELBO where it only trades rate for distortion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tui_vae.runs.rate_distortion import rate_distortion
from tui_vae.runs.run_records import Record
from tui_vae.ui.charts import bands, dashes, raster, scales
from tui_vae.ui.charts.draw import GUTTER, Canvas, Span, gutter_labels, row_at, tick_count
from tui_vae.ui.charts.raster import BLANK
from tui_vae.ui.charts.scales import Scale
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.figure_file import Figure, Line
from tui_vae.ui.glyphs import Glyphs
from tui_vae.ui.runs.draw_overlay import MOST_TICKS, PLANE, TICK_SPACING, Measure, Overlay, Series, curve, series
from tui_vae.ui.runs.groups import Group
from tui_vae.ui.runs.marks import series_marker, series_role

MOST_POINTS = 400
"""Epochs of a path that are drawn, at most: more than a plot has columns of dots."""

STEEP_START = 0.2
"""The share of a path, from its start, that may lie outside the plane: the first epochs fall steeply."""

CONTOURS = 6
"""Lines of one ELBO, about."""

LEAST_SWEEP = 3
"""Runs from which on what they reach is linked, as a curve over their rates."""


@dataclass(frozen=True)
class Path(Series):
    """A run's path: (rate, distortion) of each epoch in nats. `pixels`: D of its images; `steep`: whether its first
    epochs may lie outside the plane."""

    pixels: int = 0
    steep: bool = True


def path_of(row: Record | Group, slot: int) -> Path:
    """The path of a run, or the curve of what the runs of a group have reached, by rate. `slot`: its slot among the
    marks, for its marker and colour."""
    if isinstance(row, Group):
        paths = [path_of(each, slot) for each in row.members]
        ends = sorted(each.points[-1] for each in paths if each.points)
        return Path(row.name, slot, tuple(ends), pixels=max((each.pixels for each in paths), default=0), steep=False)
    record = row
    every = max(1, -(-len(record.curve) // MOST_POINTS))
    newest = record.curve[-1:] if (len(record.curve) - 1) % every else ()
    found = (rate_distortion(each.elbo_bpd, each.kl, record.pixels) for each in (*record.curve[::every], *newest))
    return Path(record.name, slot, tuple(point for point in found if point is not None), pixels=record.pixels or 0)


def figure_of(rows: Sequence[Record | Group], measure: Measure) -> Figure | None:
    """What is compared, as a figure for a file: curves over epochs, or the plane's paths; None where there are none."""
    plane = measure is PLANE
    found = [path_of(row, 0) if plane else series(row, measure, 0) for row in rows]
    kind: Literal["path", "line"] = "path" if plane else "line"
    lines = [
        Line(each.name, [x for x, _ in each.points], [y for _, y in each.points], kind, each.spreads)
        for each in found
        if each.points
    ]
    if lines and plane:
        lines += _elbo_lines([each for each in found if isinstance(each, Path) and each.points])
    x, y = ("rate: KL (nats)", "distortion (nats)") if plane else (
        "epoch", f"{measure.title} ({measure.unit})" if measure.unit else measure.title)  # fmt: skip
    return Figure(measure.title, x, y, tuple(lines)) if lines else None


def _elbo_lines(paths: Sequence[Path]) -> list[Line]:
    """Lines along which rate + distortion is the same, as far as the paths reach, each with its bits a pixel."""
    xs, ys = zip(*(point for each in paths for point in each.points), strict=True)
    nats = paths[0].pixels * math.log(2)
    low, high = (min(xs) + min(ys)) / nats, (max(xs) + max(ys)) / nats
    found = []
    for tick in scales.ticks(low, high, CONTOURS):
        total = tick.value * nats
        ends = max(min(xs), total - max(ys)), min(max(xs), total - min(ys))
        if ends[0] < ends[1]:
            found.append(Line(f"{tick.label} bits/px", ends, [total - x for x in ends], "contour"))
    return found


def draw_plane(paths: Sequence[Path], width: int, height: int, glyphs: Glyphs, colours: bool = True) -> Overlay:
    """The paths, the first on top, with a gutter for the y axis' labels at the left; each ends with its marker.

    `colours`: as of `draw_overlay`.
    """
    plot = max(1, width - GUTTER - 1)
    known = [each for each in paths if each.points]
    late = [point for each in known for point in each.points[int(each.steep * len(each.points) * STEEP_START) :]]
    ends = [each.points[-1] for each in known]
    columns = max(2, min(MOST_TICKS, plot // TICK_SPACING))
    across = scales.linear([x for x, _ in late], columns, [x for x, _ in ends])
    up = scales.linear([y for _, y in late], tick_count(height), [y for _, y in ends])
    dots = raster.BRAILLE if glyphs.braille else raster.one_dot(BLANK)
    canvas = Canvas(plot, height, dots.down)
    places = [min(plot - 1, max(0, int(across.place(x) * plot))) for x, _ in ends]
    taken = {(x, row_at(up.place(y), height, dots.down)) for x, (_, y) in zip(places, ends, strict=True)}
    words = _contours(canvas, across, up, known[0].pixels, dots.down, glyphs, taken) if known else {}
    if len(known) >= LEAST_SWEEP:
        _link(canvas, sorted(ends), across, up, raster.BRAILLE if glyphs.braille else raster.one_dot("."), colours)
    for each in reversed(known):
        sort = raster.BRAILLE if glyphs.braille else raster.one_dot(series_marker(each.slot, glyphs))
        line = curve(_line(each.points, across, up, canvas, sort), each.slot, canvas, sort, colours)
        canvas.paint(line, series_role(each.slot))
    for (column, row), character in words.items():  # above the paths, which would leave parts of numbers
        canvas.put(column, row, character, "label")
    for each, x, (_, y) in reversed(list(zip(known, places, ends, strict=True))):
        canvas.marker(x, y, up, series_marker(each.slot, glyphs), series_role(each.slot))
    gutter = gutter_labels(up, height, dots.down, glyphs)
    rows = [[Span(gutter[at], "label"), *canvas.row(at), Span(BLANK, "ground")] for at in range(height)]
    return Overlay(rows, up, Axis(across.low, across.high, ticks=across.ticks))


def _line(
    points: Sequence[raster.Point], across: Scale, up: Scale, canvas: Canvas, dots: raster.Dots
) -> tuple[raster.DotPath, ...]:
    """A line through points, as far as it lies on the canvas."""
    width, height = canvas.width * dots.across, canvas.height * dots.down
    turned = [(up.place(y), across.place(x)) for x, y in points]
    inside = [[(x, y) for y, x in part] for part in raster.clip(turned)]  # first by rate, then by distortion
    placed = [[(round(x * (width - 1)), y) for x, y in part] for each in inside for part in raster.clip(each)]
    return tuple(raster.dot_path(part, height) for part in placed)


def _link(
    canvas: Canvas, ends: Sequence[raster.Point], across: Scale, up: Scale, dots: raster.Dots, colours: bool
) -> None:
    """The curve through what the runs have reached, by rate; a few dots of it where no colour tells it from paths."""
    line, pattern = _line(ends, across, up, canvas, dots), () if colours else dashes.LINK
    canvas.paint(bands.fill(dashes.dashed(line, pattern), canvas.width, canvas.height, dots), "label")


def _contours(
    canvas: Canvas, across: Scale, up: Scale, pixels: int, down: int, glyphs: Glyphs, taken: set[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    """Draw faint lines along which rate + distortion is the same. Return the characters, by their cells, of each one's
    bits a pixel: as far right on it as none of the `taken` cells is in the way."""
    words: dict[tuple[int, int], str] = {}
    nats = pixels * math.log(2)
    low, high = (across.low + up.low) / nats, (across.high + up.high) / nats
    for tick in scales.ticks(low, high, CONTOURS):
        cells = []
        for x in range(canvas.width):
            rate = across.value((x + 0.5) / canvas.width)
            place = up.place(tick.value * nats - rate)
            if 0 <= place <= 1:
                cells.append((x, row_at(place, canvas.height, down)))
        for x, y in cells[::2]:
            canvas.put(x, y, glyphs.dot if glyphs.braille else ".", "grid")
        label = f" {tick.label} bits"
        for x, y in reversed(cells):
            places = [(number, y) for number in range(x - len(label) + 1, x + 1)]
            if places[0][0] > 0 and not any(place in taken or place in words for place in places):
                words |= zip(places, label, strict=True)
                break
    return words
