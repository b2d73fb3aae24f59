"""How many cores other processes leave to this one."""

from __future__ import annotations

import math
import time

import psutil

from tui_vae.affinity import usable_core_numbers

LEAST_SECONDS = 0.5
"""Seconds to measure for: the kernel counts idle time in steps of 0.01, and other processes come and go."""


class SpareCores:
    """Measures how many cores were idle or busy with this process, on average, since this object was made.

    Only cores that this process may use count. Importing PyTorch takes long enough for a measurement.
    """

    def __init__(self) -> None:
        self._began, self._idle, self._mine = time.monotonic(), _idle_seconds(), time.process_time()

    def count(self) -> float:
        """The measurement so far; infinite before `LEAST_SECONDS`."""
        seconds = time.monotonic() - self._began
        if seconds < LEAST_SECONDS:
            return math.inf
        return (_idle_seconds() - self._idle + time.process_time() - self._mine) / seconds


def _idle_seconds() -> float:
    """Seconds that the cores which this process may use have been idle, since the machine started."""
    cores = psutil.cpu_times(percpu=True)
    usable = usable_core_numbers()
    return float(sum(times.idle + getattr(times, "iowait", 0) for core, times in enumerate(cores) if core in usable))
