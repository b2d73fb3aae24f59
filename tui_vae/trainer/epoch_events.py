"""The ends of epochs in the log: whole at first and now and then, and without `kl_per_dim` between.

`kl_per_dim` was 94% of the log of a run of very short epochs, 2.5 kB an epoch with 32 dimensions.
"""

from __future__ import annotations

import math
import time

import msgspec

from tui_vae.runs import events as ev

ALL_WHOLE = 1000
"""Epochs at a run's beginning whose events are all whole: 2.5 MB with 32 latent dimensions."""

WHOLE_EVERY = 10.0
"""Seconds between two whole events after those: where epochs take longer, all are whole."""


class EpochEvents:
    """Writes the event of each epoch. The newest one is whole whenever training is not under way."""

    def __init__(self, log: ev.EventLog) -> None:
        self._log = log
        self._whole_at = -math.inf
        self._whole: ev.EpochEvent | None = None
        """The newest event, while the log has it without its `kl_per_dim`."""

    def write(self, event: ev.EpochEvent, is_last: bool) -> None:
        """`is_last`: no further epoch is planned."""
        now = time.monotonic()
        if event.epoch <= ALL_WHOLE or is_last or now - self._whole_at >= WHOLE_EVERY:
            self._whole_at, self._whole = now, None
            self._log.write(event)
        else:
            self._whole = event
            self._log.write(without_kl_per_dim(event))

    def before(self, state: ev.RunState) -> None:
        """Unless training goes on, write the newest event again, as a whole; it replaces the one before it."""
        if self._whole is not None and state != "training":
            self._log.write(msgspec.structs.replace(self._whole, t=time.time()))
            self._whole = None


def without_kl_per_dim(event: ev.EpochEvent) -> ev.EpochEvent:
    """The event without the KL of each dimension, which is most of its size."""
    train, test = (msgspec.structs.replace(figures, kl_per_dim=()) for figures in (event.train, event.test))
    return msgspec.structs.replace(event, train=train, test=test)
