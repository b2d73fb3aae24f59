"""The chart of overlaid curves, in a frame with the figure's name, a legend in the curves' colours, and the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from textual.geometry import Size
from textual.strip import Strip

from tui_vae.ui import numbers
from tui_vae.ui.charts.draw import GUTTER, NOT_LOG, bottom_edge, clipped_label, place_labels
from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.runs.draw_overlay import PLANE, Measure, Overlay, Series, cut_to_shortest, draw_overlay
from tui_vae.ui.runs.draw_plane import Path, draw_plane
from tui_vae.ui.runs.marks import SERIES_COLOURS, series_marker, series_role
from tui_vae.ui.strip_widget import StripWidget

SMALLEST = Size(GUTTER + 12, 4)
"""Cells of the smallest chart that is drawn, its frame included."""

LEAST_NAME = 4
"""Cells of a run's name in the legend, at least."""


@dataclass(frozen=True)
class OverlayState:
    """Everything that the chart shows at one moment. `shortest`: no more epochs than the shortest run has.

    `note`: a warning about the comparison. `waiting`: the text in the middle while there is nothing to draw.
    """

    series: Sequence[Series]
    measure: Measure
    log: bool = False
    shortest: bool = False
    note: str = ""
    waiting: str = ""


class OverlayChart(StripWidget):
    """Draws an `OverlayState`; only cells that have changed are sent to the terminal."""

    PREFIX = "runs"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"runs--{name}" for name in ("label", "grid", "band", "frame", "title", "note", "warning")),
        *(f"runs--series-{number}" for number in range(SERIES_COLOURS)),
    }

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._state: OverlayState | None = None

    def show(self, state: OverlayState) -> None:
        """Show this state from now on."""
        self._state = state
        self.redraw()

    @property
    def _drawable(self) -> bool:
        return self.display and self.size.width >= SMALLEST.width and self.size.height >= SMALLEST.height

    def draw(self) -> list[Strip] | None:
        return None if self._state is None or not self._drawable else self._draw(self._state)

    def _draw(self, state: OverlayState) -> list[Strip]:
        width, height = self.size.width - 2, self.size.height - 2
        side = (glyphs().vertical, "frame")
        if state.waiting:
            text = glyphs().plain(state.waiting)[:width].center(width)
            empty = [(" " * width if y != height // 2 else text, "label") for y in range(height)]
            body = [self.strip([side, line, side]) for line in empty]
            return [self._top(state, width, ""), *body, self._bottom(width, None)]
        if state.measure is PLANE:
            paths = [each for each in state.series if isinstance(each, Path)]
            overlay = draw_plane(paths, width, height, glyphs(), not self.app.no_color)
            return self._framed(state, width, overlay, "")
        if state.shortest:
            state = replace(state, series=cut_to_shortest(state.series))
        colours = not self.app.no_color
        overlay = draw_overlay(state.series, width, height, glyphs(), state.log, state.shortest, colours)
        note = NOT_LOG if overlay.log_refused else "log" if state.log else ""
        if not note and overlay.scale.clipped is not None:
            note = f"{glyphs().above}{clipped_label(overlay.scale.clipped)}"
        if state.shortest and not note:
            note = "as far as the shortest"
        return self._framed(state, width, overlay, note)

    def _framed(self, state: OverlayState, width: int, overlay: Overlay, note: str) -> list[Strip]:
        side = (glyphs().vertical, "frame")
        body = [self.strip([side, *row, side]) for row in overlay.rows]
        if state.note and len(state.note) < width // 2:  # at the top right, where falling curves leave room
            warning = self.strip([(f" {glyphs().plain(state.note)} ", "warning"), side])
            body[0] = Strip.join([body[0].crop(0, width + 2 - warning.cell_length), warning])
        return [self._top(state, width, note), *body, self._bottom(width, overlay, state.measure.over)]

    def _top(self, state: OverlayState, width: int, note: str) -> Strip:
        """`╭─ title note ──── ● run −1204  ■ other −1100 ─╮`."""
        symbols = glyphs()
        title, unit = state.measure.title, state.measure.unit
        left = [(f" {title} ", "title")]
        left += [(f"{unit} ", "note")] if unit else []
        left += [(f"{symbols.plain(note)} ", "note")] if note else []
        while True:
            right = legend(state.series, state.measure, width - 5 - sum(len(text) for text, _ in left))
            if right or len(left) == 1 or not state.series:
                break
            left.pop()
        if right:
            right = [(" ", "frame"), *((symbols.plain(text), role) for text, role in right), (" ", "frame")]
        rest = width - 2 - sum(len(text) for text, _ in [*left, *right])
        start, end = symbols.corners[0] + symbols.horizontal, symbols.horizontal + symbols.corners[1]
        parts = [(start, "frame"), *left, (symbols.horizontal * rest, "frame"), *right, (end, "frame")]
        return self.strip(parts).adjust_cell_length(width + 2, self.style("frame"))

    def _bottom(self, width: int, overlay: Overlay | None, over: str = "epoch") -> Strip:
        """The frame's lower edge, with the ticks of the x axis in it."""
        placed = place_labels(overlay.axis, max(1, width - GUTTER - 1)) if overlay else []
        first = f"{over} {placed[0][1]}" if placed else ""
        if len(placed) > 1 and placed[0][0] == 0 and placed[1][0] > len(first) + 2:
            placed[0] = 0, first
        return self.strip(bottom_edge(placed, width, glyphs())).adjust_cell_length(width + 2, self.style("frame"))


def legend(all_series: Sequence[Series], measure: Measure, room: int) -> list[tuple[str, str]]:
    """Each curve's marker and name, with its newest value where there is room; nothing where names do not fit."""
    symbols = glyphs()
    for with_values in (True, False):
        values = [f" {numbers.metric(each.newest, 0, measure.digits)}" if with_values else "" for each in all_series]
        fixed = sum(2 + len(value) for value in values) + 2 * (len(all_series) - 1)
        longest = max((len(each.name) for each in all_series), default=0)
        for length in range(longest, LEAST_NAME - 1 if longest >= LEAST_NAME else longest - 1, -1):
            if fixed + sum(min(len(each.name), length) for each in all_series) <= room:
                parts: list[tuple[str, str]] = []
                for each, value in zip(all_series, values, strict=True):
                    gap = "  " if parts else ""
                    text = f"{gap}{series_marker(each.slot, symbols)} {shortened(each.name, length)}{value}"
                    parts.append((text, series_role(each.slot)))
                return parts
    return []
