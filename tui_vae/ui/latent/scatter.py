"""Many points as few cells: which dots of a cell are set, and which class most of its points belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tui_vae.ui.latent.plane import Extent, Plane

ACROSS, DOWN = 2, 4
"""Dots of a cell, as Braille has them."""

_BITS = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)
BRAILLE = 0x2800

UNICODE_MARKS = "●○■□▲△◆◇✚✕"
PLAIN_MARKS = "0123456789"


@dataclass(frozen=True)
class Cells:
    """`dots`: Braille bits of each cell, row after row; `classes`: 0 where no point is, else the class plus one."""

    width: int
    height: int
    dots: bytes
    classes: bytes
    outside: int = 0


def gather(xs: Sequence[float], ys: Sequence[float], labels: bytes, extent: Extent, width: int, height: int) -> Cells:
    """Points as cells of a grid. In a cell of several classes the most frequent one wins."""
    columns, rows = width * ACROSS, height * DOWN
    left, right, bottom, top = extent.left, extent.right, extent.bottom, extent.top
    across, down = columns / (right - left), rows / (top - bottom)
    dots = bytearray(width * height)
    votes: list[int] = []
    vote = votes.append
    for x, y, label in zip(xs, ys, labels, strict=True):
        if left <= x < right and bottom < y <= top:
            column, row = int((x - left) * across), int((top - y) * down)
            cell = (row >> 2) * width + (column >> 1)
            dots[cell] |= _BITS[(row & 3) * 2 + (column & 1)]
            vote(cell << 8 | label)
    classes, most = bytearray(width * height), [0] * (width * height)
    for key, count in sorted(Counter(votes).items()):
        cell = key >> 8
        if count > most[cell]:
            most[cell], classes[cell] = count, (key & 255) + 1
    return Cells(width, height, bytes(dots), bytes(classes), len(xs) - len(votes))


def of_class(plane: Plane, label: int, extent: Extent, width: int, height: int) -> Cells:
    """The points of one class alone."""
    chosen = [index for index, each in enumerate(plane.labels) if each == label]
    xs, ys = [plane.xs[index] for index in chosen], [plane.ys[index] for index in chosen]
    return gather(xs, ys, bytes([label]) * len(chosen), extent, width, height)
