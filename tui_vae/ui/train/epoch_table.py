"""The table of epochs: the newest in sight, the others reached by keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.runs.events import EpochEvent
from tui_vae.ui import numbers
from tui_vae.ui.glyphs import glyphs


@dataclass(frozen=True)
class Column:
    """`rank`: where there is no room for all columns, those of the highest rank are left out first."""

    title: str
    width: int
    rank: int
    text: Callable[[EpochEvent], str]


COLUMNS = (
    Column("#", 4, 0, lambda e: str(e.epoch)),
    Column("loss", 8, 6, lambda e: numbers.metric(e.test.loss, 0)),
    Column("recon", 7, 1, lambda e: numbers.metric(e.test.recon, 0)),
    Column("KL", 7, 2, lambda e: numbers.metric(e.test.kl, 0)),
    Column("mse", 8, 3, lambda e: numbers.metric(e.test.mse, 0)),
    Column("acc %", 6, 7, lambda e: numbers.percent(e.test.accuracy, 0)),
    Column("bits", 6, 5, lambda e: numbers.metric(e.test.elbo_bpd, 0, 3)),
    Column("active", 7, 8, lambda e: str(e.test.active_units)),
    Column("train loss", 11, 9, lambda e: numbers.metric(e.train.loss, 0)),
    Column("recon", 7, 10, lambda e: numbers.metric(e.train.recon, 0)),
    Column("KL", 7, 11, lambda e: numbers.metric(e.train.kl, 0)),
    Column("img/s", 7, 12, lambda e: numbers.short(e.images_per_s, 0)),
    Column("s", 6, 4, lambda e: numbers.short_seconds(e.seconds, 0)),
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
    """Right-aligned columns of fixed width. The table follows the newest epoch until it is scrolled."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"epochs--head", "epochs--row", "epochs--newest", "epochs--best"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_by(1)", "earlier", id="epochs.up", show=False, tooltip="Earlier epochs"),
        Binding("down", "scroll_by(-1)", "later", id="epochs.down", show=False, tooltip="Later epochs"),
        Binding("pageup", "scroll_by(10)", "earlier", id="epochs.page-up", show=False, tooltip="Ten epochs earlier"),
        Binding("pagedown", "scroll_by(-10)", "later", id="epochs.page-down", show=False, tooltip="Ten epochs later"),
        Binding("home", "scroll_by(10000000)", "first", id="epochs.first", show=False, tooltip="The first epochs"),
        Binding("end", "scroll_by(-10000000)", "newest", id="epochs.newest", show=False, tooltip="The newest epochs"),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._epochs: Sequence[EpochEvent] = ()
        self._shown: tuple[int, EpochEvent | None] = (0, None)
        self._waiting = ""
        self._best = 0
        self._back = 0
        """Epochs between the lowest row and the newest one."""
        self.border_title = "epochs, on the test set"

    def show(self, epochs: Sequence[EpochEvent], best: int, waiting: str = "") -> None:
        """Show these epochs, or the text `waiting`; `best`: the number of the epoch with the lowest test loss."""
        newest = epochs[-1] if epochs else None
        self._epochs = epochs
        if not epochs and waiting != self._waiting:
            self._waiting = waiting
            self.refresh()
        if (len(epochs), newest) != self._shown:
            grown = len(epochs) - self._shown[0]
            self._back = max(0, self._back + grown) if self._back else 0
            self._shown, self._best = (len(epochs), newest), best
            self.refresh()

    def action_scroll_by(self, rows: int) -> None:
        self._back = max(0, min(self._back + rows, len(self._epochs) - (self.size.height - 1)))
        self.refresh()

    def on_mouse_scroll_up(self) -> None:
        self.action_scroll_by(3)

    def on_mouse_scroll_down(self) -> None:
        self.action_scroll_by(-3)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        columns = columns_for(width, len(str(self._epochs[-1].epoch)) if self._epochs else 0)
        room = self.size.height - 1
        first = max(0, len(self._epochs) - self._back - room)
        if y == 0:
            return self._strip("".join(column.title.rjust(column.width) for column in columns), "head")
        if first + y - 1 >= len(self._epochs) or y > room:
            if not self._epochs and y == self.size.height // 2:
                return self._strip(self._waiting.center(width), "head")
            return Strip.blank(width, self.rich_style)
        at = first + y - 1
        event = self._epochs[at]
        text = "".join(column.text(event).rjust(column.width) for column in columns)
        role = "best" if event.epoch == self._best else "newest" if at == len(self._epochs) - 1 else "row"
        if role == "best" and columns:  # while the table is being hidden, none fits
            text = text[: columns[0].width] + "*" + text[columns[0].width + 1 :]
        return self._strip(text, role)

    def _strip(self, text: str, role: str) -> Strip:
        style = self.get_component_rich_style(f"epochs--{role}")
        return Strip([Segment(glyphs().plain(text), style)]).adjust_cell_length(self.size.width, self.rich_style)
