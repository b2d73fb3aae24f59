"""Many points as few cells: which dots of a cell are set, and to which class most of its points belong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

from tui_vae.ui.latent.plane import Extent, Plane

ACROSS, DOWN = 2, 4
"""Dots of a cell, as in Braille."""

_BITS = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)
"""The bit of each dot, left to right and top to bottom."""

LABEL_BITS = 16
"""Bits of a class's number, as in messages."""

BRAILLE = 0x2800
"""The code of the Braille character without dots; the bits of its dots are added to it."""

UNICODE_MARKS = "●○■□▲△◆◇✚✕"
PLAIN_MARKS = "0123456789" + ascii_letters
"""The marks of the classes, which repeat where there are more classes than marks."""


@dataclass(frozen=True)
class Cells:
    """Points counted into the cells of a grid, row after row."""

    width: int
    height: int
    dots: bytes
    """The Braille bits, a byte a cell."""
    classes: Sequence[int]
    """0 where there is no point, else the class plus one."""


def gather(
    xs: Sequence[float], ys: Sequence[float], labels: Sequence[int], extent: Extent, width: int, height: int
) -> Cells:
    """Points as cells of a grid. A cell of several classes shows the most frequent one; without labels, all points are
    of class 0."""
    columns, rows = width * ACROSS, height * DOWN
    left, right, bottom, top = extent.left, extent.right, extent.bottom, extent.top
    across, down = columns / (right - left), rows / (top - bottom)
    dots = bytearray(width * height)
    votes: list[int] = []
    vote = votes.append
    for x, y, label in zip(xs, ys, labels or bytes(len(xs)), strict=True):
        if left <= x < right and bottom < y <= top:
            column, row = int((x - left) * across), int((top - y) * down)
            cell = (row >> 2) * width + (column >> 1)
            dots[cell] |= _BITS[(row & 3) * 2 + (column & 1)]
            vote(cell << LABEL_BITS | label)
    classes, most = [0] * (width * height), [0] * (width * height)
    for key, count in sorted(Counter(votes).items()):
        cell = key >> LABEL_BITS
        if count > most[cell]:
            most[cell], classes[cell] = count, (key & (1 << LABEL_BITS) - 1) + 1
    return Cells(width, height, bytes(dots), classes)


def of_class(plane: Plane, label: int, extent: Extent, width: int, height: int) -> Cells:
    """The points of one class alone."""
    chosen = [index for index, each in enumerate(plane.labels) if each == label]
    xs, ys = [plane.xs[index] for index in chosen], [plane.ys[index] for index in chosen]
    return gather(xs, ys, [label] * len(chosen), extent, width, height)
