"""What the charts of a run show: its history as curves, kept up to date by reading only what is new."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_vae.runs.events import ControlEvent, EpochEvent
from tui_vae.runs.history import History
from tui_vae.ui import numbers, scales
from tui_vae.ui.charts import Control, Sources
from tui_vae.ui.curves import Curve
from tui_vae.ui.scales import Tick

SMOOTHINGS = (0.9, 0.97, 0.0, 0.6)
"""Weights of the past in the smoothed curve, in the order of the key that changes them."""


@dataclass(frozen=True)
class Measure:
    """One chart: the name of its figure in the events and on the screen, and how its values are written."""

    name: str
    title: str
    unit: str = ""
    by_step: bool = True
    factor: float = 1.0
    digits: int = 4
    width: int = 5

    def text(self, value: float | None) -> str:
        """A value (already multiplied by the factor) in as many cells whatever it is."""
        return numbers.metric(value, self.width, self.digits) + (f" {self.unit}" if self.unit else "")


MEASURES = (
    Measure("recon", "reconstruction"),
    Measure("kl", "KL", "nats"),
    Measure("loss", "loss", width=6),
    Measure("accuracy", "accuracy", "%", by_step=False, factor=100.0, digits=3, width=4),
)


class RunCurves:
    """The sources of each chart. A history that was rewritten (a resume tells its past anew) is read from its start."""

    def __init__(self) -> None:
        self.smoothing = SMOOTHINGS[0]
        self._sources: dict[str, Sources] = {}
        self._steps_read, self._newest_step = 0, math.nan
        self._epochs_read: list[EpochEvent] = []
        self._start_anew()

    def __getitem__(self, measure: Measure) -> Sources:
        return self._sources[measure.name]

    def smooth(self, smoothing: float, history: History) -> None:
        self.smoothing = smoothing
        self._start_anew()
        self.read(history)

    def read(self, history: History) -> None:
        """Take over what the history has gained since the last time."""
        times, epochs = history.steps["t"], history.epochs
        known, read = self._steps_read, len(self._epochs_read)
        if (
            len(times) < known
            or (known and times[known - 1] != self._newest_step)
            or len(epochs) < read
            or (read and epochs[read - 1] is not self._epochs_read[-1])
        ):
            self._start_anew()
        self._read_steps(history)
        self._read_epochs(history)

    def _start_anew(self) -> None:
        self._steps_read, self._newest_step = 0, math.nan
        self._epochs_read = []
        self._sources = {
            measure.name: Sources(Curve(self.smoothing) if measure.by_step else None, Curve(), Curve())
            for measure in MEASURES
        }

    def _read_steps(self, history: History) -> None:
        first, last = self._steps_read, len(history.steps)
        if first == last:
            return
        steps = history.steps["step"][first:last]
        for measure in MEASURES:
            curve = self._sources[measure.name].steps
            if curve is not None:
                curve.extend(zip(steps, history.steps[measure.name][first:last], strict=True))
        self._steps_read, self._newest_step = last, history.steps["t"][last - 1]

    def _read_epochs(self, history: History) -> None:
        for event in history.epochs[len(self._epochs_read) :]:
            for measure in MEASURES:
                sources = self._sources[measure.name]
                for metrics, curve, points in (
                    (event.train, sources.train, sources.train_epochs),
                    (event.test, sources.test, sources.test_epochs),
                ):
                    value: float | None = getattr(metrics, measure.name)
                    point = (float(event.step), math.nan if value is None else value * measure.factor)
                    curve.add(*point)
                    points.append(point)
            self._epochs_read.append(event)


@dataclass(frozen=True)
class Axis:
    """The x axis that all charts share: up to the step `end`, counted in steps or in epochs."""

    end: float
    ticks: tuple[Tick, ...]
    per_epoch: float
    in_epochs: bool

    def text(self, step: float) -> str:
        """A place on the axis."""
        if self.in_epochs:
            return f"epoch {step / self.per_epoch:.2f}"
        return f"step {step:,.0f}"


def axis(history: History, epochs_wanted: bool, count: int = 6) -> Axis:
    per_epoch = float(history.run.steps_per_epoch) if history.run else 0.0
    unit = per_epoch or 1.0
    end = scales.extent(history.step / unit, history.total_steps / unit) * unit
    in_epochs = epochs_wanted and per_epoch > 0
    shown = per_epoch if in_epochs else 1.0
    found = scales.ticks(0.0, end / shown, count, whole=not in_epochs)
    return Axis(end, tuple(Tick(tick.value * shown, tick.label) for tick in found), per_epoch, in_epochs)


def control_marks(history: History) -> list[Control]:
    """What was changed by hand, as the charts name it."""
    return [Control(float(event.step), _label(event)) for event in history.controls if event.command != "resume"]


def _label(event: ControlEvent) -> str:
    if event.command == "lr":
        return f"lr {numbers.setting(event.value)}"
    if event.command == "beta":
        return f"β {numbers.setting(event.value)}"
    return {"checkpoint": "saved"}.get(event.command, event.command)
