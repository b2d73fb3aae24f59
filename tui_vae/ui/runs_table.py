"""The table of runs: a row each, a cursor, marks in the colours of the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.ui import runs_marks, strips
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.runs_columns import GAP, Column, columns_for, sparkline
from tui_vae.ui.runs_marks import Marks
from tui_vae.ui.runs_records import Record

STATES = ("loading", "training", "paused", "stopped", "finished", "failed", "crashed")
GUTTER = 4
"""Cells left of the columns: the cursor, and the mark."""


@dataclass(frozen=True)
class Rows:
    """What the table shows at one moment; `cursor` and `open` are the selected run and the one on screen."""

    records: Sequence[Record] = ()
    cursor: Path | None = None
    open: Path | None = None
    sorted_by: str = ""
    down: bool = False
    longest_name: int = 0
    """Of all runs, whatever is filtered out, so that no column moves."""

    empty: str = ""

    @property
    def position(self) -> int:
        return next((at for at, record in enumerate(self.records) if record.path == self.cursor), 0)


def arrow_of(down: bool) -> str:
    """The direction in which a column is sorted."""
    return ("↓" if down else "↑") if glyphs().braille else ("v" if down else "^")


class RunsTable(Widget):
    """Draws `Rows`; only the cells that changed are sent to the terminal."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"runs--{name}" for name in ("head", "sorted", "row", "name", "note", "trend", "open", "cursor", "chosen")),
        *(f"runs--{state}" for state in STATES),
        *(f"runs--series-{number}" for number in range(runs_marks.COLOURS)),
    }

    @dataclass
    class Pointed(Message):
        """A click on a row; a double one opens the run."""

        path: Path
        twice: bool

    @dataclass
    class HeadClicked(Message):
        column: Column

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self._marks = marks
        self._rows = Rows()
        self._first = 0
        self._followed: tuple[object, ...] = ()
        self._strips: list[Strip] = []
        self._styles: dict[tuple[str, bool], Style] = {}

    @property
    def room(self) -> int:
        """Rows of runs that are seen at once."""
        return max(1, self.size.height - 1)

    @property
    def columns(self) -> list[tuple[Column, int]]:
        return columns_for(self.size.width - GUTTER - 1, self._rows.longest_name)

    def show(self, rows: Rows) -> None:
        moved = (rows.cursor, rows.position, rows.sorted_by) != self._followed
        self._rows = rows
        self.redraw(follow=moved)

    def redraw(self, follow: bool = True) -> None:
        """`follow`: bring the selected row into sight."""
        if not self.size.height:
            return
        before, self._strips = self._strips, self._draw(follow)
        if len(before) != len(self._strips):
            self.refresh()
        elif regions := strips.changed(before, self._strips):
            self.refresh(*regions)

    def on_resize(self) -> None:
        self._strips = []
        self.redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips = []
        if self.is_attached:
            self.redraw()

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def scroll_rows(self, by: int) -> None:
        """Move what is seen, not the cursor."""
        self._first = max(0, min(self._first + by, len(self._rows.records) - self.room))
        self.redraw(follow=False)

    def on_mouse_scroll_up(self) -> None:
        self.scroll_rows(-3)

    def on_mouse_scroll_down(self) -> None:
        self.scroll_rows(3)

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y == 0:
            at = GUTTER
            for column, width in self.columns:
                at += column.lead + width + GAP * column.left
                if place.x < at:
                    self.post_message(self.HeadClicked(column))
                    return
        elif (row := self._first + place.y - 1) < len(self._rows.records):
            self.post_message(self.Pointed(self._rows.records[row].path, event.chain == 2))

    def _draw(self, follow: bool) -> list[Strip]:
        rows, room = self._rows, self.room
        at = rows.position
        if follow:
            self._followed = rows.cursor, at, rows.sorted_by
            self._first = max(min(self._first, at, len(rows.records) - room), at - room + 1, 0)
        columns = self.columns
        lines = [self._head(columns)]
        lines += [self._row(record, columns) for record in rows.records[self._first : self._first + room]]
        if not rows.records:
            lines.append(self._strip([(rows.empty.center(self.size.width), "head")]))
        blank = Strip.blank(self.size.width, self.rich_style)
        return [*lines, *[blank] * (self.size.height - len(lines))][: self.size.height]

    def _head(self, columns: Sequence[tuple[Column, int]]) -> Strip:
        parts = [(" " * GUTTER, "head")]
        for column, width in columns:
            is_sorted = column.name == self._rows.sorted_by
            arrow = arrow_of(self._rows.down) if is_sorted else ""
            text = column.title + arrow if column.left else arrow + column.title
            role = "sorted" if is_sorted else "head"
            parts.append((self._cell(text, column, width), role))
        return self._strip(parts)

    def _row(self, record: Record, columns: Sequence[tuple[Column, int]]) -> Strip:
        signs = glyphs()
        chosen = record.path == self._rows.cursor
        slot = self._marks.slot(record.path)
        mark = runs_marks.sign(slot, signs) if record.path in self._marks else " "
        parts = [(("›" if signs.braille else ">") if chosen else " ", "cursor"), (f" {mark} ", runs_marks.role(slot))]
        is_open = record.path == self._rows.open
        for column, width in columns:
            text, role = signs.plain(column.text(record)), column.role
            if column.name == "name":
                role = "open" if is_open else "name"
                text = _shortened(text, width - 2 * is_open, signs.braille)
                text += (" ◂" if signs.braille else " <") if is_open else ""
            elif column.name == "state":
                role = record.state or "note"
                text = f"{signs.states.get(record.state, ' ')} {text}"
            elif column.name == "trend":
                text = sparkline([each.loss for each in record.curve], width, signs)
            parts.append((self._cell(text, column, width), role))
        return self._strip(parts, chosen)

    @staticmethod
    def _cell(text: str, column: Column, width: int) -> str:
        text = text[:width]
        return " " * column.lead + (text.ljust(width) + " " * GAP if column.left else text.rjust(width))

    def _strip(self, parts: Sequence[tuple[str, str]], chosen: bool = False) -> Strip:
        segments = [Segment(text, self._style(role, chosen)) for text, role in parts]
        return Strip(segments).adjust_cell_length(self.size.width, self._style("row", chosen))

    def _style(self, role: str, chosen: bool) -> Style:
        if (role, chosen) not in self._styles:
            style = self.get_component_rich_style(f"runs--{role}")
            if chosen:
                style += Style(bgcolor=self.get_component_rich_style("runs--chosen").bgcolor)
            self._styles[role, chosen] = style
        return self._styles[role, chosen]


def _shortened(text: str, width: int, unicode: bool) -> str:
    """The text in so many cells, its middle left out: names often differ at their end."""
    if len(text) <= width:
        return text
    gap = "…" if unicode else "."
    tail = (width - 1) // 3
    return text[: width - 1 - tail] + gap + text[-tail:] if tail else text[:width]
