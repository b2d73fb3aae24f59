"""A screen in front of another one that shows what is below it as it is, in half of the time.

Written for Textual 8.2: where a screen's background is transparent, it takes all of the screen below through Rich,
segment by segment, to mix colours that stay as they are.

To see whether it is still needed: leave out `Help.render`, and measure a key that opens the help.
"""

from __future__ import annotations

from textual._context import visible_screen_stack
from textual.css.styles import RulesMap
from textual.screen import Screen
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual


class Below(Visual):
    """The strips of a screen."""

    def __init__(self, screen: Screen[object]) -> None:
        self._screen = screen

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        strips = self._screen._compositor.render_strips()
        return [strip.adjust_cell_length(width) for strip in strips[:height]]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self._screen.size.height


def what_is_below() -> Below | None:
    """What the screen shows that is drawn below the one that asks, while both are drawn; None where there is none."""
    try:
        return Below(visible_screen_stack.get().pop())
    except (LookupError, IndexError):
        return None
