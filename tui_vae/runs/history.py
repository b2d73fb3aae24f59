"""What a run's events add up to: the curves, the epochs, the newest state."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from tui_vae.runs import events as ev
from tui_vae.runs.health import health
from tui_vae.runs.packed_epochs import PackedEpochs, pack, unpack
from tui_vae.runs.safe_files import open_to_read
from tui_vae.runs.valid_epochs import Epochs, last_valid_step

MOST_MESSAGES = 100
"""Warnings and errors that are remembered: more than anybody reads."""

STEP_FIELDS = ("t", "epoch", "step", "images", "loss", "recon", "kl", "lr", "beta", "images_per_s")
"""In the order of a `StepEvent`'s fields."""


GAUGE_FIELDS = ("t", "step", "encoder_gradient", "decoder_gradient", "cpu", "memory", "gpu", "gpu_memory")
"""In the order of a `GaugeEvent`'s fields."""


class StepSeries:
    """The `step` events as columns of doubles, or others that have a step; a number that was not finite is NaN.

    fields: of an event, in their order.
    """

    def __init__(self, fields: tuple[str, ...] = STEP_FIELDS) -> None:
        self.columns: dict[str, array[float]] = {name: array("d") for name in fields}
        self._step = fields.index("step")

    def __len__(self) -> int:
        return len(self.columns["step"])

    def __getitem__(self, name: str) -> array[float]:
        return self.columns[name]

    def extend(self, columns: Sequence[array[float]]) -> None:
        """Add events, a column for each field.

        One at or before steps already known replaces them: a resumed run logs those steps again.
        """
        known, steps = self.columns["step"], columns[self._step]
        if (known and steps[0] <= known[-1]) or not all(map(float.__lt__, steps, steps[1:])):
            for row, step in enumerate(steps):
                self.cut(step)
                for mine, column in zip(self.columns.values(), columns, strict=True):
                    mine.append(column[row])
            return
        for mine, column in zip(self.columns.values(), columns, strict=True):
            mine.extend(column)

    def cut(self, step: float) -> None:
        """Forget everything from `step` on."""
        steps = self.columns["step"]
        if steps and step <= steps[-1]:
            keep = bisect_left(steps, step)
            for column in self.columns.values():
                del column[keep:]


class EventBatch(NamedTuple):
    """Consecutive events of one process: its steps as columns, in the order of `STEP_FIELDS`, and all others.

    Many steps at once are cheaper to add. Only `run` events depend on which steps came before them, so a batch begins
    with each of them.
    """

    others: list[ev.AnyEvent]
    steps: list[array[float]]


def batched(events: Iterable[ev.AnyEvent]) -> list[EventBatch]:
    """Events in batches for `History.apply_batch`."""
    batches: list[EventBatch] = []
    others: list[ev.AnyEvent] = []
    steps: list[ev.StepEvent] = []
    for event in events:
        if isinstance(event, ev.StepEvent):
            steps.append(event)
            continue
        if isinstance(event, ev.RunEvent):
            batches.append(EventBatch(others, columns_of(steps)))
            others, steps = [], []
        others.append(event)
    batches.append(EventBatch(others, columns_of(steps)))
    return batches


def columns_of(events: Sequence[ev.StepEvent]) -> list[array[float]]:
    """The fields of events as columns; a number that was not finite is NaN. No columns where there are no events."""
    if not events:
        return []
    values = list(chain.from_iterable(map(msgspec.structs.astuple, events)))
    try:
        flat = array("d", values)
    except TypeError:  # a number that was not finite
        flat = array("d", [math.nan if value is None else value for value in values])
    return [flat[at :: len(STEP_FIELDS)] for at in range(len(STEP_FIELDS))]


class History:
    """A run as its log describes it."""

    def __init__(self) -> None:
        self.run: ev.RunEvent | None = None
        self.state: ev.StateEvent | None = None
        self.steps = StepSeries()
        self.gauges = StepSeries(GAUGE_FIELDS)
        self.gaps: list[tuple[float, float]] = []
        """From when to when no process trained, between steps that are both known; seconds since the epoch."""
        self.previews: dict[int, str] = {}
        self.controls: list[ev.ControlEvent] = []
        self.checkpoint: ev.CheckpointEvent | None = None
        self.messages: deque[ev.WarningEvent | ev.ErrorEvent] = deque(maxlen=MOST_MESSAGES)
        self._said: deque[str] = deque(maxlen=MOST_MESSAGES)
        """What the newest process has warned of, and why it failed."""
        self._epochs: Epochs[bytes] = Epochs(pack)

    @property
    def refusal(self) -> ev.ErrorEvent | None:
        """Why the run was refused before it began; None where it was not."""
        newest = next((each for each in reversed(self.messages) if isinstance(each, ev.ErrorEvent)), None)
        failed = self.state is not None and self.state.state == "failed"
        return newest if failed and newest is not None and newest.refused else None

    @property
    def epochs(self) -> PackedEpochs:
        """The valid epochs, without their `kl_per_dim`."""
        return PackedEpochs(self._epochs.kept)

    @property
    def best(self) -> ev.EpochEvent | None:
        """The epoch with the best test figure, which is the loss unless the run says otherwise."""
        best = self._epochs.best
        return None if best is None else unpack(best)

    @property
    def has_trained_all(self) -> bool:
        """Whether the newest checkpoint is of all planned epochs: to go on then takes more of them."""
        if self.run is None or self.checkpoint is None or not self.epochs:
            return False
        newest = self.epochs[-1]
        return newest.epoch >= self.run.epochs and self.checkpoint.step >= newest.step

    def health(self, state: str) -> tuple[str, ...]:
        """What is wrong with the run, as of `health.health`. `state`: of the run."""
        dimensions = self.run.config.get("latent-dim") if self.run else 0
        return health(
            self.epochs[-1] if self.epochs else None,
            self._said,
            state,
            dimensions if isinstance(dimensions, int) else 0,
            self.run,
        )

    def extend(self, events: Iterable[ev.AnyEvent]) -> None:
        """Apply events in the order of the log."""
        for batch in batched(events):
            self.apply_batch(batch)

    def apply_batch(self, batch: EventBatch) -> None:
        for event in batch.others:
            self.apply(event)
        if batch.steps:
            self.steps.extend(batch.steps)

    def apply(self, event: ev.AnyEvent) -> None:
        """Apply the next event of the log."""
        match event:
            case ev.StepEvent():
                self.steps.extend(columns_of([event]))
            case ev.EpochEvent():
                self._epochs.apply(event)
            case ev.GaugeEvent():
                values = (math.nan if value is None else value for value in msgspec.structs.astuple(event))
                self.gauges.extend([array("d", [value]) for value in values])
            case ev.StateEvent():
                self.state = event
            case ev.RunEvent():
                self.run = event
                self._said.clear()
                self._epochs.apply(event)
                last = last_valid_step(event)
                self.steps.cut(last + 1)
                self.gauges.cut(last + 1)
                if self.checkpoint and self.checkpoint.step > last:
                    self.checkpoint = None
                self.controls = [each for each in self.controls if each.step <= last]
                self.previews = {epoch: file for epoch, file in self.previews.items()
                                 if epoch * event.steps_per_epoch <= last}  # fmt: skip
                self._note_gap(event.t)
            case ev.PreviewEvent():
                self.previews[event.epoch] = event.file
            case ev.CheckpointEvent():
                self.checkpoint = event
            case ev.ControlEvent():
                self.controls.append(event)
            case ev.WarningEvent() | ev.ErrorEvent():
                self.messages.append(event)
                self._said.append(event.message)

    def _note_gap(self, until: float) -> None:
        times = self.steps["t"]
        last = times[-1] if times else -math.inf
        self.gaps = [each for each in self.gaps if each[0] < last]
        if times and until > last:
            self.gaps.append((last, until))

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


LONG = 2 << 20
"""Bytes from which on a log is long: it takes a part of a second to read, so its two ends are shown first."""

ENDS = 8
"""A log is this many times as long as each of its two ends, at least, where these are read alone."""


def read_newest(log: Path, size: int = LONG // ENDS) -> History | None:
    """The newest figures of a run from the first and last `size` bytes of a long log; None where it is not long.

    Curves begin with the tail; what stands between the ends is missing.
    """
    try:
        with open_to_read(log) as file:
            end = file.seek(0, 2)
            if end <= ENDS * size:
                return None
            file.seek(0)
            head = file.read(size).rpartition(b"\n")[0]
            file.seek(end - size)
            tail = file.read().partition(b"\n")[2]
    except FileNotFoundError:
        return None
    history = History()
    history.extend(event for event in ev.parse_lines(head) if not isinstance(event, ev.StepEvent | ev.EpochEvent))
    newest = ev.parse_lines(tail)
    if newest and not any(isinstance(event, ev.StateEvent) for event in newest):
        history.apply(ev.StateEvent(t=newest[0].t, state="training"))  # nothing else fills a log
    history.extend(newest)
    return history


def read_history(log: Path) -> History:
    """The history as far as the log at `log` has been written."""
    history = History()
    history.extend(ev.LogTail(log).read_all())
    return history
