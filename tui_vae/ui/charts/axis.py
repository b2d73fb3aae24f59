"""The x axis that all charts of a run share: counted in steps, in epochs or in time, whole or a window of it."""

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
"""In the order of the key that changes them."""

KNOTS = 1024
"""Of the map from steps to time."""

FEWEST_STEPS = 4.0
"""What the narrowest window shows."""


class Window(NamedTuple):
    """The part of a run, in steps, that the charts hold still on."""

    first: float
    last: float


class Unit(Protocol):
    """How places on the axis are counted."""

    def of(self, step: float) -> float: ...
    def step(self, value: float) -> float: ...


@dataclass(frozen=True)
class Linear:
    """So many steps are one."""

    size: float = 1.0

    def of(self, step: float) -> float:
        return step / self.size

    def step(self, value: float) -> float:
        return value * self.size


class Clock:
    """Seconds since a run began, without the breaks in which no process trained it."""

    def __init__(self, history: History) -> None:
        self._steps, self._seconds = array("d", [0.0]), array("d", [0.0])
        times, steps, count = history.steps["t"], history.steps["step"], len(history.steps)
        if not count:
            return
        chosen = {*range(0, count, max(1, count // KNOTS)), count - 1}
        for step in [*(float(control.step) for control in history.controls), *self._broken(history)]:
            at = bisect_left(steps, step)  # time passes there without a step
            chosen.update(near for near in (at - 1, at, at + 1) if 0 <= near < count)
        lead = (times[1] - times[0]) / (steps[1] - steps[0]) * steps[0] if count > 1 else 0.1
        breaks = list(history.breaks)
        lost = times[0] - lead
        for at in sorted(chosen):
            while breaks and breaks[0][1] <= times[at]:
                lost += breaks[0][1] - breaks.pop(0)[0]
            self._steps.append(steps[at])
            self._seconds.append(max(self._seconds[-1] + 1e-6, times[at] - lost))

    @staticmethod
    def _broken(history: History) -> list[float]:
        """The newest steps before each break."""
        times, steps = history.steps["t"], history.steps["step"]
        return [steps[min(bisect_left(times, start), len(steps) - 1)] for start, _ in history.breaks]

    def of(self, step: float) -> float:
        return self._between(self._steps, self._seconds, step)

    def step(self, value: float) -> float:
        return self._between(self._seconds, self._steps, value)

    @staticmethod
    def _between(xs: array[float], ys: array[float], x: float) -> float:
        """Beyond the newest, time goes on at the pace of the whole."""
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
    """From `low` to `high`, both in its unit; whoever asks speaks of steps."""

    low: float
    high: float
    unit: Unit = Linear()
    name: UnitName = "steps"
    ticks: tuple[Tick, ...] = ()

    @property
    def window(self) -> Window:
        return Window(self.unit.step(self.low), self.unit.step(self.high))

    def place(self, step: float) -> float:
        """0 at the left end, 1 at the right one."""
        return (self.unit.of(step) - self.low) / (self.high - self.low)

    def step(self, place: float) -> float:
        return self.unit.step(self.low + place * (self.high - self.low))

    def edges(self, width: int) -> list[float]:
        """The steps at which columns begin, and the one at which the last ends."""
        return [self.step(column / width) for column in range(width + 1)]

    def text(self, step: float) -> str:
        """A place on the axis."""
        value = self.unit.of(step)
        if self.name == "time":
            return numbers.duration(value, 0)
        return f"epoch {value:.2f}" if self.name == "epochs" else f"step {step:,.0f}"


def whole(history: History, name: UnitName, count: int = 6) -> Axis:
    """The axis of the whole run, a little ahead of its newest step."""
    unit = unit_of(history, name)
    if isinstance(unit, Linear) and unit.size == 1.0:
        name = "steps"
    ahead = 1.0 if name == "steps" and history.run is None else _coarse(history, name)
    now, total = unit.of(history.step) / ahead, unit.of(history.total_steps) / ahead if name != "time" else 0.0
    return _with_ticks(Axis(0.0, scales.extent(now, total) * ahead, unit, name), count)


def part(history: History, name: UnitName, window: Window, count: int = 6) -> Axis:
    unit = unit_of(history, name)
    if isinstance(unit, Linear) and unit.size == 1.0:
        name = "steps"
    return _with_ticks(Axis(unit.of(window.first), unit.of(window.last), unit, name), count)


def unit_of(history: History, name: UnitName) -> Unit:
    per_epoch = float(history.run.steps_per_epoch) if history.run else 0.0
    match name:
        case "time":
            return Clock(history)
        case "epochs" if per_epoch:
            return Linear(per_epoch)
    return Linear()


def zoomed(axis: Axis, around: float, factor: float, limits: Axis) -> Window | None:
    """A window so many times as wide, which leaves the step `around` where it is; None where that is the whole run."""
    anchor = axis.unit.of(around)
    low, high = (anchor + (end - anchor) * factor for end in (axis.low, axis.high))
    fewest = axis.unit.of(axis.window.first + FEWEST_STEPS) - axis.low
    if factor < 1 and high - low < fewest:
        return axis.window
    if high - low >= (limits.high - limits.low) * 0.999:
        return None
    return _inside(Axis(low, high, axis.unit), limits)


def panned(axis: Axis, share: float, limits: Axis) -> Window:
    """The window moved by a share of its width, as far as the run goes."""
    by = share * (axis.high - axis.low)
    return _inside(Axis(axis.low + by, axis.high + by, axis.unit), limits)


def _inside(axis: Axis, limits: Axis) -> Window:
    width = axis.high - axis.low
    low = max(limits.low, min(axis.low, limits.high - width))
    return Axis(low, low + width, axis.unit).window


def _coarse(history: History, name: UnitName) -> float:
    """In steps, an axis ends where it would in epochs."""
    return float(history.run.steps_per_epoch or 1) if name == "steps" and history.run else 1.0


def _with_ticks(axis: Axis, count: int) -> Axis:
    if axis.name == "time":
        ticks = scales.time_ticks(axis.low, axis.high, count)
    else:
        fewest = 1.0 if axis.name == "steps" else 0.0
        ticks = scales.ticks(axis.low, axis.high, count, whole=fewest > 0)
    return Axis(axis.low, axis.high, axis.unit, axis.name, ticks)
