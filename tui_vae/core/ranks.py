"""The ranks of a training on several devices: processes that each take their share of every batch.

A rank computes the gradient of the whole batch's loss with respect to what passes through its own images alone. The
sum of these over all ranks is the gradient that one device would have computed, whatever the loss: no mean of means.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Ranks(Protocol):
    """What a step knows of the other ranks. All of them must make the same calls in the same order.

    rank: the number of this one, from 0. world: how many there are.
    """

    rank: int
    world: int

    def add_up(self, values: Tensor) -> None:
        """Replace `values`, of one shape on all ranks, by their sum over the ranks: the same bits on all of them."""


class Alone:
    """The only rank."""

    rank, world = 0, 1

    def add_up(self, values: Tensor) -> None:
        """Leave them as they are: the sum of one."""


ALONE = Alone()


def share_of(ranks: Ranks, count: int) -> slice:
    """Which of `count` images are this rank's: each belongs to exactly one; some ranks have none of a few."""
    return slice(count * ranks.rank // ranks.world, count * (ranks.rank + 1) // ranks.world)


def draw_noise(ranks: Ranks, count: int, width: int, generator: torch.Generator) -> Tensor:
    """This rank's rows of ε ~ N(0, I), `(count, width)`, which every rank draws whole: the rows that one device has."""
    noise = torch.empty(count, width, device=generator.device).normal_(generator=generator)
    return noise[share_of(ranks, count)]


def rows_of_all(ranks: Ranks, mine: Tensor, count: int) -> Tensor:
    """The rows `(count, width)` of all ranks, of which `mine` are this one's; gradients pass through these alone."""
    if ranks.world == 1:
        return mine
    place = share_of(ranks, count)
    rows = mine.new_zeros(count, mine.shape[1])
    rows[place] = mine.detach()
    ranks.add_up(rows)
    return torch.cat([rows[: place.start], mine, rows[place.stop :]])
