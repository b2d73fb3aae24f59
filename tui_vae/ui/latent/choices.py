"""What the user has chosen in Latent's views. It stays while views and weights change."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from tui_vae.ui.latent.plane import Plane

SEEDS = 2**20
"""Samples are drawn from one of so many seeds: two draws seldom agree."""


@dataclass
class Choices:
    """One object for all views, since they share some of the choices."""

    label: int | None = None
    """The class that the plane alone shows in colour; None: all are."""
    by_kl: bool = True
    """Whether the dimensions stand in the order of their KL; else in that of their numbers."""
    dimension: int = 0
    """The selected dimension."""
    ends: dict[str, int] = field(default_factory=dict)
    """The test images a and b, between which latents are interpolated, as far as the user has set them."""
    source: Literal["fitted", "prior"] = "fitted"
    """The distribution of the samples: the Gaussian fitted to the encoder's z, or the prior N(0, I)."""
    seed: int = 0
    """Of the samples."""

    def order(self, plane: Plane) -> list[int]:
        """The dimensions in the order they are shown in."""
        return plane.by_kl() if self.by_kl else list(range(plane.latent_dim))

    def place(self, plane: Plane) -> int:
        """Where the selected dimension is in their order."""
        return self.order(plane).index(self.dimension)

    def select(self, plane: Plane, place: int) -> None:
        """Select the dimension at a place of their order, or at the nearest end."""
        order = self.order(plane)
        self.dimension = order[max(0, min(place, len(order) - 1))]

    def turn_class(self, by: int, classes: int) -> None:
        """Choose another class, in a ring of all classes together and each of these alone."""
        ring = [None, *range(classes)]
        self.label = ring[(ring.index(self.label) + by) % len(ring)]

    def turn_source(self) -> None:
        """Take samples from the other distribution."""
        self.source = "prior" if self.source == "fitted" else "fitted"

    def draw_seed(self) -> None:
        """Take other samples."""
        self.seed = random.randrange(SEEDS)  # noqa: S311  # of samples, no secret
