"""Clocks of the training loop: they stop during pauses, say when a checkpoint is due, and limit warnings."""

from __future__ import annotations

import math
import time

WRITING_SHARE = 0.01
"""The share of the time that writing a checkpoint after every epoch may take: training hardly slows down."""

RETRY_EVERY = 2.0
"""Seconds after which a checkpoint that could not be written is tried again, at least: it may be of gigabytes."""

RETRY_SHARE = 0.05
"""The share of the time that these attempts may take."""

LONGEST = 30.0
"""Seconds between two checkpoints at most: a crash loses no more."""


FIRST_QUIET, LONGEST_QUIET = 60.0, 3600.0
"""Seconds for which a warning is not repeated: at first, and at most, while it keeps coming. In ten hours it is then
written 16 times; unlimited, a symptom that comes and goes in epochs of 40 ms would be written seven times a second."""


class Stopwatch:
    """Counts the seconds while it runs, beginning at `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def start(self) -> None:
        """Go on counting."""
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        """Stop counting."""
        if self._since is not None:
            self._seconds += time.monotonic() - self._since
            self._since = None

    @property
    def running(self) -> bool:
        return self._since is not None

    @property
    def seconds(self) -> float:
        """The seconds counted so far."""
        return self._seconds + (time.monotonic() - self._since if self._since is not None else 0.0)


class CheckpointTimer:
    """Says when the next checkpoint is due.

    Without `every`: at an epoch's end if writing takes less than `WRITING_SHARE` of the time, and after `LONGEST`
    seconds in any case. With it: every `every` seconds; 0 is after every epoch.
    """

    def __init__(self, every: float | None) -> None:
        self._every = every
        self.cost = 0.0
        """Seconds that the last attempt to write one took."""
        self._last = time.monotonic()
        self._retry_at = 0.0

    def due(self, at_epoch_end: bool) -> bool:
        """Whether a checkpoint is due now."""
        passed = time.monotonic() - self._last
        if self._every is not None:
            return passed >= self._every and (at_epoch_end or self._every > 0)
        return passed >= LONGEST or (at_epoch_end and self.cost < WRITING_SHARE * passed)

    def wrote(self, seconds: float) -> None:
        """Note that a checkpoint was written, which took so long."""
        self.cost = seconds
        self._last = time.monotonic()

    def failed(self) -> None:
        """Note that a checkpoint could not be written."""
        self._retry_at = time.monotonic() + max(RETRY_EVERY, self.cost / RETRY_SHARE)

    @property
    def retry_due(self) -> bool:
        """Whether it is time to try again what has failed."""
        return time.monotonic() >= self._retry_at


class WarningLimit:
    """Says whether a warning may be written: each kind stays quiet for a time, which doubles while it keeps coming."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[float, float]] = {}  # kind → when, and the seconds of quiet from then on

    def take(self, kind: str) -> bool:
        """Whether a warning of this kind may be written now; if so, it counts as written."""
        at, quiet = self._written.get(kind, (-math.inf, 0.0))
        if time.monotonic() - at < quiet:
            return False
        self.wrote(kind)
        return True

    def wrote(self, kind: str) -> None:
        now = time.monotonic()
        at, quiet = self._written.get(kind, (-math.inf, FIRST_QUIET))
        keeps_coming = now - at < 2 * quiet
        self._written[kind] = now, min(2 * quiet, LONGEST_QUIET) if keeps_coming else FIRST_QUIET
