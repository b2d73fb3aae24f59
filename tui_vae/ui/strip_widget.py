"""A widget that draws itself as strips of cells, in styles named in the style sheet, and repaints only what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class StripWidget(Widget):
    """A subclass says in `draw` what it looks like now; `redraw` repaints what differs from the screen.

    A role is the name of a style, without the `PREFIX` that it has in the style sheet.
    """

    ALLOW_SELECT = False
    PREFIX: ClassVar[str]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._styles: dict[tuple[str, str], Style] = {}

    def draw(self) -> list[Strip] | None:
        """One strip for each of its lines; None while there is nothing to draw, or no room."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw, and repaint the cells that have changed."""
        if not self.size.height or (after := self.draw()) is None:
            return
        before, self._strips = self._strips, after
        if len(before) != len(after):
            self.refresh()
        elif regions := changed_regions(before, after):
            self.refresh(*regions)

    def restyle(self) -> None:
        """Draw in the styles that the style sheet has now."""
        self._styles.clear()
        self.redraw()

    def on_resize(self) -> None:
        self._strips = []
        self.redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips = []
        if self.is_attached:
            self.restyle()

    def render_line(self, y: int) -> Strip:
        if len(self._strips) != self.size.height:  # its size has changed, and `on_resize` is still to come
            self._strips = self.draw() or []
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def strip(self, parts: Iterable[tuple[str, str]], background: str = "") -> Strip:
        """Texts, each with its role; `background` is the role whose background all of them have."""
        return Strip([Segment(text, self.style(role, background)) for text, role in parts])

    def style(self, role: str, background: str = "") -> Style:
        """The style of a role, `PREFIX--role` in the style sheet. `background`: the role that gives it another one."""
        if (role, background) not in self._styles:
            style = self.rich_style if role == "ground" else self._style_in_sheet(role)
            if background:
                style += Style(bgcolor=self._style_in_sheet(background).bgcolor)
            self._styles[role, background] = style
        return self._styles[role, background]

    def _style_in_sheet(self, role: str) -> Style:
        return self.get_component_rich_style(f"{self.PREFIX}--{role}")


def changed_regions(before: list[Strip], after: list[Strip]) -> list[Region]:
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
    return [(character, segment.style) for segment in strip for character in segment.text]
