"""The plane of the two main directions of the posterior means: where the test images lie, and which latent is where."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul

from tui_vae.runs.float_arrays import decode_floats
from tui_vae.runs.protocol import LatentMap
from tui_vae.ui.charts.scales import nice_step

INACTIVE = 0.01
"""A latent dimension is inactive where the posterior mean's variance is at most this (Burda et al. 2016)."""

Latent = Sequence[float]


@dataclass(frozen=True, eq=False)
class Plane:
    """A point `(a, b)` is the latent `origin + a·directions[0] + b·directions[1]`; `xs`, `ys`: the test images."""

    epoch: int
    step: int
    origin: array[float]
    directions: tuple[array[float], array[float]]
    xs: array[float]
    ys: array[float]
    labels: bytes
    explained: tuple[float, float]
    kl: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def latent_dim(self) -> int:
        return len(self.origin)

    @property
    def is_the_space(self) -> bool:
        """Whether the plane is the latent space itself, not a cut through it."""
        return self.latent_dim <= 2

    @property
    def home(self) -> tuple[float, float]:
        """The mean of the posterior means."""
        count = len(self.xs)
        if not self.is_the_space or not count:
            return 0.0, 0.0
        a, b = sum(self.xs) / count, sum(self.ys) / count
        return (a, b) if math.isfinite(a + b) else (0.0, 0.0)

    def latent(self, a: float, b: float) -> list[float]:
        first, second = self.directions
        return [zero + a * x + b * y for zero, x, y in zip(self.origin, first, second, strict=True)]

    def nearest(self, a: float, b: float) -> int | None:
        """The test image that lies nearest to a point of the plane."""
        distances = [(x - a) ** 2 + (y - b) ** 2 for x, y in zip(self.xs, self.ys, strict=True)]
        return min(range(len(distances)), key=distances.__getitem__) if distances else None

    def ends(self, marked: Mapping[str, int]) -> list[int]:
        """The test images a and b; where one is not marked, the first of all and the first of another class."""
        labels = self.labels
        other = next((index for index, label in enumerate(labels) if label != labels[0]), 0)
        return [min(len(labels) - 1, index) for index in (marked.get("a", 0), marked.get("b", other))]

    def active(self, dimension: int) -> bool:
        return self.deviations[dimension] ** 2 > INACTIVE

    @property
    def active_units(self) -> int:
        return sum(self.active(dimension) for dimension in range(self.latent_dim))

    def spread(self, dimension: int) -> float:
        """One standard deviation of a dimension: the posterior means', or the prior's where these hardly vary."""
        return self.deviations[dimension] if self.active(dimension) else 1.0

    def by_kl(self) -> list[int]:
        """The dimensions, the one that carries most first."""
        return sorted(range(self.latent_dim), key=lambda dimension: -_or_zero(self.kl[dimension]))

    def traversal(self, base: Latent, dimension: int, deviations: Iterable[float]) -> list[list[float]]:
        """`base` with one dimension so many standard deviations from its mean."""
        middle = self.latent(*self.home)[dimension]
        found = []
        for deviation in deviations:
            latent = list(base)
            latent[dimension] = middle + deviation * self.spread(dimension)
            found.append(latent)
        return found


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def plane_of(reply: LatentMap, before: Plane | None = None) -> Plane:
    """The plane of a reply; turned so that the picture resembles the one before it."""
    size = reply.latent_dim
    points, directions = decode_floats(reply.points), decode_floats(reply.directions)
    plane = Plane(
        reply.epoch, reply.step, decode_floats(reply.origin), (directions[:size], directions[size:]),
        points[::2], points[1::2], reply.labels, reply.explained, reply.kl_per_dim, reply.deviations,
    )  # fmt: skip
    if before is None or plane.is_the_space or len(before.xs) != len(plane.xs):
        return plane
    return _turned(plane, before)


def _turned(plane: Plane, before: Plane) -> Plane:
    """Directions have no sign, and two that explain nearly the same change places while training goes on."""
    if abs(_dot(plane.xs, before.ys) * _dot(plane.ys, before.xs)) > abs(
        _dot(plane.xs, before.xs) * _dot(plane.ys, before.ys)
    ):
        plane = replace(
            plane, directions=plane.directions[::-1], xs=plane.ys, ys=plane.xs, explained=plane.explained[::-1]
        )
    first, second = plane.directions
    if _dot(plane.xs, before.xs) < 0:
        first, plane = _negative(first), replace(plane, xs=_negative(plane.xs))
    if _dot(plane.ys, before.ys) < 0:
        second, plane = _negative(second), replace(plane, ys=_negative(plane.ys))
    return replace(plane, directions=(first, second))


def _dot(first: array[float], second: array[float]) -> float:
    return math.fsum(map(mul, first, second))


def _negative(values: array[float]) -> array[float]:
    return array("f", [-value for value in values])


def between(first: Latent, last: Latent, steps: int) -> list[list[float]]:
    """So many latents on the straight line from one to another, both included."""
    shares = [step / max(1, steps - 1) for step in range(steps)]
    return [[a + (b - a) * share for a, b in zip(first, last, strict=True)] for share in shares]


@dataclass(frozen=True)
class Extent:
    """The part of the plane that is on screen."""

    left: float = -1.0
    right: float = 1.0
    bottom: float = -1.0
    top: float = 1.0

    def cell(self, point: tuple[float, float], width: int, height: int) -> tuple[int, int]:
        """Column and row of a point among so many; the nearest ones for a point outside."""
        column = int((point[0] - self.left) / (self.right - self.left) * width)
        row = int((self.top - point[1]) / (self.top - self.bottom) * height)
        return min(max(0, column), width - 1), min(max(0, row), height - 1)

    def centre(self, column: int, row: int, width: int, height: int) -> tuple[float, float]:
        """The point in the middle of a cell."""
        a = self.left + (column + 0.5) / width * (self.right - self.left)
        return a, self.top - (row + 0.5) / height * (self.top - self.bottom)


TAIL = 0.002
"""The share of the points that may lie beyond an edge, so that a few far ones do not squeeze all others together."""


def extent_of(plane: Plane, before: Extent | None = None) -> Extent:
    """What shows nearly all points. The extent before stays while it fits, so that the picture does not jump."""
    left, right = _range(plane.xs, (before.left, before.right) if before else None)
    bottom, top = _range(plane.ys, (before.bottom, before.top) if before else None)
    return Extent(left, right, bottom, top)


def _range(values: array[float], before: tuple[float, float] | None) -> tuple[float, float]:
    ordered = sorted(value for value in values if math.isfinite(value))
    if not ordered:
        return before or (-1.0, 1.0)
    cut = int(len(ordered) * TAIL)
    low, high = ordered[cut], ordered[-1 - cut]
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    margin = (high - low) * 0.04
    low, high = low - margin, high + margin
    if before is not None:
        room = before[1] - before[0]
        if before[0] <= low + margin and high - margin <= before[1] and high - low > 0.7 * room:
            return before
    part = nice_step(high - low, 20)
    return math.floor(low / part) * part, math.ceil(high / part) * part
