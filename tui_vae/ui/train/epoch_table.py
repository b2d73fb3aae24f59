"""The table of epochs: the newest in sight, the others reached by keys."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.runs.events import EpochEvent
from tui_vae.ui import numbers
from tui_vae.ui.glyphs import glyphs


@dataclass(frozen=True)
class Column:
    """`rank`: where there is no room for all columns, those of the highest rank are left out first.

    `key`: what the table is sorted by; `down`: the greatest first.
    """

    title: str
    width: int
    rank: int
    text: Callable[[EpochEvent], str]
    key: Callable[[EpochEvent], float | None]
    down: bool = False


def _active(event: EpochEvent) -> str:
    """Nothing is known of weights that are no numbers."""
    return str(event.test.active_units) if event.test.kl is not None and isfinite(event.test.kl) else numbers.UNKNOWN


COLUMNS = (
    Column("#", 4, 0, lambda e: str(e.epoch), lambda e: e.epoch),
    Column("loss", 8, 6, lambda e: numbers.metric(e.test.loss, 0), lambda e: e.test.loss),
    Column("recon", 7, 1, lambda e: numbers.metric(e.test.recon, 0), lambda e: e.test.recon),
    Column("KL", 7, 2, lambda e: numbers.metric(e.test.kl, 0), lambda e: e.test.kl),
    Column("mse", 8, 3, lambda e: numbers.metric(e.test.mse, 0), lambda e: e.test.mse),
    Column("acc %", 6, 7, lambda e: numbers.percent(e.test.accuracy, 0), lambda e: e.test.accuracy, down=True),
    Column("bits", 6, 5, lambda e: numbers.metric(e.test.elbo_bpd, 0, 3), lambda e: e.test.elbo_bpd),
    Column("active", 7, 8, _active, lambda e: e.test.active_units, down=True),
    Column("train loss", 11, 9, lambda e: numbers.metric(e.train.loss, 0), lambda e: e.train.loss),
    Column("recon", 7, 10, lambda e: numbers.metric(e.train.recon, 0), lambda e: e.train.recon),
    Column("KL", 7, 11, lambda e: numbers.metric(e.train.kl, 0), lambda e: e.train.kl),
    Column("img/s", 7, 12, lambda e: numbers.short(e.images_per_s, 0), lambda e: e.images_per_s, down=True),
    Column("s", 6, 4, lambda e: numbers.short_seconds(e.seconds, 0), lambda e: e.seconds),
)


@lru_cache(maxsize=8)
def columns_for(width: int, digits: int) -> list[Column]:
    """The most important columns that fit side by side, in their order. `digits`: of the highest number of an epoch."""
    number, *figures = COLUMNS
    columns = [replace(number, width=max(number.width, digits)), *figures]
    kept: list[Column] = []
    for column in sorted(columns, key=lambda column: column.rank):
        if sum(each.width for each in kept) + column.width > width:
            break
        kept.append(column)
    return [column for column in columns if column in kept]


class EpochTable(Widget, can_focus=True):
    """Right-aligned columns of fixed width. The table follows the newest epoch until it is scrolled or sorted.

    The selected epoch is also where the charts are read.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("epochs--head", "epochs--sorted", "epochs--row", "epochs--newest", "epochs--best", "epochs--chosen")
    }
    SORT = Binding.Group("sort")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", id="epochs.up", show=False, tooltip="The epoch above, also in the charts"),
        Binding("down,j", "move(1)", "down", id="epochs.down", show=False, tooltip="The epoch below"),
        Binding("pageup", "move(-10)", "page up", id="epochs.page-up", show=False, tooltip="Ten epochs up"),
        Binding("pagedown", "move(10)", "page down", id="epochs.page-down", show=False, tooltip="Ten epochs down"),
        Binding("home,g", "move(-10000000)", "first", id="epochs.first", show=False, tooltip="The first epoch"),
        Binding("end,G", "move(10000000)", "last", id="epochs.last", show=False, tooltip="The last epoch"),
        Binding("<", "sort_by(-1)", "sort", id="epochs.sort-left", group=SORT, tooltip="Sort by the column before"),
        Binding(">", "sort_by(1)", "sort", id="epochs.sort-right", group=SORT, tooltip="Sort by the next column"),
        Binding("!", "reverse", "reverse", id="epochs.reverse", show=False, tooltip="Reverse the order"),
    ]  # fmt: skip

    @dataclass
    class Pointed(Message):
        """An epoch is selected; it ends with this step."""

        step: float

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._epochs: Sequence[EpochEvent] = ()
        self._shown: tuple[int, EpochEvent | None] = (0, None)
        self._waiting = ""
        self._best = 0
        self._back = 0
        """Rows between the lowest one on screen and the last."""
        self._chosen: int | None = None
        """The index of the selected epoch."""
        self._sorted_by = COLUMNS[0]
        self._reversed = False
        self._order: Sequence[int] = range(0)
        """The indices of the epochs in the order of the rows."""
        self.border_title = "epochs, on the test set"

    def show(self, epochs: Sequence[EpochEvent], best: int, waiting: str = "") -> None:
        """Show these epochs, or the text `waiting`; `best`: the number of the epoch with the best test figure."""
        newest = epochs[-1] if epochs else None
        self._epochs = epochs
        if not epochs and waiting != self._waiting:
            self._waiting = waiting
            self.refresh()
        if (len(epochs), newest) != self._shown:
            grown = len(epochs) - self._shown[0]
            self._back = max(0, self._back + grown) if self._back else 0
            self._shown, self._best = (len(epochs), newest), best
            self._sort()

    def point(self, step: float | None) -> None:
        """Select the epoch in which a step is; None: no epoch."""
        count = len(self._order)  # the list of epochs may have grown since it was sorted
        at = bisect_left(range(count), step, key=lambda index: self._epochs[index].step) if step is not None else None
        chosen = None if at is None or not count else min(at, count - 1)
        if chosen != self._chosen:
            self._chosen = chosen
            if chosen is not None:
                self._follow(self._order.index(chosen))
            self.refresh()

    def _sort(self) -> None:
        count, key = len(self._epochs), self._sorted_by.key
        down = self._sorted_by.down != self._reversed
        if self._sorted_by.title == "#":
            self._order = range(count - 1, -1, -1) if down else range(count)
        else:
            values = [key(epoch) for epoch in self._epochs]
            known = [index for index in range(count) if values[index] is not None]
            known.sort(key=lambda index: values[index] or 0.0, reverse=down)
            self._order = [*known, *(index for index in range(count) if values[index] is None)]
        self.refresh()

    def action_sort_by(self, by: int) -> None:
        columns = self._columns()
        at = next((at for at, column in enumerate(columns) if column.text is self._sorted_by.text), 0)
        self._sorted_by, self._reversed = columns[(at + by) % len(columns)], False
        self._show_order()

    def action_reverse(self) -> None:
        self._reversed = not self._reversed
        self._show_order()

    def _show_order(self) -> None:
        """Sort anew, and show the first rows; in the usual order the newest epoch."""
        self._sort()
        usual = self._sorted_by.title == "#" and not self._reversed
        self._back = 0 if usual else max(0, len(self._epochs) - self._room)

    def action_move(self, rows: int) -> None:
        if not self._order:
            return
        last = len(self._order) - 1
        is_there = self._chosen is not None and self._chosen in self._order  # not where the run went back
        at = self._order.index(self._chosen) if is_there else last - self._back + (rows < 0)
        at = max(0, min(at + rows, last))
        self._chosen = self._order[at]
        self._follow(at)
        self.post_message(self.Pointed(float(self._epochs[self._chosen].step)))
        self.refresh()

    def _follow(self, at: int) -> None:
        """Scroll so that a row is in sight."""
        below = len(self._epochs) - 1 - at
        self._back = max(0, min(max(self._back, below - self._room + 1), below))

    @property
    def _room(self) -> int:
        return max(1, self.size.height - 1)

    def _scroll(self, rows: int) -> None:
        self._back = max(0, min(self._back + rows, len(self._epochs) - self._room))
        self.refresh()

    def on_mouse_scroll_up(self) -> None:
        self._scroll(3)

    def on_mouse_scroll_down(self) -> None:
        self._scroll(-3)

    def _columns(self) -> list[Column]:
        return columns_for(self.size.width, len(str(self._epochs[-1].epoch)) if self._epochs else 0)

    def render_line(self, y: int) -> Strip:
        width, columns, room = self.size.width, self._columns(), self.size.height - 1
        if y == 0:
            return self._head(columns)
        first = max(0, len(self._epochs) - self._back - room)
        if first + y - 1 >= len(self._order) or y > room:
            if not self._epochs and y == self.size.height // 2:
                return self._strip([(self._waiting.center(width), "head")])
            return Strip.blank(width, self.rich_style)
        at = self._order[first + y - 1]
        event = self._epochs[at]
        text = "".join(column.text(event).rjust(column.width) for column in columns)
        role = "best" if event.epoch == self._best else "newest" if at == len(self._epochs) - 1 else "row"
        if role == "best" and columns:  # while the table is being hidden, none fits
            text = text[: columns[0].width] + "*" + text[columns[0].width + 1 :]
        return self._strip([(text.ljust(width), role)], "chosen" if at == self._chosen else "")

    def _head(self, columns: Sequence[Column]) -> Strip:
        parts = []
        for column in columns:
            is_sorted = column.text is self._sorted_by.text
            arrow = ("↓" if column.down != self._reversed else "↑") if is_sorted else ""
            usual = column.title == "#" and not self._reversed
            title = column.title if usual else arrow + column.title
            parts.append((title.rjust(column.width), "sorted" if is_sorted and not usual else "head"))
        return self._strip(parts)

    def _strip(self, parts: Sequence[tuple[str, str]], background: str = "") -> Strip:
        under = self.get_component_rich_style(f"epochs--{background}") if background else Style()
        styles = [self.get_component_rich_style(f"epochs--{role}") + under for _, role in parts]
        segments = [Segment(glyphs().plain(text), style) for (text, _), style in zip(parts, styles, strict=True)]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
