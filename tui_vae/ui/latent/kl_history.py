"""The KL of each dimension over the epochs as a heat map: which ones are used, and when they began or ceased to be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.style import Style
from textual.geometry import Size

from tui_vae.runs.epoch_details import EpochDetail
from tui_vae.ui.charts.scales import ticks
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Tile
from tui_vae.ui.latent.canvas import HEAT_STEPS, LatentCanvas, lines_of
from tui_vae.ui.terminal import legible

GUTTER = 6
"""Columns for the dimensions' numbers."""

TICK_SPACING = 12
"""Columns from one epoch's number to the next, at least."""

PLAIN_HEAT = " .:-=+*#"
"""The steps as characters, where there are few colours or none."""

assert len(PLAIN_HEAT) == HEAT_STEPS


def heat(value: float, highest: float) -> int:
    """The step of a value from 0 to the highest, as a square root: small values matter here. 0 is nothing at all."""
    if not math.isfinite(value) or value <= 0 or highest <= 0:
        return 0
    return min(HEAT_STEPS - 1, int(math.sqrt(value / highest) * HEAT_STEPS))


def columns_of(details: Sequence[EpochDetail], width: int) -> list[EpochDetail]:
    """One epoch for each of so many columns, at equal distances in epochs; fewer epochs are widened."""
    if not details:
        return []
    first, last = details[0].epoch, details[-1].epoch
    found, at = [], 0
    for x in range(width):
        epoch = first + (last - first + 1) * x / width
        while at + 1 < len(details) and details[at + 1].epoch <= epoch:
            at += 1
        found.append(details[at])
    return found


class KlHistory(LatentCanvas):
    """A row for each dimension, epochs from left to right; the brighter, the higher its KL on the test set."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.details: tuple[EpochDetail, ...] = ()
        self.order: list[int] = []
        """The dimensions from above."""
        self.place = 0
        """Of the selected dimension in the order."""

    def show(self, details: tuple[EpochDetail, ...], order: list[int], place: int) -> None:
        """Show these epochs. `place`: that of the selected dimension in the order."""
        self.details, self.order, self.place = details, order, place
        self._update_frame()
        self.redraw()

    def on_resize(self) -> None:
        self._update_frame()
        super().on_resize()

    def _update_frame(self) -> None:
        titles = "KL of each dimension, epoch by epoch", "KL by epoch"
        ramps = f"the brighter, the higher: 0 … {self.highest:.1f} nats", f"0 … {self.highest:.1f} nats"
        room = self.size.width - 4
        self.border_title, self.border_subtitle = (legible(first_that_fits(each, room)) for each in (titles, ramps))

    @property
    def highest(self) -> float:
        """The highest KL of any dimension in any epoch."""
        values = (value for each in self.details for value in each.kl_per_dim if math.isfinite(value))
        return max(values, default=0.0)

    def tiles(self, size: Size) -> Iterator[Tile]:
        width, height = size.width - GUTTER, size.height - 2
        if width < 1 or height < 1:
            return
        details = [each for each in self.details if len(each.kl_per_dim) == len(self.order)]
        if not details:
            return
        first = min(max(0, self.place - height // 2), max(0, len(self.order) - height))
        shown = self.order[first : first + height]
        yield self._selected(details, size.width)
        highest, columns = self.highest, columns_of(details, width)
        rows = [self._row(dimension, first + y, columns, highest) for y, dimension in enumerate(shown)]
        yield Tile(0, 1, size.width, lines_of(rows))
        yield self._epochs(details, len(shown) + 1, size.width)

    def _row(
        self, dimension: int, place: int, columns: Sequence[EpochDetail], highest: float
    ) -> list[tuple[str, Style]]:
        ink = self.ink("accent" if place == self.place else "label")
        plain = not glyphs().braille or self.app.no_color
        row = [(f"{'z ' + str(dimension):>{GUTTER - 1}} ", ink)]
        for each in columns:
            step = heat(each.kl_per_dim[dimension], highest)
            character = PLAIN_HEAT[step] if plain or self.app.has_class("-sixteen") else "█"
            row.append((character, self.heat_ink(step)))
        return row

    def _selected(self, details: Sequence[EpochDetail], width: int) -> Tile:
        dimension = self.order[self.place]
        values = [each.kl_per_dim[dimension] for each in details]
        most = max(range(len(values)), key=lambda at: values[at] if math.isfinite(values[at]) else -1.0)
        newest = f"   KL {values[-1]:.3f} nats in epoch {details[-1].epoch:,}"
        longer = f"{newest}   most {values[most]:.3f} in epoch {details[most].epoch:,}"
        name, room = f"z {dimension}", width - GUTTER
        words = first_that_fits((longer, newest, f"   KL {values[-1]:.3f}"), room - len(name))
        return self.text(GUTTER, 0, room, (name, "accent"), (words, "text"))

    def _epochs(self, details: Sequence[EpochDetail], y: int, width: int) -> Tile:
        """The line of the epochs' numbers."""
        first, last, room = details[0].epoch, details[-1].epoch, width - GUTTER
        line = list("epoch".rjust(GUTTER - 1).ljust(width))
        free = GUTTER
        for tick in ticks(first, max(first + 1, last), max(2, room // TICK_SPACING), whole=True):
            at = GUTTER + int((tick.value - first) / (last - first + 1) * room)
            if free <= at and at + len(tick.label) <= width:
                line[at : at + len(tick.label)] = tick.label
                free = at + len(tick.label) + 1
        return self.text(0, y, width, ("".join(line), "label"))
