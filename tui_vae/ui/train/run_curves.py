"""The history of a run as curves, for the charts; an update reads only what is new."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from operator import attrgetter

from tui_vae.runs.epoch_details import EpochDetail
from tui_vae.runs.events import FASHION_MNIST_PIXELS, ControlEvent
from tui_vae.runs.history import History, StepSeries
from tui_vae.ui import numbers
from tui_vae.ui.charts.curves import Curve
from tui_vae.ui.charts.draw import Control, Sources
from tui_vae.ui.train.figures import MEASURES, Measure

SPANS = (0.25, 1.0, 0.0)
"""Epochs whose steps a smoothed value is the mean of, in the order in which a key takes them; 0 is the raw curve."""


class RunCurves:
    """The sources of each chart. A history whose past has changed, as after a resume, is read from its start."""

    def __init__(self, measures: Sequence[Measure] = MEASURES) -> None:
        self.measures = measures
        self._sources: dict[str, Sources] = {}
        self._history: History | None = None
        self._steps_read, self._newest_step = 0, math.nan
        self._epochs_read, self._newest_epoch = 0, math.nan
        self._gauges_read = 0
        self._made: dict[str, tuple[array[float], array[float]]] = {}
        """Steps and values of figures that are made from others: the history's own series may be ahead of them."""

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
            or len(history.gauges) < self._gauges_read
            or (read and epochs[read - 1].t != self._newest_epoch)
        ):
            self._start_anew(history)
        self._read_steps(history, limit)
        self._read_gauges(history)
        self._read_epochs(history)
        return self._steps_read == len(history.steps)

    def read_details(self, details: Sequence[EpochDetail]) -> None:
        """Make the curves of single dimensions' KL anew, of which there are 2,000 points at most."""
        for measure in self.measures:
            at = measure.dimension
            if at is None or measure.name not in self._sources:
                continue
            found = [(float(each.step), each.kl_per_dim[at]) for each in details if at < len(each.kl_per_dim)]
            sources = Sources(None, Curve(), Curve())
            for step, value in found:
                sources.test.add(step, value)
            sources.test_epochs.extend([step for step, _ in found], [value for _, value in found])
            self._sources[measure.name] = sources

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
        self._gauges_read = 0
        self._made = {each.name: (array("d"), array("d")) for each in self.measures if each.by_step and each.transform}
        self._sources = {
            each.name: Sources(self._by_step(history, each) if each.by_step else None, Curve(), Curve())
            for each in self.measures
        }

    def _by_step(self, history: History, measure: Measure) -> Curve:
        series = history.gauges if measure.gauge else history.steps
        return Curve(series=self._made.get(measure.name, (series["step"], series[measure.field])))

    def _read_steps(self, history: History, limit: int) -> None:
        first, last = self._steps_read, min(len(history.steps), self._steps_read + limit)
        if first == last:
            return
        self._extend(history, history.steps, first, last, gauge=False)
        self._steps_read, self._newest_step = last, history.steps["t"][last - 1]

    def _read_gauges(self, history: History) -> None:
        first, last = self._gauges_read, len(history.gauges)
        if first < last and any(measure.gauge for measure in self.measures):
            self._extend(history, history.gauges, first, last, gauge=True)
        self._gauges_read = last

    def _extend(self, history: History, series: StepSeries, first: int, last: int, gauge: bool) -> None:
        """Extend the curves of `step` events, or of gauges, by those from `first` to before `last`."""
        steps = series["step"][first:last]
        for measure in self.measures:
            curve = self._sources[measure.name].steps
            if curve is None or measure.gauge != gauge:
                continue
            values = series[measure.field][first:last]
            if measure.transform is not None:
                pixels, transform = _pixels(history), measure.transform
                values = array("d", [transform(value, pixels) for value in values])
                for made, new in zip(self._made[measure.name], (steps, values), strict=True):
                    made.extend(new)
            curve.extend(steps, values)

    def _read_epochs(self, history: History) -> None:
        events = history.epochs[self._epochs_read :]
        if not events:
            return
        steps = [float(event.step) for event in events]
        train, test = [event.train for event in events], [event.test for event in events]
        for measure in self.measures:
            if not measure.by_epoch or measure.dimension is not None:
                continue
            sources = self._sources[measure.name]
            for figures, curve, points in (
                (train, sources.train, sources.train_epochs),
                (test, sources.test, sources.test_epochs),
            ):
                values = list(map(attrgetter(measure.field), figures))
                if None in values:
                    values = [math.nan if value is None else value for value in values]
                if measure.transform is not None:
                    values = [measure.transform(value, _pixels(history)) for value in values]
                if measure.factor != 1:
                    values = [value * measure.factor for value in values]
                curve.extend(steps, values)
                points.extend(steps, values)
        self._epochs_read += len(events)
        self._newest_epoch = events[-1].t


def _pixels(history: History) -> int:
    """D, the pixels of an image; those of FashionMNIST before the log says."""
    return history.run.dataset.pixels if history.run else FASHION_MNIST_PIXELS


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
        marks.append(Control(float(event.step), label, event.command.removeprefix("set ") in ("lr", "muon-lr", "beta")))
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
