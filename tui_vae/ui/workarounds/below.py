"""A screen in front of another one that shows what is below it as it is, in a third of the time.

Written for Textual 8.2: where a screen's background is transparent, it takes all of the screen below through Rich,
segment by segment, to mix colours that stay as they are; also of the part that an opaque box in front covers. And each
time that a screen comes back, all its styles are found anew.

To see whether it is still needed: leave out `Help.render` or `keep_styles`, and measure a key that opens the help.
"""

from __future__ import annotations

from textual import events
from textual._context import visible_screen_stack
from textual.css.styles import RulesMap
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual


class Below(Visual):
    """The strips of a screen, blank where they are covered.

    `covered`: by a box at the right over the whole height, or at the bottom over the whole width.
    """

    def __init__(self, screen: Screen[object], covered: Region) -> None:
        self._screen = screen
        self._covered = covered

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        size = self._screen.size
        seen = Region(0, 0, self._covered.x or size.width, self._covered.y or size.height)
        if self._covered.size == size:
            seen = Region()
        chops = self._screen._compositor._render_chops(seen, lambda y: y < seen.height) if seen else []
        strips = [Strip.join(chop.values()).adjust_cell_length(seen.width) for chop in chops[: seen.height]]
        lines = size.height if height is None else height
        blank = Strip.blank(width)
        return [strip.adjust_cell_length(width) for strip in strips[:lines]] + [blank] * (lines - len(strips))

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self._screen.size.height


def what_is_below(covered: Region) -> Below | None:
    """What the screen shows that is drawn below the one that asks, while both are drawn; None where there is none.

    `covered`: the part of it that nobody sees.
    """
    try:
        return Below(visible_screen_stack.get().pop(), covered)
    except (LookupError, IndexError):
        return None


def keep_styles(event: events.ScreenResume) -> None:
    """Let a screen that comes back have the styles that it had."""
    event.refresh_styles = False
