"""What the user has chosen in Latent's views. It stays while views and weights change."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
    image: int | None = None
    """The test image whose latent traversals and the grid go through; None: the latent at the cursor."""
    across: int | None = None
    up: int | None = None
    """The dimensions along which the grid goes; None: the first main direction across, the second one up."""
    sphere: bool = False
    """Whether the interpolation goes along a sphere; else straight."""
    ends: dict[str, int] = field(default_factory=dict)
    """The test images a and b, between which latents are interpolated, as far as the user has set them."""
    source: Literal["fitted", "prior"] = "fitted"
    """The distribution of the samples: the Gaussian fitted to the encoder's z, or the prior N(0, I)."""
    seed: int = 0
    """Of the samples."""
    sample_label: int | None = None
    """The class to whose latents the Gaussian of the samples is fitted; None: to all."""
    sample: int = 0
    """The selected sample of the page."""

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
        """Choose another class for the plane, in a ring of all classes together and each of these alone."""
        self.label = _turned(self.label, by, range(classes))

    def turn_sample_class(self, by: int, classes: int) -> None:
        """Choose another class for the samples, in that ring; only the fitted Gaussian knows classes."""
        self.sample_label, self.source = _turned(self.sample_label, by, range(classes)), "fitted"

    def turn_axis(self, plane: Plane, across: int, up: int) -> None:
        """Let the grid go along other dimensions, in a ring of the main direction and the dimensions in their order;
        no dimension is both."""
        for by, name, other in ((across, "across", "up"), (up, "up", "across")):
            taken = getattr(self, other)
            if by:
                setattr(self, name, _turned(getattr(self, name), by, [e for e in self.order(plane) if e != taken]))

    def turn_source(self) -> None:
        """Take samples from the other distribution."""
        self.source, self.sample_label = "prior" if self.source == "fitted" else "fitted", None

    def draw_seed(self) -> None:
        """Take other samples."""
        self.seed = random.randrange(SEEDS)  # noqa: S311  # of samples, no secret


def _turned(now: int | None, by: int, choices: Sequence[int]) -> int | None:
    """What lies this many further in a ring of None and the choices."""
    ring = [None, *choices]
    return ring[((ring.index(now) if now in ring else 0) + by) % len(ring)]
