"""NO_COLOR without colours (https://no-color.org): reverse, dim and bold tell things apart.

Written for Textual 8.2: its own filter for NO_COLOR (`textual.filter.Monochrome`) turns colours into greys, and sends
those. Without this, a terminal that asked for no colour gets greys, on grounds of which it knows nothing.

To see whether it is still needed: run the app under `NO_COLOR=1` without this filter, and look for `38;` or `48;` in
what it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter, Monochrome

REVERSE_CONTRAST = 0.1
"""Difference in brightness, from 0 to 1, from the app's background above which a background is reversed."""

DIM_CONTRAST = 0.45
"""Difference in brightness between a text and its background below which the text is dim."""

REVERSE, DIM = Style(reverse=True), Style(dim=True)


class NoColour(LineFilter):
    """Takes all colours away; reverses and dims what only a colour set apart."""

    def __init__(self, app_background: Callable[[], str]) -> None:
        """`app_background`: the app's background colour, which changes with the theme."""
        super().__init__()
        self._app_background = app_background

    def in_place_of_textuals(self, filters: Iterable[LineFilter]) -> list[LineFilter]:
        """An app's filters with this one in the place of Textual's own."""
        return [*(each for each in filters if not isinstance(each, Monochrome)), self]

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        brightness = Color.parse(self._app_background()).brightness
        return [Segment(text, style and _plain(style, brightness), control) for text, style, control in segments]


@lru_cache(4096)
def _plain(style: Style, app_brightness: float) -> Style:
    plain = style.without_color
    brightness = app_brightness if style.bgcolor is None else Color.from_rich_color(style.bgcolor).brightness
    if abs(brightness - app_brightness) > REVERSE_CONTRAST:
        return plain + REVERSE
    if style.color is not None and abs(Color.from_rich_color(style.color).brightness - brightness) < DIM_CONTRAST:
        return plain + DIM
    return plain
