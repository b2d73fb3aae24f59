"""Scales: which range of values an axis shows, where its ticks stand and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tui_vae.ui.numbers import MINUS, duration

MAX_SQUEEZE = 4.0
"""A linear scale leaves out rare extremes that make its range more than this many times that of the other values."""

TINY = 1e-100
"""Smaller values and differences count as 0."""

ROUNDING = 1e-9
"""A quotient this close to a whole number is one, so that an end which is a multiple of the step keeps its tick: far
more than the rounding of doubles, and less than a dot of any plot."""

LEAST_SPAN = 1e-300
"""Shorter ranges count as one of this length, which still has a logarithm."""

RARE = 20
"""One in so many values, the lowest and the highest ones, may be left out of a scale as rare extremes."""

SHOWN_BEYOND = 0.25
"""How far beyond the other values a scale goes on that leaves out extremes, as a share of their range."""

FLAT_MARGIN = 0.05
"""Room above and below values that are all the same, as a share of them."""

CLIP_TOLERANCE = 1e-6
"""Values are outside a scale from this part of a quarter of the tick step on: less is rounding."""


@dataclass(frozen=True)
class Tick:
    """A tick of an axis: its value and what is written there."""

    value: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to places 0 … 1. `clipped`: the farthest value outside the scale, if any."""

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()
    log: bool = False
    clipped: float | None = None

    def place(self, value: float) -> float:
        """The place of a value: below 0 or above 1 if it is outside. A logarithmic scale needs a positive value."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value at a place."""
        if self.log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + place * (self.high - self.low)


def nice_step(span: float, count: int) -> float:
    """The smallest step of 1, 2 or 5 times a power of ten that divides `span` into at most `count` parts."""
    rough = max(span, LEAST_SPAN) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    steps = (factor * power for factor in (1.0, 2.0, 5.0))
    return next((step for step in steps if step >= rough * (1 - ROUNDING)), 10.0 * power)


def _multiples(low: float, high: float, step: float) -> range:
    """The whole numbers n for which n·step is in the range from `low` to `high`."""
    return range(math.ceil(low / step - ROUNDING), math.floor(high / step + ROUNDING) + 1)


def ticks(low: float, high: float, count: int, whole: bool = False) -> tuple[Tick, ...]:
    """At most about `count` round values from `low` to `high`, all labelled with the same decimals.

    `whole`: whole numbers alone.
    """
    step = nice_step(high - low, count)
    if whole:
        step = max(1.0, step)
    values = [n * step for n in _multiples(low, high, step)]
    return tuple(Tick(value, label) for value, label in zip(values, labels(values, step), strict=True))


_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_PERIODS = (
    *(1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    *(n * _MINUTE for n in (1, 2, 5, 10, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)
"""Round times between two ticks, in seconds."""


def time_ticks(low: float, high: float, count: int) -> tuple[Tick, ...]:
    """At most about `count` round times, in seconds, from `low` to `high`: `0:30 1:00`, `2:00:00`."""
    count = max(1, count)
    period = next((period for period in _PERIODS if (high - low) / period <= count), nice_step(high - low, count))
    if (high - low) / _PERIODS[0] < 2:
        return tuple(Tick(tick.value, f"{tick.label} s") for tick in ticks(low, high, count))
    return tuple(Tick(n * period, duration(n * period, 0) if n else "0") for n in _multiples(low, high, period))


LEAST_DECIMAL, MOST_SUFFIXED = 1e-3, 1e15
"""Labels are scientific where the largest value is below this, or from this on: others would need too many cells."""


def labels(values: Sequence[float], step: float) -> list[str]:
    """Short texts for values `step` apart: `0 20 40`, `0.5 1.0`, `−1k −500 0`, `2e-5 4e-5`."""
    largest = max((abs(value) for value in values), default=0.0)
    if 0 < largest < LEAST_DECIMAL or largest >= MOST_SUFFIXED:
        return [_with_minus(_scientific(value)) for value in values]
    units = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
    unit, suffix = next(((size, name) for size, name in units if largest >= 10 * size or step >= size), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / unit) + ROUNDING)) if step > 0 else 0
    if decimals > 4 or (decimals == 4 and min(values) < 0):  # `.00115`, `−.0165`: labels have few cells
        return [_with_minus(f"{value:.{decimals}f}".replace("0.", ".", 1)) if value else "0" for value in values]
    return [_with_minus(f"{value / unit:.{decimals}f}" + suffix) if value else "0" for value in values]


def _scientific(value: float) -> str:
    """`2e-5`, `1.5e-4`."""
    text = f"{value:.0e}" if math.isclose(float(f"{value:.0e}"), value, rel_tol=1e-3) else f"{value:.1e}"
    return text.replace("e-0", "e-").replace("e+", "e") if value else "0"


def _with_minus(text: str) -> str:
    """The text with a minus sign for a hyphen at its start."""
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def _range_without_rare_extremes(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and highest value, without the lowest and highest twentieth if these squeeze all others together."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    cut = len(ordered) // RARE
    inner_low, inner_high = ordered[cut], ordered[-1 - cut]
    inner = inner_high - inner_low
    if cut and 0 < inner < (high - low) / MAX_SQUEEZE:
        low, high = max(low, inner_low - inner * SHOWN_BEYOND), min(high, inner_high + inner * SHOWN_BEYOND)
    return low, high


def linear(values: Sequence[float], count: int, always: Sequence[float] = (), known: Sequence[float] = ()) -> Scale:
    """A scale for all values, or for all but rare extremes. The values of `always` are inside in any case.

    `known`: values that are drawn as well, and may be outside.

    Its ends are multiples of a quarter of the tick step, so that it does not move whenever a value changes a little.
    """
    if not values:
        return Scale(0.0, 1.0)
    low, high = _range_without_rare_extremes(values)
    low, high = min([low, *always]), max([high, *always])
    if high - low <= abs(high) * ROUNDING or high - low < TINY:
        margin = abs(high) * FLAT_MARGIN if abs(high) > TINY else 0.5
        low, high = low - margin, high + margin
    quarter = nice_step(high - low, count) / 4
    snapped_low = math.floor(low / quarter + ROUNDING) * quarter
    snapped_high = math.ceil(high / quarter - ROUNDING) * quarter
    tolerance = quarter * CLIP_TOLERANCE
    least, greatest = min((*values, *known)), max((*values, *known))
    clipped = greatest if greatest > snapped_high + tolerance else least if least < snapped_low - tolerance else None
    return Scale(snapped_low, snapped_high, ticks(snapped_low, snapped_high, count), clipped=clipped)


def scale(
    values: Sequence[float], newest: Sequence[float], count: int, log: bool, known: Sequence[float] = ()
) -> tuple[Scale, bool]:
    """A logarithmic or linear scale with the `newest` values inside, and whether a logarithmic one was refused.

    It is refused, and a linear one returned, where some values have no logarithm. `known`: as of `linear`; a
    logarithmic scale has them inside.
    """
    if log and values and min((*values, *known)) > TINY:
        return logarithmic([*values, *known], count), False
    return linear(values, count, newest, known), log and bool(values)


def logarithmic(values: Sequence[float], count: int) -> Scale:
    """A logarithmic scale for all values, which must be positive. It leaves out no extreme."""
    low, high = min(values), max(values)
    if high - low <= high * ROUNDING:
        low, high = low / (1 + FLAT_MARGIN), high * (1 + FLAT_MARGIN)
    found = _log_ticks(low, high, count)
    if len(found) < 2:  # in less than a decade: round values of a linear step
        found = ticks(low, high, count)
    return Scale(low, high, found, log=True)


def _log_ticks(low: float, high: float, count: int) -> tuple[Tick, ...]:
    """Powers of ten, with their multiples by 2 and 5, or by 3, or by nothing else: the most that are not too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [f * 10.0**n for n in range(first, last + 1) for f in factors if low <= f * 10.0**n <= high]
        if len(values) <= count + 1:
            break
    else:
        values = values[:: math.ceil(len(values) / max(1, count))]
    return tuple(Tick(value, labels([value], value)[0]) for value in values)


_ENDS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""The numbers that, times a power of ten, an x axis may end at."""


def axis_end(now: float, total: float = 0.0) -> float:
    """The end of the x axis of a run that has reached `now`: a round value a little ahead, never beyond the `total`.

    It seldom changes, so that the curve grows to the right and is not squeezed at every redraw.
    """
    if now <= 0:
        return total or 1.0
    power = 10.0 ** math.floor(math.log10(now))
    end = next(factor * power for factor in (*_ENDS, 20.0) if factor * power >= now * (1 - ROUNDING))
    return max(now, min(end, total) if total > 0 else end)
