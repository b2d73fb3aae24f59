"""The plane of the two main directions of the posterior means: where each test image and each latent lies on it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from statistics import NormalDist

from tui_vae.runs.float_arrays import decode_floats
from tui_vae.runs.health import INFORMATIVE_KL
from tui_vae.runs.labels import decode_labels
from tui_vae.runs.protocol import LatentMap
from tui_vae.ui.charts.scales import nice_step

INACTIVE = 0.01
"""A latent dimension is inactive where the posterior mean's variance is at most this (Burda et al. 2016)."""

Latent = Sequence[float]
"""A point of the latent space, a number a dimension."""

Point = tuple[float, float]
"""A point of the plane, in units of the latent space along its two directions."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The latent at the point `(a, b)` is `origin + a·directions[0] + b·directions[1]`."""

    step: int
    """Of the weights that encoded the test images."""
    origin: array[float]
    """Shape (latent_dim,)."""
    directions: tuple[array[float], array[float]]
    """Two orthonormal vectors of shape (latent_dim,); with one latent dimension the second is zero."""
    xs: array[float]
    ys: array[float]
    """The points of the test images' posterior means, shape (images,) each."""
    labels: Sequence[int]
    """The class of each test image; empty where the images have none."""
    explained: tuple[float, float]
    """The share of the posterior means' variance that lies along each direction."""
    kl: tuple[float, ...]
    """Of each dimension, in nats, mean over the test images."""
    deviations: tuple[float, ...]
    """The standard deviation of the posterior mean in each dimension."""

    @property
    def latent_dim(self) -> int:
        return len(self.origin)

    @property
    def is_the_space(self) -> bool:
        """Whether the plane is the latent space itself, and not a plane in a larger space."""
        return self.latent_dim <= 2

    @property
    def home(self) -> Point:
        """The point of the mean of the posterior means, which is the origin of a plane in a larger space."""
        count = len(self.xs)
        if not self.is_the_space or not count:
            return 0.0, 0.0
        a, b = sum(self.xs) / count, sum(self.ys) / count
        return (a, b) if math.isfinite(a + b) else (0.0, 0.0)

    def latent(self, a: float, b: float) -> list[float]:
        """The point (a, b) of the plane in the latent space, `(latent_dim,)`."""
        first, second = self.directions
        return [zero + a * x + b * y for zero, x, y in zip(self.origin, first, second, strict=True)]

    def nearest(self, a: float, b: float) -> int | None:
        """The index of the test image nearest to a point; None where there are no test images."""
        distances = [(x - a) ** 2 + (y - b) ** 2 for x, y in zip(self.xs, self.ys, strict=True)]
        return min(range(len(distances)), key=distances.__getitem__) if distances else None

    def ends(self, marked: Mapping[str, int]) -> list[int]:
        """The test images a and b. Without a mark, a is the first image and b the first one of another class, or the
        second one."""
        labels, last = self.labels, len(self.xs) - 1
        other = next((index for index, label in enumerate(labels) if label != labels[0]), 1)
        return [min(last, index) for index in (marked.get("a", 0), marked.get("b", other))]

    def active(self, dimension: int) -> bool:
        """Whether the variance of the dimension's posterior mean is above `INACTIVE`."""
        return self.deviations[dimension] ** 2 > INACTIVE

    @property
    def active_units(self) -> int:
        """The number of active dimensions (Burda et al. 2016, https://arxiv.org/abs/1509.00519)."""
        return sum(self.active(dimension) for dimension in range(self.latent_dim))

    def informative(self, dimension: int) -> bool:
        """Whether the dimension's KL is above `INFORMATIVE_KL`: a stricter test than `active`."""
        return self.kl[dimension] > INFORMATIVE_KL

    @property
    def informative_units(self) -> int:
        """The number of informative dimensions."""
        return sum(self.informative(dimension) for dimension in range(self.latent_dim))

    def spread(self, dimension: int) -> float:
        """One standard deviation of a dimension: the posterior mean's, or the prior's where that hardly varies."""
        return self.deviations[dimension] if self.active(dimension) else 1.0

    def by_kl(self) -> list[int]:
        """The dimensions, the one of the highest KL first."""
        return sorted(range(self.latent_dim), key=lambda dimension: -_or_zero(self.kl[dimension]))

    def traversal(self, base: Latent, dimension: int, deviations: Iterable[float]) -> list[list[float]]:
        """For each number of standard deviations, `base` with one dimension that far from its mean."""
        middle = self.latent(*self.home)[dimension]
        found = []
        for deviation in deviations:
            latent = list(base)
            latent[dimension] = middle + deviation * self.spread(dimension)
            found.append(latent)
        return found

    def grid(self, base: Latent, across: int | None, up: int | None, columns: int, rows: int) -> list[list[float]]:
        """Latents of a grid, row by row from above: `base` moved along two dimensions, or main directions where None.

        Their coordinates there are the prior's quantiles, at equal shares of N(0, 1) from each other (Kingma & Welling
        2014, figure 4); those along a main direction count from the origin of the plane.
        """
        found = []
        for b in reversed(quantiles(rows)):
            for a in quantiles(columns):
                latent = list(base)
                for value, dimension, direction in ((a, across, 0), (b, up, 1)):
                    self._move_to(latent, value, dimension, direction)
                found.append(latent)
        return found

    def _move_to(self, latent: list[float], value: float, dimension: int | None, direction: int) -> None:
        if dimension is not None:
            latent[dimension] = value
            return
        along = self.directions[direction]
        now = math.fsum((z - zero) * unit for z, zero, unit in zip(latent, self.origin, along, strict=True))
        for at, unit in enumerate(along):
            latent[at] += (value - now) * unit


def quantiles(count: int) -> list[float]:
    """The middles of `count` equally likely parts of N(0, 1), ascending."""
    return [NormalDist().inv_cdf((number + 0.5) / count) for number in range(count)]


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def plane_of(reply: LatentMap, before: Plane | None = None) -> Plane:
    """The plane of a reply, its directions turned so that the scatter resembles the one before it."""
    size = reply.latent_dim
    points, directions = decode_floats(reply.points), decode_floats(reply.directions)
    labels = decode_labels(reply.labels, len(points) // 2)
    plane = Plane(
        reply.step, decode_floats(reply.origin), (directions[:size], directions[size:]),
        points[::2], points[1::2], labels, reply.explained, reply.kl_per_dim, reply.deviations,
    )  # fmt: skip
    if before is None or plane.is_the_space or len(before.xs) != len(plane.xs):
        return plane
    return _turned(plane, before)


def _turned(plane: Plane, before: Plane) -> Plane:
    """The plane with the signs and the order of directions that suit the plane before it.

    Principal directions have no sign, and two that explain nearly the same variance change places during training.
    """
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
    """Latents at equal distances on the straight line from one to another, both ends among the `steps` latents."""
    shares = [step / max(1, steps - 1) for step in range(steps)]
    return [[a + (b - a) * share for a, b in zip(first, last, strict=True)] for share in shares]


def along_sphere(first: Latent, last: Latent, steps: int) -> list[list[float]]:
    """Latents at equal angles from one to another, both ends among the `steps` latents. Their lengths change evenly,
    where a straight line passes through shorter ones, which N(0, I) hardly has.

    The directions are those of White 2016, https://arxiv.org/abs/1609.04468 (slerp). Where both ends have one
    direction, or one of them is 0, the line is straight.
    """
    lengths = math.hypot(*first), math.hypot(*last)
    cosine = math.fsum(map(mul, first, last)) / ((lengths[0] * lengths[1]) or 1.0)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if not math.sin(angle) > ONE_PLACE or not min(lengths):
        return between(first, last, steps)
    found = []
    for step in range(steps):
        share = step / max(1, steps - 1)
        length = lengths[0] + (lengths[1] - lengths[0]) * share
        one, other = (
            length * math.sin(part * angle) / math.sin(angle) / whole
            for part, whole in zip((1 - share, share), lengths, strict=True)
        )
        found.append([one * a + other * b for a, b in zip(first, last, strict=True)])
    return found


@dataclass(frozen=True)
class Extent:
    """The part of the plane that is on screen."""

    left: float = -1.0
    right: float = 1.0
    bottom: float = -1.0
    top: float = 1.0

    def cell(self, point: Point, width: int, height: int) -> tuple[int, int]:
        """Column and row of a point on a screen of this size in cells; the nearest ones for a point outside."""
        column = int((point[0] - self.left) / (self.right - self.left) * width)
        row = int((self.top - point[1]) / (self.top - self.bottom) * height)
        return min(max(0, column), width - 1), min(max(0, row), height - 1)

    def centre(self, column: int, row: int, width: int, height: int) -> Point:
        """The point in the middle of a cell."""
        a = self.left + (column + 0.5) / width * (self.right - self.left)
        return a, self.top - (row + 0.5) / height * (self.top - self.bottom)


TAIL = 0.002
"""The share of the points that may lie beyond each edge, so that a few far ones do not squeeze all others together."""

MARGIN = 0.04
"""The share of the points' range that stays free at each edge."""

ONE_PLACE = 1e-6
"""Points whose range is smaller lie in one place: a latent is of order 1, and float32 rounds it by 1e-7."""

GRAIN = 20
"""The parts, at most, into which round numbers divide the plane: its edges are such numbers."""

FILLED = 0.7
"""The share of an extent that the points must fill for it to be kept."""


def extent_of(plane: Plane, before: Extent | None = None) -> Extent:
    """The extent that shows nearly all points. The one before it is kept while it fits, so that nothing jumps."""
    left, right = _range(plane.xs, (before.left, before.right) if before else None)
    bottom, top = _range(plane.ys, (before.bottom, before.top) if before else None)
    return Extent(left, right, bottom, top)


def _range(values: array[float], before: tuple[float, float] | None) -> tuple[float, float]:
    ordered = sorted(value for value in values if math.isfinite(value))
    if not ordered:
        return before or (-1.0, 1.0)
    cut = int(len(ordered) * TAIL)
    low, high = ordered[cut], ordered[-1 - cut]
    if high - low < ONE_PLACE:
        low, high = low - 0.5, high + 0.5
    margin = (high - low) * MARGIN
    low, high = low - margin, high + margin
    if before is not None:
        room = before[1] - before[0]
        if before[0] <= low + margin and high - margin <= before[1] and high - low > FILLED * room:
            return before
    part = nice_step(high - low, GRAIN)
    return math.floor(low / part) * part, math.ceil(high / part) * part
