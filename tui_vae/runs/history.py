"""What a run's events add up to: the curves, the epochs, the newest state. Fed with events, asked by watchers."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tui_vae.runs import events as ev

STEP_FIELDS = ("t", "epoch", "step", "images", "loss", "recon", "kl", "lr", "beta", "images_per_s")


class StepSeries:
    """The `step` events as columns of doubles, ordered by step; a number that was not finite is NaN."""

    def __init__(self) -> None:
        self.columns: dict[str, array[float]] = {name: array("d") for name in STEP_FIELDS}

    def __len__(self) -> int:
        return len(self.columns["step"])

    def __getitem__(self, name: str) -> array[float]:
        return self.columns[name]

    def append(self, event: ev.StepEvent) -> None:
        """Add an event. One at or before steps already known replaces them: a resumed run tells its own past anew."""
        self.cut(event.step)
        for name, column in self.columns.items():
            value = getattr(event, name)
            column.append(math.nan if value is None else value)

    def cut(self, step: int) -> None:
        """Forget everything from `step` on."""
        steps = self.columns["step"]
        if steps and step <= steps[-1]:
            keep = bisect_left(steps, step)
            for column in self.columns.values():
                del column[keep:]


class History:
    """A run as its log tells it.

    `revision` grows with every event, so that a watcher knows whether anything changed.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.run: ev.RunEvent | None = None
        self.state: ev.StateEvent | None = None
        self.steps = StepSeries()
        self.epochs: list[ev.EpochEvent] = []
        self.previews: dict[int, str] = {}
        self.controls: list[ev.ControlEvent] = []
        self.checkpoint: ev.CheckpointEvent | None = None
        self.messages: deque[ev.WarningEvent | ev.ErrorEvent] = deque(maxlen=100)

    def extend(self, events: Iterable[ev.AnyEvent]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: ev.AnyEvent) -> None:
        self.revision += 1
        match event:
            case ev.StepEvent():
                self.steps.append(event)
            case ev.EpochEvent():
                self._cut_epochs(event.step)
                self.epochs.append(event)
            case ev.StateEvent():
                self.state = event
            case ev.RunEvent():
                self.run = event
                if event.step is not msgspec.UNSET:  # what a crash lost is trained again
                    self.steps.cut(event.step + 1)
                    self._cut_epochs(event.step + 1)
                    if self.checkpoint and self.checkpoint.step > event.step:
                        self.checkpoint = None
            case ev.PreviewEvent():
                self.previews[event.epoch] = event.file
            case ev.CheckpointEvent():
                self.checkpoint = event
            case ev.ControlEvent():
                self.controls.append(event)
            case ev.WarningEvent() | ev.ErrorEvent():
                self.messages.append(event)

    def _cut_epochs(self, step: int) -> None:
        while self.epochs and self.epochs[-1].step >= step:
            self.epochs.pop()

    @property
    def step(self) -> int:
        """The newest step the log speaks of."""
        known = [0]
        if len(self.steps):
            known.append(int(self.steps["step"][-1]))
        if self.epochs:
            known.append(self.epochs[-1].step)
        if self.checkpoint:
            known.append(self.checkpoint.step)
        return max(known)

    @property
    def total_steps(self) -> int:
        """Steps planned in all; 0 while it is not known."""
        return self.run.epochs * self.run.steps_per_epoch if self.run else 0

    @property
    def best(self) -> ev.EpochEvent | None:
        """The epoch with the lowest test loss."""
        finite = [e for e in self.epochs if e.test.loss is not None]
        return min(finite, key=lambda e: e.test.loss or 0.0, default=None)


def read_history(log: Path) -> History:
    """The history as far as the log at `log` has been written."""
    history = History()
    history.extend(ev.LogTail(log).read_all())
    return history
