"""Which CPU cores this process may use."""

from __future__ import annotations

import os


def usable_core_numbers() -> frozenset[int]:
    """The cores that this process's affinity allows; all cores where the system has no affinity, as macOS."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))
