"""The canvas of Latent's views: one with styles for classes, bars, the cursor and marks, and marks for classes."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Canvas
from tui_vae.ui.images.renderer import Lines
from tui_vae.ui.latent.scatter_cells import PLAIN_MARKS, UNICODE_MARKS

CLASS_COLOURS = 10
"""Colours of classes, which stand in latent.tcss. The eleventh class has the colour of the first."""


HEAT_STEPS = 8
"""Steps of the heat map, whose colours stand in latent.tcss too."""


class LatentCanvas(Canvas):
    """A canvas with the styles of the latent views."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"latent--class-{number}" for number in range(CLASS_COLOURS)),
        *(f"latent--heat-{step}" for step in range(HEAT_STEPS)),
        *(f"latent--{name}" for name in ("quiet", "cursor", "mark", "bar", "faint", "idle", "inactive")),
    }

    def mark_ink(self, name: str) -> Style:
        """The style of a part that only these views have: `quiet`, `cursor`, `mark`, `bar`, `faint`, `idle` …"""
        return self.get_component_rich_style(f"latent--{name}")

    def class_ink(self, label: int) -> Style:
        """The style of a class. Colours repeat where there are more classes than colours."""
        return self.get_component_rich_style(f"latent--class-{label % CLASS_COLOURS}")

    def heat_ink(self, step: int) -> Style:
        """The style of a step of the heat map, 0 the faintest."""
        return self.get_component_rich_style(f"latent--heat-{step}")


def class_mark(label: int) -> str:
    """The mark of a class. Mark and colour together tell a hundred classes apart."""
    if not glyphs().braille:
        return PLAIN_MARKS[label % len(PLAIN_MARKS)]
    return UNICODE_MARKS[(label + label // CLASS_COLOURS) % len(UNICODE_MARKS)]


def lines_of(rows: list[list[tuple[str, Style]]]) -> Lines:
    """Rows of texts with their styles as lines, in which neighbours of one style are one segment."""
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
