"""What Latent's views draw with: Browse's canvas, and the inks and signs of the classes besides."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Canvas
from tui_vae.ui.images.renderer import Lines
from tui_vae.ui.latent.scatter import PLAIN_MARKS, UNICODE_MARKS

CLASS_COLOURS = 10
"""The colours of the classes stand in latent.tcss; an eleventh class begins them anew."""


class LatentCanvas(Canvas):
    """A canvas that knows the classes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"latent--class-{number}" for number in range(CLASS_COLOURS)),
        *("latent--quiet", "latent--cursor", "latent--mark", "latent--bar", "latent--idle", "latent--inactive"),
    }

    def mark_ink(self, name: str) -> Style:
        """The style of a part that only these views have: quiet, cursor, mark, bar, idle or inactive."""
        return self.get_component_rich_style(f"latent--{name}")

    def class_ink(self, label: int) -> Style:
        return self.get_component_rich_style(f"latent--class-{label % CLASS_COLOURS}")


def class_mark(label: int) -> str:
    """The sign of a class: colour alone never tells it."""
    signs = UNICODE_MARKS if glyphs().braille else PLAIN_MARKS
    return signs[label % len(signs)]


def lines_of(rows: list[list[tuple[str, Style]]]) -> Lines:
    """Texts with their styles as lines, neighbours of one style as one segment."""
    lines = []
    for row in rows:
        merged: list[tuple[str, Style]] = []
        for text, style in row:
            if merged and merged[-1][1] is style:
                merged[-1] = merged[-1][0] + text, style
            else:
                merged.append((text, style))
        lines.append(tuple(Segment(text, style) for text, style in merged))
    return tuple(lines)
