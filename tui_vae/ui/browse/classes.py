"""The table of classes, the worst reconstructed first: a bar and numbers for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.events import Click
from textual.geometry import Size
from textual.message import Message

from tui_vae.runs.epoch_details import EpochDetail
from tui_vae.ui.charts.sparkline import sparkline
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.test_set import ClassError

EIGHTHS = " ▏▎▍▌▋▊▉█"
"""A cell filled from the left by 0 to 8 eighths."""

HEAD = 2
"""Lines above the first class."""

BESIDE_BAR = 32
"""Columns right of the bars: three figures of 9 columns, the mark of the selected line, and a margin."""

LONGEST_NAME = 24
"""Characters of a class's name, at most."""

LEAST_NAME, LEAST_BAR = 12, 4
"""Columns that names and bars have at least, where there are bars."""

LEAST_TREND, LONGEST_TREND = 6, 24
"""Columns of a class's curve over the epochs, at least and at most."""

TREND_HEADS = ("by epoch", "epochs")

OF_TRENDS = 2 + 8 + 2
"""Columns beside two such curves: the gaps before them, and the newest KL."""

LONGEST_BAR = 60
"""Columns of the bar of the worst class, at most."""


def bar(share: float, width: int, unicode: bool = True) -> str:
    """A bar that fills a share of the width, to an eighth of a cell, and spaces after it."""
    if not unicode:
        return ("=" * round(share * width)).ljust(width)
    whole, part = divmod(round(min(1.0, max(0.0, share)) * width * 8), 8)
    return (EIGHTHS[8] * whole + EIGHTHS[part] * (part > 0)).ljust(width)


class ClassTable(Canvas):
    """A line for each class, one of which is selected."""

    @dataclass
    class Opened(Message):
        """The user wants to see the images of a class."""

        label: int

    def __init__(self) -> None:
        super().__init__()
        self.rows: Sequence[ClassError] = ()
        self.details: Sequence[EpochDetail] = ()
        """The epochs whose figures of each class are known."""
        self.selected = 0
        self._first = 0
        """The line that stands first: of many classes not all have room."""

    @property
    def chosen(self) -> int | None:
        """The class of the selected line."""
        return self.rows[self.selected].label if self.rows else None

    def show(self, rows: Sequence[ClassError]) -> None:
        """Show newer figures. The selected class stays selected, wherever it stands now."""
        before, self.rows = self.chosen, rows
        self.selected = next((at for at, row in enumerate(rows) if row.label == before), 0)
        self.redraw()

    def show_epochs(self, details: Sequence[EpochDetail]) -> None:
        """Show also how error and KL of each class went over these epochs, as far as the log has them."""
        self.details = [each for each in details if len(each.class_mse)]
        self.redraw()

    def step(self, by: int) -> None:
        """Select the line that is so many further down, or the last one there is."""
        self.selected = max(0, min(self.selected + by, len(self.rows) - 1))
        self.redraw()

    def open(self) -> None:
        """Do what a click on the selected line does."""
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def tiles(self, size: Size) -> Iterator[Tile]:
        if not self.rows:
            return
        heads, wide = self._figures(size.width)
        beside = 9 * len(heads) + 2 + (3 if wide else 0)
        name = min(max(len(row.name) for row in self.rows), LONGEST_NAME, size.width - beside - 2) + 2
        highest = max(row.mean for row in self.rows) or 1.0
        trend = self._trend_width(size.width - name - beside) if wide else 0
        of_trends = (2 * trend + OF_TRENDS) * (trend > 0)
        room = max(0, min(LONGEST_BAR, size.width - name - beside - of_trends)) if wide else 0
        unicode = glyphs().braille
        bar_head = first_that_fits(("mean squared error", "error"), room)
        figures = "".join(f"{head:>9}" for head in heads)
        if trend:
            figures += f"  {first_that_fits(TREND_HEADS, trend):<{trend}}{'KL':>8}  "
            figures += f"{first_that_fits(TREND_HEADS, trend):<{trend}}"
        yield self.text(0, 0, size.width, (f"{'class':<{name}}{bar_head:<{room}}{figures}", "label"))
        lines = max(1, size.height - HEAD)
        self._first = min(max(self._first, self.selected - lines + 1), self.selected, max(0, len(self.rows) - lines))
        for number, row in enumerate(self.rows[self._first : self._first + lines]):
            selected = number + self._first == self.selected
            yield self.text(
                *(0, number + HEAD, size.width),
                (f"{shortened(row.name, name - 2):<{name}}", "accent" if selected else "text"),
                (bar(row.mean / highest, room, unicode), "accent" if selected else "blue"),
                (f"{row.mean:>9.4f}", "text"),
                ("".join((f"{row.worst:>9.4f}", f"{row.images:>9,}")[: len(heads) - 1]), "note"),
                *(self._trends(row.label, trend) if trend else ()),
                (" ◂" if selected else "", "accent"),
            )

    @staticmethod
    def _figures(width: int) -> tuple[tuple[str, ...], bool]:
        """The heads of the figures that fit whole, and whether there is room for bars beside them."""
        heads = ("mean", "worst", "images")
        if width >= LEAST_NAME + LEAST_BAR + BESIDE_BAR:
            return heads, True
        return heads[: max(1, min(3, (width - LEAST_NAME - 2) // 9))], False

    def _trend_width(self, room: int) -> int:
        """Columns of a class's curve over the epochs, beside a bar of `LEAST_BAR`; 0 where there is no room for it."""
        width = min(LONGEST_TREND, max(LEAST_TREND, len(self.details)), (room - OF_TRENDS - LEAST_BAR) // 2)
        return width if self.details and width >= LEAST_TREND else 0

    def _trends(self, label: int, width: int) -> Iterator[tuple[str, str]]:
        """How error and KL of a class went, and its newest KL."""
        known = [each for each in self.details if label < min(len(each.class_mse), len(each.class_kl))]
        newest = known[-1].class_kl[label] if known else math.nan
        for values, words in (
            ([each.class_mse[label] for each in known], ""),
            ([each.class_kl[label] for each in known], f"{newest:>8.2f}" if math.isfinite(newest) else " " * 8),
        ):
            finite = [value if math.isfinite(value) else None for value in values]
            yield words, "text"
            yield f"  {sparkline(finite, width, glyphs()):<{width}}", "blue"

    def on_click(self, event: Click) -> None:
        number = event.y - HEAD + self._first
        if self._first <= number < len(self.rows):
            self.post_message(self.Opened(self.rows[number].label))
