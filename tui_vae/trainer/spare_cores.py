"""How many cores other processes leave to this one."""

from __future__ import annotations

import math
import os
import time

import psutil

LEAST_SECONDS = 0.5
"""Less says nothing."""


class SpareCores:
    """The mean number of idle cores among those this process may use, since this was made, and of those it kept busy.

    While PyTorch is imported, on one core, that is known without waiting for it.
    """

    def __init__(self) -> None:
        self._began, self._idle, self._mine = time.monotonic(), _idle_seconds(), time.process_time()

    def count(self) -> float:
        """Infinite where it has not been looked at for long enough."""
        seconds = time.monotonic() - self._began
        if seconds < LEAST_SECONDS:
            return math.inf
        return (_idle_seconds() - self._idle + time.process_time() - self._mine) / seconds


def _idle_seconds() -> float:
    """Of all cores that this process may use."""
    cores = psutil.cpu_times(percpu=True)
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(cores))
    return float(sum(times.idle + getattr(times, "iowait", 0) for core, times in enumerate(cores) if core in usable))
