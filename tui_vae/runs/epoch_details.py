"""What only the log knows of each epoch: the KL of each latent dimension, and error and KL of each class."""

from __future__ import annotations

import math
import threading
from array import array
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from tui_vae.runs import events as ev
from tui_vae.runs.valid_epochs import last_valid_step

OF_EPOCHS = (b'"kind":"epoch"', b'"kind":"run"')
"""What lines have that are read; steps, which are most of a log, are passed over unread."""

MOST = 2000
"""Epochs that are kept: more than any terminal has columns. Of more, every second one goes, as often as needed."""


@dataclass(frozen=True, eq=False)
class EpochDetail:
    """An epoch on the test set; numbers that were not finite are NaN.

    kl_per_dim: nats, of each dimension. class_mse, class_kl: of each class, empty where they were not logged: a pixel's
    squared error on [0, 1] at z = μ, and the KL in nats, means over its images.
    """

    epoch: int
    step: int
    kl_per_dim: array[float]
    class_mse: array[float]
    class_kl: array[float]


class EpochDetails:
    """Follows a log. `read` is for threads of their own, one of which reads at a time; `details` are replaced, never
    changed, when they grow."""

    def __init__(self, log: Path) -> None:
        self.details: tuple[EpochDetail, ...] = ()
        self._tail = ev.LogTail(log, only=OF_EPOCHS)
        self._kept: list[EpochDetail] = []
        self._every = 1
        self._one_at_a_time = threading.Lock()

    def read(self) -> bool:
        """Read the next piece of the log, 1 MB at most; return whether there is more.

        Raises:
            OSError: it cannot be read.
        """
        with self._one_at_a_time:
            found = self._tail.read()
            for event in found:
                self._apply(event)
            if found:
                self.details = tuple(self._kept)
            return not self._tail.at_end()

    def _apply(self, event: ev.AnyEvent) -> None:
        last = last_valid_step(event)
        while self._kept and self._kept[-1].step > last:
            self._kept.pop()
        if isinstance(event, ev.EpochEvent) and event.test.kl_per_dim:
            if event.epoch % self._every == 0 or not self._kept:
                self._kept.append(_detail(event))
            while len(self._kept) > MOST:
                self._every *= 2
                self._kept = [each for each in self._kept if each.epoch % self._every == 0]


def _detail(event: ev.EpochEvent) -> EpochDetail:
    classes = event.by_class
    mse, kl = ((), ()) if classes is UNSET else (classes.mse, classes.kl)
    return EpochDetail(event.epoch, event.step, _floats(event.test.kl_per_dim), _floats(mse), _floats(kl))


def _floats(values: tuple[ev.Number, ...]) -> array[float]:
    return array("f", [math.nan if value is None else value for value in values])
