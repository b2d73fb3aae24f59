"""Conversions between the scales of a pixel.

A file holds uint8 (0 black, 255 white) or float32 in [0, 1]; networks take and give [-1, 1]; figures are on [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_unit_interval(x: Tensor) -> Tensor:
    """x on [-1, 1] → p = (x + 1)/2 on [0, 1], same shape; values outside (a linear decoder has some) are clipped."""
    return ((x + 1) / 2).clamp(0, 1)


def normalize(images: Tensor) -> Tensor:
    """Images `(N, …)`, uint8 or float32 in [0, 1] → float32 `(N, D)` in [-1, 1]."""
    if images.dtype == torch.uint8:
        return images.flatten(1).float().mul_(2 / 255).sub_(1)
    return images.flatten(1).mul(2).sub_(1)


def unit_to_grey_levels(images: Tensor) -> NDArray[np.uint8]:
    """Images in [0, 1] on any device → uint8 of the same shape on the host, from 0 (black) to 255 (white)."""
    levels: NDArray[np.uint8] = (images * 255).round().to(torch.uint8).cpu().numpy()
    return levels


def grey_levels(images: NDArray[np.uint8 | np.float32]) -> NDArray[np.uint8]:
    """Images `(N, …)` as a file holds them → uint8 of the same shape, from 0 (black) to 255 (white)."""
    return images.astype(np.uint8) if images.dtype == np.uint8 else np.rint(images * np.float32(255)).astype(np.uint8)
