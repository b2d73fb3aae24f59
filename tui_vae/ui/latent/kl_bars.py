"""The KL of each latent dimension as a bar, inactive dimensions marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.style import Style
from textual.events import Click
from textual.geometry import Size
from textual.message import Message

from tui_vae.runs.health import INFORMATIVE_KL
from tui_vae.ui.charts.scales import ROUNDING, nice_step, ticks
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Tile
from tui_vae.ui.latent.canvas import LatentCanvas, lines_of
from tui_vae.ui.latent.plane import INACTIVE, Plane
from tui_vae.ui.numbers import metric
from tui_vae.ui.terminal import legible

GUTTER = 6
"""Columns for the labels of the axis."""

WIDEST = 8
"""Columns from one bar to the next, at most."""

EIGHTHS = " ▁▂▃▄▅▆▇█"
"""A cell filled from below by 0 to 8 eighths."""

PLAIN = "  ....::#"
"""The same without Unicode."""


def bar(share: float, height: int, eighths: str = EIGHTHS) -> str:
    """A bar of a share of the height, from its top down, cell by cell. Any share above 0 shows at least an eighth."""
    filled = round(min(1.0, max(0.0, share)) * height * 8) if math.isfinite(share) else 0
    if share > 0 and not filled:
        filled = 1
    return "".join(eighths[min(8, max(0, filled - 8 * row))] for row in range(height - 1, -1, -1))


def top_of(values: Sequence[float]) -> float:
    """A round number that no value exceeds. It seldom changes while the values grow slowly."""
    highest = max((value for value in values if math.isfinite(value)), default=0.0)
    if highest <= 0:
        return 1.0
    part = nice_step(highest, 4) / 2
    return math.ceil(highest / part * (1 - ROUNDING)) * part


@dataclass(frozen=True)
class Row:
    """How bars stand side by side."""

    step: int
    """Columns from one bar to the next."""
    first: int
    """The place of the first bar on the screen."""
    count: int
    """Bars on the screen."""

    @property
    def thick(self) -> int:
        """Columns of a bar."""
        return self.step - 1 if self.step > 2 else 1


def row_of(width: int, count: int, selected: int) -> Row:
    """A row of all bars where they fit, else of those around the selected one."""
    step = min(WIDEST, max(1, width // max(1, count)))
    shown = min(count, width // step) if width > 0 else 0
    first = min(max(0, selected - shown // 2), count - shown)
    return Row(step, first, shown)


class KlBars(LatentCanvas):
    """A bar for each dimension; one of them is selected."""

    @dataclass
    class Pointed(Message):
        """A click on a bar."""

        place: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.plane: Plane | None = None
        self.order: list[int] = []
        """The dimensions from left to right."""
        self.place = 0
        """Of the selected dimension in the order."""

    def show(self, plane: Plane, order: list[int], place: int) -> None:
        """Show a bar for each dimension in this order. `place`: that of the selected one in it."""
        self.plane, self.order, self.place = plane, order, place
        self._update_frame()
        self.redraw()

    def on_resize(self) -> None:
        self._update_frame()
        super().on_resize()

    def _update_frame(self) -> None:
        """Say how many dimensions are in use, by both counts, in as many words as fit."""
        if (plane := self.plane) is None:
            return
        units, count, total = plane.active_units, plane.latent_dim, f"{sum(plane.kl):.1f} nats"
        above = f"{plane.informative_units} with KL > {INFORMATIVE_KL} nats"
        titles = f"KL of each dimension · {total} in all", f"KL · {total}"
        counts = (
            f"{units} of {count} active: variance of the mean > {INACTIVE} · {above}",
            f"{units} of {count} active · {above}",
            f"{units}/{count} active · {above.replace('with KL ', '')}",
        )
        room = self.size.width - 4
        self.border_title, self.border_subtitle = (legible(first_that_fits(each, room)) for each in (titles, counts))

    def _row(self, size: Size) -> Row:
        return row_of(size.width - GUTTER, len(self.order), self.place)

    def on_click(self, event: Click) -> None:
        at, row = event.get_content_offset(self), self._row(self.size)
        if at is not None and GUTTER <= at.x < GUTTER + row.step * row.count:
            self.post_message(self.Pointed(row.first + (at.x - GUTTER) // row.step))

    def tiles(self, size: Size) -> Iterator[Tile]:
        plane = self.plane
        height = size.height - 3
        if plane is None or height < 2 or size.width < GUTTER + 4:
            return
        yield self._selected(plane, size.width)
        row = self._row(size)
        dimensions = self.order[row.first : row.first + row.count]
        high = top_of(plane.kl)
        eighths = EIGHTHS if glyphs().braille else PLAIN
        bars = [bar(plane.kl[each] / high, height, eighths) for each in dimensions]
        labels = {
            height - 1 - min(height - 1, int(tick.value / high * height)):
            first_that_fits((tick.label, metric(tick.value, 0, 2)), GUTTER - 1)
            for tick in ticks(0.0, high, 4 if height < 14 else 6)
        }  # fmt: skip
        rows = []
        for y in range(height):
            line = [(labels.get(y, "").rjust(GUTTER - 1) + " ", self.ink("label"))]
            for number, each in enumerate(dimensions):
                character = bars[number][y]
                gap = " " * (row.step - row.thick)
                line.append((character * row.thick, self._bar_ink(plane, each, row.first + number)))
                line.append((gap, self.ink("label")))
            rows.append(line)
        rows += [self._crosses(plane, dimensions, row), self._numbers(dimensions, row)]
        width = GUTTER + row.step * row.count
        yield Tile(0, 1, width, lines_of(rows))

    def _bar_ink(self, plane: Plane, dimension: int, place: int) -> Style:
        if place == self.place:
            return self.ink("accent")
        return self.mark_ink(
            "idle" if not plane.active(dimension) else "bar" if plane.informative(dimension) else "faint"
        )

    def _crosses(self, plane: Plane, dimensions: list[int], row: Row) -> list[tuple[str, Style]]:
        """The line below the bars: a cross for each inactive dimension, a dot for each that is active by its mean's
        variance alone."""
        cross, dot = ("✕", "·") if glyphs().braille else ("x", ".")
        line = [(" " * GUTTER, self.ink("label"))]
        for each in dimensions:
            mark = cross if not plane.active(each) else " " if plane.informative(each) else dot
            line.append((mark.center(row.thick).ljust(row.step), self.mark_ink("inactive")))
        return line

    def _numbers(self, dimensions: list[int], row: Row) -> list[tuple[str, Style]]:
        """The line of the dimensions' numbers, as many as have room."""
        line = [(" z".rjust(GUTTER - 1) + " ", self.ink("label"))]
        room = max(len(str(each)) for each in dimensions) + 1
        every = max(1, -(-room // row.step))
        for number, each in enumerate(dimensions):
            chosen = row.first + number == self.place
            near = abs(self.place - row.first - number) < every
            if chosen or (number % every == 0 and not (near and every > 1)):
                text = str(each).center(row.thick) if row.step >= room else str(each)
                line.append((text, self.ink("accent" if chosen else "label")))
            else:
                line.append(("", self.ink("label")))
        return _spaced(line, row.step)

    def _selected(self, plane: Plane, width: int) -> Tile:
        """The line above the bars: the figures of the selected dimension."""
        each = self.order[self.place]
        state = ("active", "text") if plane.active(each) else ("inactive", "accent")
        if plane.active(each) and not plane.informative(each):
            state = f"active, but KL ≤ {INFORMATIVE_KL} nats", "label"
        kl = (f"z {each}", "accent"), ("   KL ", "label"), (f"{plane.kl[each]:.3f}", "text"), (" nats", "label")
        deviation = ("   deviation of the mean ", "label"), (f"{plane.deviations[each]:.3f}", "text")
        wordings = (*kl, *deviation, ("   ", "label"), state), (*kl, ("   ", "label"), state), kl
        room = width - GUTTER
        fits = next((parts for parts in wordings if sum(len(text) for text, _ in parts) <= room), kl[:1])
        return self.text(GUTTER, 0, room, *fits)


def _spaced(line: list[tuple[str, Style]], step: int) -> list[tuple[str, Style]]:
    """A head and texts that start every `step` cells; a longer one takes the room of the empty ones after it."""
    head, *texts = line
    found, at = [head], 0
    for number, (text, style) in enumerate(texts):
        start = min(number * step, len(texts) * step - len(text))
        if text and start >= at:
            found.append((" " * (start - at), style))
            found.append((text, style))
            at = start + len(text)
    found.append((" " * max(0, len(texts) * step - at), head[1]))
    return found
