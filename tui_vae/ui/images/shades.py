"""The colours in which a terminal shows the pixels of a colour image."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from tui_vae.ui.images.halfblocks import GREYS_256, Colour

Shade = Callable[[Colour], Colour]
"""Gives the colour in which a pixel is shown."""

KEPT_BITS = 0xF8
"""The bits of a level that true colour shows: neighbours that differ by less than eye and screen tell become one run,
which saves a third of a page's bytes."""

CUBE = (0, 95, 135, 175, 215, 255)
"""The six levels that each of red, green and blue has among 256 colours."""

_BORDERS = tuple((low + high + 1) // 2 for low, high in pairwise(CUBE))
_NEAREST = tuple(CUBE[bisect(_BORDERS, level)] for level in range(256))

_SHARES = (0.299, 0.587, 0.114)
"""How much red, green and blue add to brightness (ITU-R 601), and so how much an error in each is seen."""

_GREY_STEPS = (0, *range(8, 239, 10), 255)
"""The greys that 256 colours have; `GREYS_256` holds what Rich turns into each."""


def true_shade(colour: Colour) -> Colour:
    """The pixel's colour but for its lowest bits."""
    red, green, blue = colour
    return (red & KEPT_BITS | red >> 5, green & KEPT_BITS | green >> 5, blue & KEPT_BITS | blue >> 5)


def shade_256(colour: Colour) -> Colour:
    """The nearest of 256 colours: one of the cube, or a grey where that is nearer; but for a colour's lowest bits."""
    red, green, blue = colour
    return _nearest_256((red & KEPT_BITS | red >> 5, green & KEPT_BITS | green >> 5, blue & KEPT_BITS | blue >> 5))


@lru_cache(maxsize=1 << 15)
def _nearest_256(colour: Colour) -> Colour:
    red, green, blue = (_NEAREST[level] for level in colour)
    level = round(sum(share * each for share, each in zip(_SHARES, colour, strict=True)))
    grey = _GREY_STEPS[round(GREYS_256[level][0] * 25 / 255)]
    if red == green == blue or _distance(colour, (grey,) * 3) <= _distance(colour, (red, green, blue)):
        return GREYS_256[level]
    return red, green, blue


def _distance(one: Colour, other: Colour) -> float:
    return sum(share * (a - b) ** 2 for share, a, b in zip(_SHARES, one, other, strict=True))
