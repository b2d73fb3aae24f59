"""What the model's process finds about its KL: its three parts in words, and each dimension's distribution of z."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.style import Style
from textual.geometry import Size

from tui_vae.runs.float_arrays import decode_floats
from tui_vae.runs.protocol import KlSplit
from tui_vae.ui.charts import bands, raster
from tui_vae.ui.charts.raster import BLANK
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Tile
from tui_vae.ui.images.renderer import Lines
from tui_vae.ui.latent.canvas import LatentCanvas, lines_of
from tui_vae.ui.latent.image_board import Line
from tui_vae.ui.numbers import MINUS
from tui_vae.ui.terminal import legible

AT_THE_BOUND = 0.95
"""The share of ln N from which on the mutual information says little more than that the images can be told apart."""

LEAST_PLOT, GAP = Size(24, 6), 2
"""Cells of a dimension's plot with its line of words, at least; columns between two plots."""

TALLEST = 9
"""Lines of a plot, at most: of more room more dimensions are shown."""

PRIOR_TOP = 1 / math.sqrt(2 * math.pi)
"""The density of N(0, 1) at 0."""

DOTTED = 3
"""Columns of dots from one dot of the prior to the next: it is told from q(z) without colours too."""

HEADROOM = 1.05
"""The height of a plot over its highest density."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The aggregated posterior q(z_j) of a dimension, and the density of the posterior means, from `low` to `high`.

    `divergence`: KL(q(z_j) ‖ N(0, 1)), nats.
    """

    divergence: float
    low: float
    high: float
    density: array[float]
    means: array[float]


def distributions(reply: KlSplit) -> list[Distribution]:
    """The distributions of a reply, one for each dimension."""
    low, high, density, means = map(decode_floats, (reply.low, reply.high, reply.density, reply.means))
    return [
        Distribution(divergence, low[at], high[at], *(values[at * reply.points : (at + 1) * reply.points]
                                                      for values in (density, means)))
        for at, divergence in enumerate(reply.per_dimension)
    ]  # fmt: skip


def words_of(split: KlSplit, width: int) -> tuple[Line, Line]:
    """The parts of the KL, and in so many cells how far they can be trusted."""
    bound, wise = math.log(split.images), sum(split.per_dimension)
    parts: Line = (
        ("KL ", "label"), (f"{split.kl:.2f}", "text"), (" = information ", "label"),
        (f"{split.mutual_information:.2f}", "accent"), (" + correlation ", "label"),
        (f"{split.total_correlation:.2f}", "accent"), (" + dimension-wise ", "label"), (f"{wise:.2f}", "accent"),
        (" nats", "label"),
    )  # fmt: skip
    return parts, ((first_that_fits(_trust(split, bound), width), "note"),)


def _trust(split: KlSplit, bound: float) -> Iterator[str]:
    """How far the information can be trusted, in ever fewer words."""
    limit, step = f"ln {split.images:,} = {bound:.2f}", f"step {split.step:,}"
    if split.mutual_information > AT_THE_BOUND * bound:
        words = f"the information is at its bound, {limit}: the true one is larger"
        yield from (f"{words} · {step}", words, f"at its bound, {limit}", "at its bound")
    else:
        error = f"± {split.standard_error:.2f}"
        words = f"information of image and code {error}, at most {limit}"
        yield from (f"{words} · {step}", words, f"{error}, at most {limit}", error)


class SplitWords(LatentCanvas):
    """Two lines: the parts of the KL, and how far they can be trusted; or what is being waited for."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._split: KlSplit | None = None
        self._words = ""

    def show(self, split: KlSplit) -> None:
        """Show these parts."""
        self._split = split
        self.redraw()

    def say(self, words: str) -> None:
        """Say something in place of the parts."""
        self._split, self._words = None, words
        self.redraw()

    def tiles(self, size: Size) -> Iterator[Tile]:
        lines = words_of(self._split, size.width) if self._split else (((self._words, "note"),),)
        for number, line in enumerate(lines[: size.height]):
            while len(line) > 1 and sum(len(text) for text, _ in line) > size.width:
                line = line[:-1]
            yield self.text(0, number, size.width, *line)


@dataclass(frozen=True)
class Plots:
    """How plots of dimensions stand side by side, and which page of them is shown."""

    columns: int
    rows: int
    width: int
    height: int
    first: int

    @property
    def capacity(self) -> int:
        return self.columns * self.rows


def plots_for(size: Size, count: int, place: int) -> Plots:
    """As many plots as fit, on the page that holds the selected one."""
    columns = max(1, min(count, (size.width + GAP) // (LEAST_PLOT.width + GAP)))
    most = max(1, size.height // LEAST_PLOT.height)
    rows = max(1, min(most, -(-count // columns)))
    height = max(2, min(TALLEST, size.height // rows))
    width = (size.width - GAP * (columns - 1)) // columns
    return Plots(columns, rows, width, height, place // (columns * rows) * (columns * rows))


class Distributions(LatentCanvas):
    """A small plot for each dimension: q(z_j) as a line, N(0, 1) as a faint one, the posterior means filled."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.found: list[Distribution] = []
        self.order: list[int] = []
        """The dimensions in the order they are shown in."""
        self.place = 0
        """Of the selected dimension in the order."""

    def show(self, found: list[Distribution], order: list[int], place: int) -> None:
        """Show these distributions. `place`: that of the selected dimension in the order."""
        self.found, self.order, self.place = found, order, place
        self._update_frame()
        self.redraw()

    def on_resize(self) -> None:
        self._update_frame()
        super().on_resize()

    def _update_frame(self) -> None:
        titles = "KL of each dimension's aggregated posterior q(z) from N(0, 1)", "KL of q(z) from N(0, 1)"
        legends = "line: q(z) · dotted: N(0, 1) · filled: the means", "line: q(z) · dotted: N(0, 1)"
        room = self.size.width - 4
        self.border_title, self.border_subtitle = (legible(first_that_fits(each, room)) for each in (titles, legends))

    @property
    def columns(self) -> int:
        """Plots beside each other: so far a step up or down leads."""
        return plots_for(self.size, len(self.order), self.place).columns

    def tiles(self, size: Size) -> Iterator[Tile]:
        if not self.found or len(self.order) != len(self.found):
            return
        plots = plots_for(size, len(self.order), self.place)
        for number, dimension in enumerate(self.order[plots.first : plots.first + plots.capacity]):
            row, column = divmod(number, plots.columns)
            x, y = column * (plots.width + GAP), row * plots.height
            here = plots.first + number == self.place
            yield self.text(x, y, plots.width, *self._head(dimension, here, plots.width))
            yield Tile(x, y + 1, plots.width, self._plot(self.found[dimension], plots.width, plots.height - 2))

    def _head(self, dimension: int, here: bool, width: int) -> Line:
        each = self.found[dimension]
        ink = "accent" if here else "text"
        ends = f"  {each.low:.1f} … {each.high:.1f}".replace("-", MINUS)
        head: Line = (
            ("▸ " if here else "  ", "accent"), (f"z {dimension}", ink), ("  KL ", "label"),
            (f"{each.divergence:.2f}", ink), (ends, "label"),
        )  # fmt: skip
        return head if sum(len(text) for text, _ in head) < width else head[:-1]

    def _plot(self, each: Distribution, width: int, height: int) -> Lines:
        rows = [
            [(character, self._style(role)) for character, role in row]
            for row in draw_distribution(each, width, max(1, height))
        ]
        return lines_of(rows)

    def _style(self, role: str) -> Style:
        return self.ink("label") if role == "prior" else self.mark_ink(role)


def draw_distribution(each: Distribution, width: int, height: int) -> list[list[tuple[str, str]]]:
    """Rows of characters with their roles: `quiet` (the means), `prior`, `bar` (q(z_j)), and `quiet` where blank."""
    dots = raster.BRAILLE if glyphs().braille else None
    across, rows = (2, height * 4) if dots else (1, height)
    columns = width * across
    span = (each.high - each.low) or 1.0
    prior = [PRIOR_TOP * math.exp(-0.5 * (each.low + span * (x + 0.5) / columns) ** 2) for x in range(columns)]
    curve = [sampled(each.density, (x + 0.5) / columns) for x in range(columns)]
    means = [each.means[min(len(each.means) - 1, x * len(each.means) // columns)] for x in range(columns)]
    top = HEADROOM * max((PRIOR_TOP, *(value for value in curve if math.isfinite(value))))
    layers = (
        ("quiet", dots or raster.one_dot(":"), [(x, 0, level) for x, level in enumerate(_levels(means, top, rows))
                                                if level]),
        ("prior", dots or raster.one_dot("."), [(x, level, level) for x, level in enumerate(_levels(prior, top, rows))
                                                if x % DOTTED == 0 or not dots]),
        ("bar", dots or raster.one_dot("*"), _line(_levels(curve, top, rows))),
    )  # fmt: skip
    text = [[(BLANK, "quiet")] * width for _ in range(height)]
    for role, sort, strokes in layers:
        for y, row in enumerate(bands.fill(strokes, width, height, sort)):
            for x, character in enumerate(row):
                if character != BLANK:
                    was, before = text[y][x]
                    text[y][x] = (bands.joined(was, character) if before == "prior" else character), role
    return text


def sampled(values: Sequence[float], place: float) -> float:
    """The value at a place of 0 … 1 between the first and the last of values at equal distances, on a straight line."""
    at = place * (len(values) - 1)
    left = min(int(at), len(values) - 2)
    return values[left] + (values[left + 1] - values[left]) * (at - left)


def _levels(values: Sequence[float], top: float, rows: int) -> list[int]:
    """The dot, from below, of each value."""
    return [min(rows - 1, max(0, round(value / top * (rows - 1)))) if math.isfinite(value) else 0 for value in values]


def _line(levels: Sequence[int]) -> list[tuple[int, int, int]]:
    """Strokes through the levels, each long enough to touch the one before."""
    found = [(0, levels[0], levels[0])]
    for x, (before, now) in enumerate(pairwise(levels), 1):
        found.append((x, min(now, before + 1) if now > before else now, max(now, before - 1) if now < before else now))
    return found
