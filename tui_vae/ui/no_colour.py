"""What NO_COLOR leaves to tell things apart with: reverse, dim and bold (https://no-color.org)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

CHOSEN = 0.1
"""A ground whose brightness, from 0 to 1, is so far from that of its surroundings becomes reverse."""

QUIET = 0.45
"""Text whose brightness is nearer to its ground than this becomes dim."""

REVERSE, DIM = Style(reverse=True), Style(dim=True)


class NoColour(LineFilter):
    """No colour is sent at all. (Textual's own filter for NO_COLOR turns colours into greys, and sends those.)"""

    def __init__(self, ground: Callable[[], str]) -> None:
        """`ground`: the colour that the app stands on."""
        super().__init__()
        self._ground = ground

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        ground = Color.parse(self._ground()).brightness
        return [Segment(text, style and _plain(style, ground), control) for text, style, control in segments]


@lru_cache(4096)
def _plain(style: Style, surroundings: float) -> Style:
    plain = style.without_color
    ground = surroundings if style.bgcolor is None else Color.from_rich_color(style.bgcolor).brightness
    if abs(ground - surroundings) > CHOSEN:
        return plain + REVERSE
    if style.color is not None and abs(Color.from_rich_color(style.color).brightness - ground) < QUIET:
        return plain + DIM
    return plain
