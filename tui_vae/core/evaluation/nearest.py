"""The training images nearest to some images, by the mean squared distance of a pixel: is a sample a copy of one?"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from tui_vae.core.evaluation.forward import at_once
from tui_vae.core.pixels import normalize, to_unit_interval

BATCH = 1000
"""Training images that are compared between two yields: 3 to 5 ms of a CPU core where they have 28 × 28 pixels."""


def nearest_in_parts(images: Tensor, among: Tensor, count: int) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """The nearest images of a set, for each image the nearest first. Yields after each batch of the set.

    Args:
        images: `(Q, D)` in [0, 1], as a decoder gives them.
        among: the set as read, `(N, …)`, on any device.
        count: how many of the set, at most N.

    Returns:
        Their indices in the set, `(Q, count)` int64, and the mean squared distances of a pixel, `(Q, count)`, on the
        device of `images`.
    """
    count, pixels = min(count, len(among)), images.shape[1]
    squares = images.square().sum(dim=1, keepdim=True)
    found = images.new_full((len(images), 0), 0.0)
    places = torch.zeros(found.shape, dtype=torch.int64, device=images.device)
    size = at_once(BATCH, pixels)
    for start in range(0, len(among), size):
        batch = to_unit_interval(normalize(among[start : start + size].to(images.device)))
        distances = (squares - 2 * images @ batch.T + batch.square().sum(dim=1)) / pixels
        here = torch.arange(start, start + len(batch), device=images.device).expand(len(images), -1)
        found, places = torch.cat([found, distances], dim=1), torch.cat([places, here], dim=1)
        found, order = found.topk(min(count, found.shape[1]), dim=1, largest=False)
        places = places.gather(1, order)
        yield
    # The products above cancel where a distance is small: those that were found are measured once more.
    chosen = to_unit_interval(normalize(among[places.flatten().to(among.device)].to(images.device)))
    exact = (chosen.view(len(images), count, pixels) - images[:, None]).square().mean(dim=2)
    order = exact.argsort(dim=1, stable=True)
    return places.gather(1, order), exact.gather(1, order)
