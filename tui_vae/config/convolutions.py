"""How many convolutions the convolutional network has for images of a size: `core/models/conv.py` builds them, and who
tells a network's size beforehand counts them without PyTorch."""

from __future__ import annotations

CHANNELS = (16, 32, 64, 128, 128)
"""Channels after each convolution of the encoder: twice as many wherever the sides are halved, up to 128, with which
256 × 256 images end at as many features as 8 · 8 · 128."""

KERNEL = 4
"""Pixels, both ways, that a convolution looks at."""

FEW = 2
"""Convolutions at least, so that 28 × 28 images end at 7 × 7."""

LAST_SIDE = 8
"""Pixels of an image's longer side after the last convolution, at most."""


def halvings(height: int, width: int) -> int:
    """How often an image's sides are halved: until the longer one is `LAST_SIDE` at most, `FEW` times at least; never
    so often that nothing is left of the shorter one."""
    longer, shorter = max(height, width), min(height, width)
    wanted = next(count for count in range(FEW, longer) if longer <= LAST_SIDE << count)
    return min(wanted, len(CHANNELS), shorter.bit_length() - 1)
