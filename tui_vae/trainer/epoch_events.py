"""The ends of epochs in the log: whole at first and now and then, and without `kl_per_dim` and `by_class` between.

`kl_per_dim` was 94% of the log of a run of very short epochs, 2.5 kB an epoch with 32 dimensions.
"""

from __future__ import annotations

import math
import time

import msgspec
from msgspec import UNSET

from tui_vae.core.data.datasets import Dataset
from tui_vae.core.evaluation.class_means import class_means
from tui_vae.core.evaluation.posteriors import PosteriorStatistics
from tui_vae.runs import events as ev

ALL_WHOLE = 1000
"""Epochs at a run's beginning whose events are all whole: 2.5 MB with 32 latent dimensions."""

WHOLE_EVERY = 10.0
"""Seconds between two whole events after those: where epochs take longer, all are whole."""


MOST_CLASSES = 100
"""Classes whose figures are logged: of 1,000 they would be ten times as long as all else of an epoch."""


class EpochEvents:
    """Writes the event of each epoch. The newest one is whole whenever training is not under way."""

    def __init__(self, log: ev.EventLog, dataset: Dataset) -> None:
        self._log = log
        self._dataset = dataset
        self._whole_at = -math.inf
        self._whole: tuple[ev.EpochEvent, PosteriorStatistics] | None = None
        """The newest event and its evaluation of the test set, while the log has it without its `kl_per_dim`."""

    def write(self, event: ev.EpochEvent, test: PosteriorStatistics, is_last: bool) -> None:
        """Write an event, and what its evaluation of the test set found of each class; `is_last`: no further epoch is
        planned."""
        now = time.monotonic()
        if event.epoch <= ALL_WHOLE or is_last or now - self._whole_at >= WHOLE_EVERY:
            self._whole_at, self._whole = now, None
            self._log.write(self._with_classes(event, test))
        else:
            self._whole = event, test
            self._log.write(without_kl_per_dim(event))

    def _with_classes(self, event: ev.EpochEvent, test: PosteriorStatistics) -> ev.EpochEvent:
        labels, count = self._dataset.test_labels, len(self._dataset.classes)
        if labels is None or not 0 < count <= MOST_CLASSES:
            return event
        mse, kl = (tuple(_number(value) for value in means.tolist()) for means in class_means(test, labels, count))
        return msgspec.structs.replace(event, by_class=ev.ByClass(mse, kl))

    def before(self, state: ev.RunState) -> None:
        """Unless training goes on, write the newest event again, as a whole; it replaces the one before it."""
        if self._whole is not None and state != "training":
            self._log.write(msgspec.structs.replace(self._with_classes(*self._whole), t=time.time()))
            self._whole = None


def _number(value: float) -> ev.Number:
    return value if math.isfinite(value) else None


def without_kl_per_dim(event: ev.EpochEvent) -> ev.EpochEvent:
    """The event without the KL of each dimension and the figures of each class, which are most of its size."""
    train, test = (msgspec.structs.replace(figures, kl_per_dim=()) for figures in (event.train, event.test))
    return msgspec.structs.replace(event, train=train, test=test, by_class=UNSET)
