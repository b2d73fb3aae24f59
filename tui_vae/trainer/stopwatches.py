"""Clocks of the training loop: time that pauses do not count in, and how often a checkpoint is worth its time."""

from __future__ import annotations

import time

SHARE = 0.01
LONGEST = 30.0


class Stopwatch:
    """Seconds that passed while it ran, from `seconds` on."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def start(self) -> None:
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        if self._since is not None:
            self._seconds += time.monotonic() - self._since
            self._since = None

    @property
    def running(self) -> bool:
        return self._since is not None

    @property
    def seconds(self) -> float:
        return self._seconds + (time.monotonic() - self._since if self._since is not None else 0.0)


class CheckpointPace:
    """When the next checkpoint is due.

    Without `every`: at an epoch's end as soon as writing takes under 1% of the time, and after 30 seconds in any case.
    With it: every so many seconds.
    """

    def __init__(self, every: float | None) -> None:
        self._every = every
        self._cost = 0.0
        self._last = time.monotonic()

    def due(self, at_epoch_end: bool) -> bool:
        passed = time.monotonic() - self._last
        if self._every is not None:
            return passed >= self._every and (at_epoch_end or self._every > 0)
        return passed >= LONGEST or (at_epoch_end and self._cost < SHARE * passed)

    def wrote(self, seconds: float) -> None:
        self._cost = seconds
        self._last = time.monotonic()
