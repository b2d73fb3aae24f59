"""The history of a run as curves, for the charts; an update reads only what is new."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from tui_vae.runs.events import ControlEvent
from tui_vae.runs.history import History
from tui_vae.ui import numbers
from tui_vae.ui.charts.curves import Curve
from tui_vae.ui.charts.draw import Control, Sources

SPANS = (0.25, 1.0, 0.0)
"""Epochs whose steps a smoothed value is the mean of, in the order in which a key takes them; 0 is the raw curve."""


@dataclass(frozen=True)
class Measure:
    """One chart: its figure's name in the events, its title, which events have it, and how it is written."""

    name: str
    title: str
    unit: str = ""
    by_step: bool = True
    by_epoch: bool = True
    smoothed: bool = True
    factor: float = 1.0
    digits: int = 4
    width: int = 5
    written: Literal["metric", "setting", "rate"] = "metric"

    def text(self, value: float | None) -> str:
        """A value, already multiplied by `factor`, in a fixed number of cells."""
        match self.written:
            case "setting":
                text = numbers.setting(value).rjust(self.width)
            case "rate":
                text = numbers.short(value, self.width)
            case _:
                text = numbers.metric(value, self.width, self.digits)
        return f"{text} {self.unit}" if self.unit else text


MEASURES = (
    Measure("recon", "reconstruction"),
    Measure("kl", "KL", "nats"),
    Measure("loss", "loss", width=6),
    Measure("accuracy", "accuracy", "%", by_step=False, factor=100.0, digits=3, width=4),
)
"""Figures of the model."""

CONDITIONS = (
    Measure("elbo_bpd", "−ELBO, bits a pixel", by_step=False),
    Measure("lr", "learning rate", by_epoch=False, smoothed=False, width=8, written="setting"),
    Measure("beta", "β", by_epoch=False, smoothed=False, width=8, written="setting"),
    Measure("images_per_s", "images/s", by_epoch=False, written="rate"),
)
"""Figures that compare runs, and the conditions of training."""

VIEWS = (MEASURES, CONDITIONS)


class RunCurves:
    """The sources of each chart. A history whose past has changed, as after a resume, is read from its start."""

    def __init__(self, measures: Sequence[Measure] = MEASURES) -> None:
        self.measures = measures
        self._sources: dict[str, Sources] = {}
        self._history: History | None = None
        self._steps_read, self._newest_step = 0, math.nan
        self._epochs_read, self._newest_epoch = 0, math.nan

    def __getitem__(self, measure: Measure) -> Sources:
        return self._sources[measure.name]

    def read(self, history: History, limit: int = sys.maxsize) -> bool:
        """Read what the history has gained, `limit` steps at most, and return whether that was all of it."""
        times, epochs = history.steps["t"], history.epochs
        known, read = self._steps_read, self._epochs_read
        if (
            self._history is not history
            or len(times) < known
            or (known and times[known - 1] != self._newest_step)
            or len(epochs) < read
            or (read and epochs[read - 1].t != self._newest_epoch)
        ):
            self._start_anew(history)
        self._read_steps(history, limit)
        self._read_epochs(history)
        return self._steps_read == len(history.steps)

    def smooth(self, span: float) -> None:
        """Let a smoothed value be the mean of so many steps; 0: the curves are as they were reported."""
        for measure in self.measures:
            steps = self._sources[measure.name].steps if self._sources else None
            if steps is not None and measure.smoothed:
                steps.span = span

    def _start_anew(self, history: History) -> None:
        self._history = history
        self._steps_read, self._newest_step = 0, math.nan
        self._epochs_read, self._newest_epoch = 0, math.nan
        steps = history.steps
        self._sources = {
            each.name: Sources(
                Curve(series=(steps["step"], steps[each.name])) if each.by_step else None,
                Curve(),
                Curve(),
            )
            for each in self.measures
        }

    def _read_steps(self, history: History, limit: int) -> None:
        first, last = self._steps_read, min(len(history.steps), self._steps_read + limit)
        if first == last:
            return
        steps = history.steps["step"][first:last]
        for measure in self.measures:
            curve = self._sources[measure.name].steps
            if curve is not None:
                curve.extend(steps, history.steps[measure.name][first:last])
        self._steps_read, self._newest_step = last, history.steps["t"][last - 1]

    def _read_epochs(self, history: History) -> None:
        events = history.epochs[self._epochs_read :]
        if not events:
            return
        steps = [float(event.step) for event in events]
        train, test = [event.train for event in events], [event.test for event in events]
        for measure in self.measures:
            if not measure.by_epoch:
                continue
            sources = self._sources[measure.name]
            for figures, curve, points in (
                (train, sources.train, sources.train_epochs),
                (test, sources.test, sources.test_epochs),
            ):
                values = list(map(attrgetter(measure.name), figures))
                if None in values:
                    values = [math.nan if value is None else value for value in values]
                if measure.factor != 1:
                    values = [value * measure.factor for value in values]
                curve.extend(steps, values)
                points.extend(steps, values)
        self._epochs_read += len(events)
        self._newest_epoch = events[-1].t


def control_marks(history: History) -> list[Control]:
    """The changes made by hand, as the charts name them. A pause and its end are at the same step, and share a mark."""
    marks: list[Control] = []
    paused: ControlEvent | None = None
    for event in history.controls:
        label = _label(event)
        if event.command == "resume" and paused is not None and paused.step == event.step and marks:
            label = f"paused {numbers.duration(event.t - paused.t, 0)}"
            marks.pop()
        paused = event if event.command == "pause" else None
        marks.append(Control(float(event.step), label))
    return marks


def _label(event: ControlEvent) -> str:
    match event.command:
        case "set lr" | "lr":
            return f"lr {numbers.setting(event.value)}"
        case "set muon-lr":
            return f"muon-lr {numbers.setting(event.value)}"
        case "set beta" | "beta":
            return f"β {numbers.setting(event.value)}"
    return {"checkpoint": "saved", "pause": "paused", "resume": "resumed", "stop": "stopped"}.get(
        event.command, event.command
    )
