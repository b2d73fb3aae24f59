"""The x axis that all charts of a run share, in steps, epochs or time: of the whole run or of a window."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from tui_vae.runs.history import History
from tui_vae.ui import numbers
from tui_vae.ui.charts import scales
from tui_vae.ui.charts.scales import Tick

UnitName = Literal["epochs", "steps", "time"]
UNITS: tuple[UnitName, ...] = ("epochs", "steps", "time")
"""In the order in which a key changes from one to the next."""

CLOCK_STEPS = 1024
"""About how many sample points a `Clock` interpolates between, besides those at controls and gaps: it stays small
however long the run."""

FIRST_SECONDS = 0.1
"""Seconds that the steps before the first report count for while there is one report alone."""

LEAST_SECONDS = 1e-6
"""Seconds by which a `Clock` goes on from one sample point to the next at least, also where the machine's clock was set
back: it must rise to be inverted."""

ALL = 0.999
"""A window of at least this share of the run shows all of it, and follows its newest step."""

TICKS = 6
"""About how many ticks an axis has where the chart's width says nothing else."""

MIN_WINDOW_STEPS = 4.0
"""How many steps the narrowest window shows: with fewer there is no curve left."""


class Window(NamedTuple):
    """The first and the last step of the part of a run that the charts show."""

    first: float
    last: float


class Unit(Protocol):
    """A unit of the axis."""

    def value(self, step: float) -> float:
        """A step in this unit."""

    def step(self, value: float) -> float:
        """The step of a value in this unit."""


@dataclass(frozen=True)
class Linear:
    """A unit of `size` steps."""

    size: float = 1.0

    def value(self, step: float) -> float:
        return step / self.size

    def step(self, value: float) -> float:
        return value * self.size


class Clock:
    """Seconds since a run began, without the gaps during which no process trained it."""

    def __init__(self, history: History) -> None:
        self._steps, self._seconds = array("d", [0.0]), array("d", [0.0])
        times, steps, count = history.steps["t"], history.steps["step"], len(history.steps)
        if not count:
            return
        chosen = {*range(0, count, max(1, count // CLOCK_STEPS)), count - 1}
        for step in [*(float(control.step) for control in history.controls), *self._steps_at_gaps(history)]:
            at = bisect_left(steps, step)  # time passes there without a step
            chosen.update(near for near in (at - 1, at, at + 1) if 0 <= near < count)
        before_first = (times[1] - times[0]) / (steps[1] - steps[0]) * steps[0] if count > 1 else FIRST_SECONDS
        gaps = list(history.gaps)
        offset = times[0] - before_first
        for at in sorted(chosen):
            while gaps and gaps[0][1] <= times[at]:
                offset += gaps[0][1] - gaps.pop(0)[0]
            self._steps.append(steps[at])
            self._seconds.append(max(self._seconds[-1] + LEAST_SECONDS, times[at] - offset))

    @staticmethod
    def _steps_at_gaps(history: History) -> list[float]:
        """The newest step before each gap: a gap starts when that step was reported."""
        times, steps = history.steps["t"], history.steps["step"]
        return [steps[min(bisect_left(times, start), len(steps) - 1)] for start, _ in history.gaps]

    def value(self, step: float) -> float:
        return self._interpolate(self._steps, self._seconds, step)

    def step(self, value: float) -> float:
        return self._interpolate(self._seconds, self._steps, value)

    @staticmethod
    def _interpolate(xs: array[float], ys: array[float], x: float) -> float:
        """The y at x. Beyond the newest x, y is extrapolated at its mean rate."""
        if len(xs) < 2:
            return x
        after = bisect_left(xs, x)
        if after >= len(xs):
            return ys[-1] + (x - xs[-1]) * ys[-1] / xs[-1]
        before = max(0, after - 1)
        after = before + 1
        return ys[before] + (x - xs[before]) / (xs[after] - xs[before]) * (ys[after] - ys[before])


@dataclass(frozen=True)
class Axis:
    """An x axis from `low` to `high`, both in its unit. Its methods take and return steps."""

    low: float
    high: float
    unit: Unit = Linear()
    name: UnitName = "steps"
    ticks: tuple[Tick, ...] = ()

    @property
    def window(self) -> Window:
        """The steps at its two ends."""
        return Window(self.unit.step(self.low), self.unit.step(self.high))

    def place(self, step: float) -> float:
        """The place of a step: 0 at the left end, 1 at the right end."""
        return (self.unit.value(step) - self.low) / (self.high - self.low)

    def step(self, place: float) -> float:
        """The step at a place."""
        return self.unit.step(self.low + place * (self.high - self.low))

    def edges(self, width: int) -> list[float]:
        """The steps at which each of `width` columns begins, and the step at which the last one ends."""
        return [self.step(column / width) for column in range(width + 1)]

    def text(self, step: float) -> str:
        """A step as text in the unit of the axis: `epoch 2.50`, `step 1,200`, `1:02:03`."""
        value = self.unit.value(step)
        if self.name == "time":
            return numbers.duration(value, 0)
        return f"epoch {value:.2f}" if self.name == "epochs" else f"step {step:,.0f}"


def of_run(history: History, name: UnitName, count: int = TICKS) -> Axis:
    """The axis of the whole run, which ends a little ahead of its newest step. It has about `count` ticks."""
    unit, name = _unit(history, name)
    # An axis in steps ends where an axis in epochs does.
    rounded_to = float(history.run.steps_per_epoch or 1) if name == "steps" and history.run else 1.0
    now = unit.value(history.step) / rounded_to
    total = unit.value(history.total_steps) / rounded_to if name != "time" else 0.0
    return _with_ticks(Axis(0.0, scales.axis_end(now, total) * rounded_to, unit, name), count)


def of_window(history: History, name: UnitName, window: Window, count: int = TICKS) -> Axis:
    """The axis of a part of the run, with about `count` ticks."""
    unit, name = _unit(history, name)
    return _with_ticks(Axis(unit.value(window.first), unit.value(window.last), unit, name), count)


def _unit(history: History, name: UnitName) -> tuple[Unit, UnitName]:
    """The unit of this name; that of steps where it is not known how many steps an epoch has, or where it has one."""
    if name == "time":
        return Clock(history), name
    per_epoch = float(history.run.steps_per_epoch) if history.run else 0.0
    return (Linear(per_epoch), name) if name == "epochs" and per_epoch not in (0.0, 1.0) else (Linear(), "steps")


def zoomed(axis: Axis, around: float, factor: float, limits: Axis) -> Window | None:
    """A window `factor` times as wide, with the step `around` at the same place; None where that is the whole run."""
    anchor = axis.unit.value(around)
    low, high = (anchor + (end - anchor) * factor for end in (axis.low, axis.high))
    narrowest = axis.unit.value(axis.window.first + MIN_WINDOW_STEPS) - axis.low
    if factor < 1 and high - low < narrowest:
        return axis.window
    if high - low >= (limits.high - limits.low) * ALL:
        return None
    return _inside(Axis(low, high, axis.unit), limits)


def panned(axis: Axis, share: float, limits: Axis) -> Window:
    """The window moved right by a share of its width, or as far as the run goes."""
    by = share * (axis.high - axis.low)
    return _inside(Axis(axis.low + by, axis.high + by, axis.unit), limits)


def _inside(axis: Axis, limits: Axis) -> Window:
    """The window of an axis, moved into the limits."""
    width = axis.high - axis.low
    low = max(limits.low, min(axis.low, limits.high - width))
    return Axis(low, low + width, axis.unit).window


def _with_ticks(axis: Axis, count: int) -> Axis:
    if axis.name == "time":
        ticks = scales.time_ticks(axis.low, axis.high, count)
    else:
        ticks = scales.ticks(axis.low, axis.high, count, whole=axis.name == "steps")
    return Axis(axis.low, axis.high, axis.unit, axis.name, ticks)
