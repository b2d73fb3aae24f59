"""The table of runs: a row for each, a cursor, and marks in the colours of the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from tui_vae.runs.run_records import Record
from tui_vae.runs.summary import UNREADABLE
from tui_vae.ui import run_progress
from tui_vae.ui.charts.sparkline import sparkline
from tui_vae.ui.fitting import SEPARATOR, first_that_fits
from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.pane import Pane
from tui_vae.ui.runs.columns import COMPARABLE, GAP, NAMED, Column, SortKey, best_of, columns_for
from tui_vae.ui.runs.groups import Group, Row
from tui_vae.ui.runs.marks import SERIES_COLOURS, Marks, series_marker, series_role
from tui_vae.ui.status_line import STATES
from tui_vae.ui.strip_widget import StripWidget

GUTTER = 4
"""Cells to the left of the columns, for the cursor and the mark."""


@dataclass(frozen=True)
class Rows:
    """What the table shows at one moment; `cursor` and `open` are the selected run and the one on screen."""

    records: Sequence[Row] = ()
    cursor: Path | None = None
    open: Path | None = None
    sorted_by: str = ""
    down: bool = False
    longest_name: int = 0
    """Cells of the longest name of all runs, filtered out or not, so that no column moves."""

    empty: str = ""

    @property
    def position(self) -> int:
        """The place of the selected run; 0 where it is not among them."""
        return next((at for at, record in enumerate(self.records) if record.path == self.cursor), 0)


def arrow_of(down: bool) -> str:
    """The direction in which a column is sorted."""
    return ("↓" if down else "↑") if glyphs().braille else ("v" if down else "^")


FIGURES = {"loss", "mse", "bits", "kl", "active", "trend"}
"""The columns of figures, beside each other; a run that has failed without any says there why."""


class RunsTable(StripWidget):
    """Draws `Rows`; only cells that have changed are sent to the terminal."""

    PREFIX = "runs"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"runs--{name}" for name in ("head", "sorted", "row", "name", "note", "trend", "best", "warning")),
        *(f"runs--{name}" for name in ("open", "cursor", "chosen")),
        *(f"runs--{state}" for state in (*STATES, UNREADABLE)),
        *(f"runs--series-{number}" for number in range(SERIES_COLOURS)),
    }

    @dataclass
    class Pointed(Message):
        """A click on a row; a double one opens the run."""

        path: Path
        twice: bool

    @dataclass
    class HeadClicked(Message):
        """A click on the head of a column."""

        column: Column

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self._marks = marks
        self._rows = Rows()
        self._first = 0
        self._followed: tuple[object, ...] = ()
        self._best: dict[str, SortKey] = {}
        """The best figure of all rows, by the name of its column."""
        self._inside: set[Path] = set()
        """The runs whose rows stand below that of their group."""
        self._follow = True
        """Whether drawing scrolls to the selected row."""

    @property
    def room(self) -> int:
        """Rows of runs that fit."""
        return max(1, self.size.height - 1)

    @property
    def columns(self) -> list[tuple[Column, int]]:
        """The columns that fit, each with its width in cells."""
        spreads = any(isinstance(row, Group) for row in self._rows.records)
        return columns_for(self.size.width - GUTTER - 1, self._rows.longest_name, spreads)

    def show(self, rows: Rows) -> None:
        """Show these rows. The table scrolls to the selected run if that, its place or the order has changed."""
        self._follow = (rows.cursor, rows.position, rows.sorted_by) != self._followed
        self._rows = rows
        self.redraw()
        self.post_message(Pane.NotesMoved())

    @property
    def newest_above(self) -> bool:
        """Whether the row of the run that was started last stands in the upper half, or above what is seen."""
        started = [self._started(row) for row in self._rows.records]
        newest = started.index(max(started)) if started else 0
        return newest - self._first < max(1, self.room // 2)

    @staticmethod
    def _started(row: Row) -> float:
        return max((each.started or 0.0 for each in (row.members if isinstance(row, Group) else (row,))), default=0.0)

    def on_resize(self) -> None:
        self._follow = True
        super().on_resize()

    def scroll_rows(self, by: int) -> None:
        """Scroll; the cursor stays where it is."""
        self._first = max(0, min(self._first + by, len(self._rows.records) - self.room))
        self._follow = False
        self.redraw()

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
                    self.post_message(self.HeadClicked(NAMED[column.name]))
                    return
        elif (row := self._first + place.y - 1) < len(self._rows.records):
            self.post_message(self.Pointed(self._rows.records[row].path, event.chain == 2))

    def draw(self) -> list[Strip]:
        rows, room = self._rows, self.room
        at = rows.position
        if self._follow:
            self._followed = rows.cursor, at, rows.sorted_by
            self._first = max(min(self._first, at, len(rows.records) - room), at - room + 1, 0)
        columns = self.columns
        self._inside = {each.path for row in rows.records if isinstance(row, Group) for each in row.members}
        runs = [row for row in rows.records if isinstance(row, Record)]
        self._best = {name: best_of(runs, NAMED[name]) for name in COMPARABLE}
        lines = [self._head(columns)]
        lines += [self._row(record, columns) for record in rows.records[self._first : self._first + room]]
        if not rows.records:
            lines.append(self._row_of([(rows.empty.center(self.size.width), "head")]))
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
        return self._row_of(parts)

    def _row(self, record: Row, columns: Sequence[tuple[Column, int]]) -> Strip:
        symbols = glyphs()
        chosen = record.path == self._rows.cursor
        slot = self._marks.slot(record.path)
        mark = series_marker(slot, symbols) if record.path in self._marks else " "
        parts = [(("›" if symbols.braille else ">") if chosen else " ", "cursor"), (f" {mark} ", series_role(slot))]
        is_open = record.path == self._rows.open
        instead = self._reason(record, columns)
        for column, width in columns:
            if column.name in instead:
                parts.append((instead[column.name], "note"))
                continue
            if isinstance(record, Group):
                parts.append((self._cell(*self._of_group(record, column, width)), self._role_of_group(record, column)))
                continue
            text, role = symbols.plain(column.text(record)), column.role
            if column.name == "name":
                role = "open" if is_open else "name"
                inside = "  " if record.path in self._inside else ""
                text = inside + shortened(text, width - 2 * is_open - len(inside))
                text += (" ◂" if symbols.braille else " <") if is_open else ""
            elif column.name == "state":
                role = run_progress.state_role(record.state, record.health) or "note"
                text = f"{symbols.states.get(record.state, ' ')} {text}"
                text = run_progress.outcome(record.health) if role == "warning" else text
            elif column.name == "trend":
                text = sparkline([each.loss for each in record.curve], width, symbols)
            elif column.key is not None and self._best.get(column.name) == column.key(record) is not None:
                role = "best"
            parts.append((self._cell(text, column, width), role))
        return self._row_of(parts, "chosen" if chosen else "")

    @staticmethod
    def _reason(record: Row, columns: Sequence[tuple[Column, int]]) -> dict[str, str]:
        """What stands in the columns of a failed run's figures, where it has none: why it failed. By column."""
        figures = {column.name: column.lead + width + GAP * column.left for column, width in columns
                   if column.name in FIGURES}  # fmt: skip
        if not isinstance(record, Record) or not record.why or record.best is not None or not figures:
            return {}
        room = sum(figures.values()) - GAP
        why = glyphs().plain(record.why.partition(SEPARATOR)[0])
        text = run_progress.brief(why, room, ", ".join(record.health))
        return {**dict.fromkeys(figures, ""), next(iter(figures)): " " * GAP + text.ljust(room)}

    def _of_group(self, group: Group, column: Column, width: int) -> tuple[str, Column, int]:
        if column.name == "trend":
            return sparkline(group.losses, width, glyphs()), column, width
        text = glyphs().plain(group.text(column))
        return shortened(text, width) if column.name == "name" else text, column, width

    @staticmethod
    def _role_of_group(group: Group, column: Column) -> str:
        if column.name == "state":
            return run_progress.state_role(group.state, ()) or "note"
        return column.role

    @staticmethod
    def _cell(text: str, column: Column, width: int) -> str:
        text = shortened(text, width) if column.left else first_that_fits((text, glyphs().plain("…")), width)
        return " " * column.lead + (text.ljust(width) + " " * GAP if column.left else text.rjust(width))

    def _row_of(self, parts: Sequence[tuple[str, str]], background: str = "") -> Strip:
        """A line. Without colours a background is shown as reverse, which would turn a curve of blocks upside down."""
        backgrounds = {"trend": ""} if self.app.no_color else {}
        cells = [Segment(text, self.style(role, backgrounds.get(role, background))) for text, role in parts]
        return Strip(cells).adjust_cell_length(self.size.width, self.style("row", background))
