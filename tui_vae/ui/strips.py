"""Comparing lines, so that only the cells that differ travel to the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Drawing(Widget):
    """A widget that is drawn as a whole, and of which only the cells that changed are sent."""

    ALLOW_SELECT = False
    ROLES: ClassVar[str] = ""
    """What the names of its component classes begin with; the role `ground` is the widget's own style."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._styles: dict[str, Style] = {}

    def drawn(self) -> list[Strip] | None:
        """All lines anew; None where there is nothing to draw, or no room for it."""
        return None

    def redraw(self) -> None:
        """Draw anew, and have repainted what differs from what is on screen."""
        after = self.drawn()
        if after is None:
            return
        before, self._strips = self._strips, after
        if len(before) != len(after):
            self.refresh()
        elif regions := changed(before, after):
            self.refresh(*regions)

    def restyle(self) -> None:
        """Draw anew in styles that have changed."""
        self._styles.clear()
        self.redraw()

    def render_line(self, y: int) -> Strip:
        if len(self._strips) != self.size.height:  # laid out anew, and not yet told so
            self._strips = self.drawn() or []
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def on_resize(self) -> None:
        self._strips = []
        self.redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips = []
        self._styles.clear()
        if self.is_attached:
            self.redraw()

    def strip(self, parts: Sequence[tuple[str, str]]) -> Strip:
        """A line of texts with their roles."""
        return Strip([self.segment(text, role) for text, role in parts])

    def segment(self, text: str, role: str) -> Segment:
        return Segment(text, self.style_of(role))

    def style_of(self, role: str) -> Style:
        if role not in self._styles:
            ground = role == "ground"
            self._styles[role] = self.rich_style if ground else self.get_component_rich_style(f"{self.ROLES}--{role}")
        return self._styles[role]


def changed(before: list[Strip], after: list[Strip]) -> list[Region]:
    """For each line that differs, the region from its first to its last changed cell."""
    regions = []
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.cell_length != new.cell_length:
            regions.append(Region(0, y, new.cell_length, 1))
        elif old != new:
            cells = zip(_cells(old), _cells(new), strict=False)
            places = [x for x, (one, other) in enumerate(cells) if one != other]
            if places:
                regions.append(Region(places[0], y, places[-1] + 1 - places[0], 1))
    return regions


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    return [(sign, segment.style) for segment in strip for sign in segment.text]
