"""A chart on screen: a frame that carries its name, its newest values and the ticks of its x axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from tui_vae.ui.charts.draw import (
    GUTTER,
    NOT_LOG,
    Control,
    Sources,
    Span,
    View,
    bottom_edge,
    clipped_label,
    draw_chart,
    place_labels,
)
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.strip_widget import StripWidget

SMALLEST = Size(GUTTER + 6, 3)
"""Cells of the smallest chart that is drawn: its frame with a plot of three columns and one row."""

NOTHING = "no finite figure here"
"""The text in the middle of a chart with figures none of which can be drawn: the weights diverged, or the window is
where there are none."""

NARROW = 44
"""Cells. A narrower chart leaves out the notes beside its title, so that the words beside its values have room."""


class Value(NamedTuple):
    """A value at the right of the frame: `● test 27.30`, or `● 27.30` where there is no room for the word."""

    marker: str
    word: str
    number: str
    role: str

    def text(self, word: bool) -> str:
        """The text, with the word or without. Constant width: padding goes in front of the marker."""
        number = self.number.strip()
        parts = (self.marker, self.word if word or not self.marker else "", number)
        return " " * (len(self.number) - len(number)) + " ".join(part for part in parts if part)


@dataclass(frozen=True)
class ChartState:
    """Everything that a chart shows at one moment."""

    title: str
    sources: Sources
    controls: Sequence[Control]
    axis: Axis
    values: Sequence[Value]
    """For the frame's right: the newest values, or what the cursor reads."""
    log: bool = False
    cursor: float | None = None
    notes: tuple[str, ...] = ()
    """Remarks about the curves, the most important first; left out where there is no room."""
    waiting: str = ""
    """The text in the middle while there is nothing to draw."""


class ChartWidget(StripWidget, can_focus=True):
    """Draws a `ChartState`; only cells that have changed are sent to the terminal."""

    PREFIX = "chart"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(
            "chart--label",
            "chart--grid",
            "chart--band",
            "chart--gap",
            "chart--train",
            "chart--test",
            "chart--mark",
            "chart--cursor",
        ),
        *("chart--frame", "chart--title", "chart--note"),
    }

    @dataclass
    class Pointed(Message):
        """The mouse points at a place of the x axis: 0 is its start, 1 its end; None when it has left."""

        chart: ChartWidget
        place: float | None

    @dataclass
    class Chosen(Message):
        """A double click."""

        chart: ChartWidget

    @dataclass
    class Scrolled(Message):
        """The wheel was turned at a place of the x axis: 1 is up, which looks closer, -1 down."""

        place: float
        direction: int

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._state: ChartState | None = None

    @property
    def plot_width(self) -> int:
        """Columns of the plot itself."""
        return max(1, self.size.width - 2 - GUTTER - 1)

    @property
    def _drawable(self) -> bool:
        return self.display and self.size.width >= SMALLEST.width and self.size.height >= SMALLEST.height

    def show(self, state: ChartState) -> None:
        """Show this state from now on."""
        self._state = state
        self.redraw()

    def draw(self) -> list[Strip] | None:
        return self._draw(self._state) if self._state is not None and self._drawable else None

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.call_after_refresh(self._redraw_restyled)

    def _redraw_restyled(self) -> None:
        self._styles.clear()
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.post_message(self.Scrolled(self._place(event), 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.post_message(self.Scrolled(self._place(event), -1))

    def _place(self, event: events.MouseEvent) -> float:
        return (event.x - 1 - GUTTER) / max(1, self.plot_width - 1)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        place = self._place(event)
        self.post_message(self.Pointed(self, place if 0 <= place <= 1 else None))

    def on_leave(self) -> None:
        self.post_message(self.Pointed(self, None))

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.post_message(self.Chosen(self))

    def _draw(self, state: ChartState) -> list[Strip]:
        width, height = self.size.width - 2, self.size.height - 2
        view = View(width, height, state.axis, state.log, not self.app.no_color, state.cursor)
        chart = draw_chart(state.sources, () if state.waiting else state.controls, view, glyphs())
        notes = [*state.notes]
        if chart.log_refused:
            notes.insert(0, NOT_LOG)
        elif state.log:
            notes.insert(0, "log")
        elif chart.scale.clipped is not None:
            symbols, clipped = glyphs(), chart.scale.clipped
            notes.insert(0, f"{symbols.above if clipped > chart.scale.high else symbols.below}{clipped_label(clipped)}")
        notes = [] if state.waiting else notes
        rows = chart.rows
        if words := state.waiting or (NOTHING if chart.empty else ""):
            rows = [[Span(" " * width, "ground")] for _ in range(height)]
            rows[height // 2] = [Span(words[:width].center(width), "label")]
        side = (glyphs().vertical, "frame")
        body = [self.strip([side, *row, side]) for row in rows]
        return [self._top(width, notes, state), *body, self._bottom(width, None if state.waiting else state.axis)]

    def _top(self, width: int, notes: Sequence[str], state: ChartState) -> Strip:
        """`╭ title notes ──── values ╮`; where there is no room, words, notes and values give way."""
        symbols = glyphs()
        title = state.title if len(state.title) + 2 <= width else state.title.partition(", ")[0]
        left = [(f" {symbols.plain(title)} ", "title"), *((f"{symbols.plain(note)} ", "note") for note in notes)]
        pinned = 2 if state.log and state.cursor is None else 1  # which scale it is must be said
        values, words = list(state.values), True
        while True:
            gaps = ["  "] * (len(values) - 1) + [" "]
            right = [
                (symbols.plain(each.text(words)) + gap, each.role) for each, gap in zip(values, gaps, strict=False)
            ]
            right = [(" ", "frame"), *right] if right else []
            line = width - sum(len(text) for text, _ in [*left, *right])
            if line >= 0 or not values:
                break
            if state.cursor is not None and values[0].role == "title":
                del values[0]
            elif words and (width >= NARROW or len(left) <= pinned):
                words = False
            elif len(left) > pinned or (len(left) > 1 and len(values) < 2):
                left.pop()
            else:
                del values[0]
        start, end = (symbols.corners[0], "frame"), (symbols.corners[1], "frame")
        return self.strip([start, *left, (symbols.horizontal * line, "frame"), *right, end])

    def _bottom(self, width: int, axis: Axis | None) -> Strip:
        """The frame's lower edge, with the labels of the x axis in it."""
        placed = place_labels(axis, self.plot_width) if axis is not None else []
        return self.strip(bottom_edge(placed, width, glyphs())).adjust_cell_length(width + 2, self.style("frame"))
