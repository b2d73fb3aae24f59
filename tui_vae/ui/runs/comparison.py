"""The options in which runs differ, as a table with a row for each option and a column for each run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from tui_vae.config import RunConfig
from tui_vae.runs.comparison import Difference, differences, whole
from tui_vae.runs.run_records import Record
from tui_vae.runs.steering import wordings
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.runs.groups import Group, Row
from tui_vae.ui.runs.marks import SERIES_COLOURS, series_marker, series_role

LEAST_VALUE, USUAL_VALUE, LARGEST_VALUE = 8, 18, 20
"""Cells of a column of values: at least, as it is wished, and at most."""


STEERED = "steered"
"""The row of what a person changed while the runs trained; it is no option."""


@dataclass(frozen=True)
class Head:
    """The head of a column: a run's name and its slot, which gives marker and colour; a preset has no slot."""

    name: str
    slot: int | None = None


class Comparison(Widget):
    """Where more options differ than fit, the mouse wheel and two keys of the pane scroll through them."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"runs--{name}" for name in ("label", "value", "other", "note")),
        *(f"runs--series-{number}" for number in range(SERIES_COLOURS)),
    }

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._heads: tuple[Head, ...] = ()
        self._differences: list[Difference] = []
        self._message = ""
        self._first = 0

    def show(self, records: Sequence[Row], slots: Sequence[int]) -> None:
        """Compare these runs; the whole config of a single one is shown beside its preset."""
        heads = tuple(Head(record.name, slot) for record, slot in zip(records, slots, strict=True))
        known = next((record.config for record in records if record.config is not None), None)
        varied = any(isinstance(record, Group) and record.varied for record in records)
        if len(records) == 1 and known is not None and not varied:
            heads = (*heads, Head(f"preset {known.preset}"))
            found = whole(known)
        else:
            found = _differences(records)
        steered = [record.steered if isinstance(record, Record) else () for record in records]
        if any(steered):
            found.insert(0, Difference(STEERED, tuple(", ".join(map(str, changes)) for changes in steered)))
        if known is None:
            message = "config.toml cannot be read" if records and records[0].state else ""
        else:
            message = "" if found else "they were asked for the same"
        if (heads, found, message) != (self._heads, self._differences, self._message):
            self._heads, self._differences, self._message = heads, found, message
            self._first = 0
            self.border_title = "config" if len(records) < 2 and not varied else "config, where they differ"
            self._update_subtitle()
            self.refresh()

    @property
    def wanted_width(self) -> int:
        """Cells that everything needs, the frame included."""
        return self._names + USUAL_VALUE * max(2, len(self._heads)) + 4

    @property
    def _names(self) -> int:
        return max((len(each.name) for each in self._differences), default=0) + 2

    @property
    def _room(self) -> int:
        return max(1, self.size.height - 1)

    def scroll_rows(self, by: int) -> None:
        """Scroll by so many rows, as far as there are any."""
        self._first = max(0, min(self._first + by, len(self._differences) - self._room))
        self._update_subtitle()
        self.refresh()

    def on_mouse_scroll_up(self) -> None:
        self.scroll_rows(-1)

    def on_mouse_scroll_down(self) -> None:
        self.scroll_rows(1)

    def render(self) -> Text:
        label, value, other = self._text_style("label"), self._text_style("value"), self._text_style("other")
        if self._message or not self._heads:
            return Text(self._message, self._text_style("note"), no_wrap=True)
        symbols, width = glyphs(), self.size.width
        names, alone = self._names, self._heads[-1].slot is None
        fits = max(1, min(len(self._heads), (width - names) // LEAST_VALUE))
        each_width = min(LARGEST_VALUE, (width - names) // fits)
        more = len(self._heads) - fits
        text = Text(no_wrap=True, overflow="crop")
        text.append((f"+{more} more" if more else "").ljust(names), label)
        for head in self._heads[:fits]:
            marker = "" if head.slot is None else f"{series_marker(head.slot, symbols)} "
            style = label if head.slot is None else self._text_style(series_role(head.slot))
            text.append(_cut(marker + head.name, each_width), style)
        for difference in self._differences[self._first : self._first + self._room]:
            text.append("\n" + symbols.plain(difference.name).ljust(names), label)
            first = difference.values[0]
            wide = width - names if alone and difference.name == STEERED else each_width
            for number, shown in enumerate(difference.values[:fits]):
                dim = difference.same or (number and (alone or shown == first))
                bright = other if number or alone else value
                if shown and difference.name == STEERED:
                    shown = first_that_fits(map(symbols.plain, wordings(shown.split(", "))), wide - 1)
                text.append(_cut(shown or symbols.dash, wide), label if dim else bright)
        return text

    def _update_subtitle(self) -> None:
        """Say how many rows are below. Not while rendering: the frame is painted before that."""
        below = 0 if self._message else len(self._differences) - self._first - self._room
        self.border_subtitle = f"{below} more" if below > 0 else ""

    def on_resize(self) -> None:
        self._update_subtitle()

    def _text_style(self, name: str) -> Style:
        return self.get_component_rich_style(f"runs--{name}", partial=True)


def _differences(rows: Sequence[Row]) -> list[Difference]:
    """The options in which runs differ, or those of a group among each other: then with all that they have."""
    configs: list[Sequence[RunConfig | None]] = [
        row.configs or [None] if isinstance(row, Group) else [row.config] for row in rows
    ]
    found = []
    for each in differences([config for several in configs for config in several]):
        values = iter(each.values)
        of_rows = [{value for value in [next(values) for _ in several] if value} for several in configs]
        found.append(Difference(each.name, tuple(", ".join(sorted(texts, key=_size)) or None for texts in of_rows)))
    return [each for each in found if len(rows) == 1 or not each.same]


def _size(text: str) -> tuple[float, str]:
    """What values of an option are sorted by: numbers as such."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def _cut(text: str, width: int) -> str:
    """The text in a column of this width, with a free cell at its end."""
    return shortened(text, width - 1).ljust(width)
