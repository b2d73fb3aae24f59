"""Comparing lines, so that only the cells that differ travel to the terminal."""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip


def changed(before: list[Strip], after: list[Strip]) -> list[Region]:
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
    return [(sign, segment.style) for segment in strip for sign in segment.text]
