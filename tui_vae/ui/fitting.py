"""The one rule for words and figures where there is little room: a figure is never cut, words give way to it."""

from __future__ import annotations

from collections.abc import Iterable

from tui_vae.ui.glyphs import shortened

SEPARATOR = " · "
"""What stands between the parts of a line that says several things."""


def first_that_fits(wordings: Iterable[str], width: int) -> str:
    """The first of several wordings, the longest one first, that fits into so many cells; empty where none does."""
    return next((text for text in wordings if len(text) <= width), "")


def parts_that_fit(parts: Iterable[str], width: int) -> str:
    """As many parts from the left as fit, whole, with `SEPARATOR` between them."""
    line = ""
    for part in parts:
        longer = f"{line}{SEPARATOR}{part}" if line else part
        if len(longer) > width:
            break
        line = longer
    return line


def beside_figure(words: str, figure: str, width: int) -> str:
    """The words in the cells that a figure leaves, itself whole: shortened, or left out where little is left."""
    room = width - len(figure)
    return words if len(words) <= room else shortened(words, room) if room >= LEAST_WORDS else ""


LEAST_WORDS = 3
"""Cells in which shortened words still say something: a letter, a sign that others are missing, a letter."""
