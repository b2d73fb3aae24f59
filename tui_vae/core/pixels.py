"""Conversions between the scales of a pixel, and between the orders of a colour image's numbers.

A file holds uint8 (0 black, 255 white) or float32 in [0, 1]; networks take and give [-1, 1]; figures are on [0, 1].

Outside networks images are `(N, height, width)`, or `(N, height, width, 3)` in colour: red, green and blue of a pixel
side by side. Networks take and give them flat, `(N, D)`, one channel after the other, as PyTorch's convolutions do; D =
channels · height · width, and a shape is (channels, height, width). `channels_first` and `as_images` are the only way
from one order to the other.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, int, int]
"""Channels (1: grey, 3: red, green and blue), height and width of an image."""


LEAST_VARIANCE = 1 / 255**2 / 12
"""The variance on [0, 1] of a grey level's own rounding, evenly distributed over 1/255: what fits images better than
that fits their rounding. No variance that is fitted falls below it."""


def full_shape(shape: tuple[int, ...]) -> Shape:
    """(height, width), of a grey image, or (channels, height, width) → the latter."""
    channels, height, width = shape if len(shape) == 3 else (1, *shape)
    return channels, height, width


def channels_first(images: Tensor) -> Tensor:
    """Images `(N, height, width)` or `(N, height, width, 3)` → `(N, D)`, as a network takes them; `(N, D)` stays."""
    return (images.permute(0, 3, 1, 2) if images.dim() == 4 else images).flatten(1)


def as_images(flat: Tensor, shape: Shape) -> Tensor:
    """`(N, D)`, as a network gives them → images `(N, height, width)`, or `(N, height, width, 3)` in colour."""
    images = flat.reshape(-1, *shape)
    return images.squeeze(1) if shape[0] == 1 else images.permute(0, 2, 3, 1).contiguous()


def to_unit_interval(x: Tensor) -> Tensor:
    """x on [-1, 1] → p = (x + 1)/2 on [0, 1], same shape; values outside (a linear decoder has some) are clipped."""
    return ((x + 1) / 2).clamp(0, 1)


def normalize(images: Tensor) -> Tensor:
    """Images, uint8 or float32 in [0, 1], in any order that `channels_first` takes → float32 `(N, D)` in [-1, 1]."""
    flat = channels_first(images)
    return flat.float().mul_(2 / 255).sub_(1) if images.dtype == torch.uint8 else flat.mul(2).sub_(1)


def unit_to_grey_levels(images: Tensor) -> NDArray[np.uint8]:
    """Numbers in [0, 1] on any device → uint8 of the same shape on the host, from 0 (dark) to 255 (bright)."""
    levels: NDArray[np.uint8] = (images * 255).round().to(torch.uint8).cpu().numpy()
    return levels


def grey_levels(images: NDArray[np.uint8 | np.float32]) -> NDArray[np.uint8]:
    """Images `(N, …)` as a file holds them → uint8 of the same shape, from 0 (dark) to 255 (bright)."""
    return images.astype(np.uint8) if images.dtype == np.uint8 else np.rint(images * np.float32(255)).astype(np.uint8)
