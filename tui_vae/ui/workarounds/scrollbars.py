"""Scrollbars without Unicode.

Written for Textual 8.2: it draws the ends of a scrollbar with eighths of blocks, and no setting changes that. Without
this, a terminal without Unicode shows two wrong characters in each scrollbar.

To see whether it is still needed: leave out the call and look at the help under `LANG=C` in 80 × 24 cells.
"""

from __future__ import annotations

from textual.scrollbar import ScrollBarRender


def use_whole_cells() -> None:
    """Draw scrollbars of whole coloured cells."""
    ScrollBarRender.VERTICAL_BARS = ScrollBarRender.HORIZONTAL_BARS = [" "] * 8
