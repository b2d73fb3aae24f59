"""A widget that draws itself as strips of cells, in styles named in the style sheet, and repaints only what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.ui import strips


class Drawn(Widget):
    """A subclass says in `draw` what it looks like now; `redraw` has what differs from the screen repainted.

    Roles are the names of styles, without the `PREFIX` that they have in the style sheet.
    """

    ALLOW_SELECT = False
    PREFIX: ClassVar[str]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self._styles: dict[tuple[str, str], Style] = {}

    def draw(self) -> list[Strip] | None:
        """As many strips as it is high; None while there is nothing to draw, or no room."""
        raise NotImplementedError

    def redraw(self) -> None:
        if not self.size.height or (after := self.draw()) is None:
            return
        before, self._strips = self._strips, after
        if len(before) != len(after):
            self.refresh()
        elif regions := strips.changed(before, after):
            self.refresh(*regions)

    def restyle(self) -> None:
        """Draw anew in styles that have changed."""
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
        if len(self._strips) != self.size.height:  # laid out anew, and not yet told so
            self._strips = self.draw() or []
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def strip(self, parts: Iterable[tuple[str, str]], ground: str = "") -> Strip:
        """Texts, each in the style of its role; `ground` is the role whose background they all stand on."""
        return Strip([Segment(text, self.style(role, ground)) for text, role in parts])

    def style(self, role: str, ground: str = "") -> Style:
        if (role, ground) not in self._styles:
            style = self.rich_style if role == "ground" else self._of_sheet(role)
            if ground:
                style += Style(bgcolor=self._of_sheet(ground).bgcolor)
            self._styles[role, ground] = style
        return self._styles[role, ground]

    def _of_sheet(self, role: str) -> Style:
        return self.get_component_rich_style(f"{self.PREFIX}--{role}")
