"""Holds each input to the promise: an error for users at most, within seconds, in bounded memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

SECONDS = 20
"""What one input may take: a thousand times what it takes, so that a loaded machine fails no test."""

MEMORY = 1 << 30
"""Bytes that all inputs of a target may add to this process's address space: a message may have 64 MiB, and every
thread reserves some."""


class Hung(BaseException):
    """An input took too long. No `except Exception` catches it."""


@contextmanager
def time_limit() -> Iterator[None]:
    """
    Raises:
        Hung: what runs within takes longer than `SECONDS`.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Hung(f"an input took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def memory_limit() -> Iterator[None]:
    """Within, an allocation beyond `MEMORY` more than now raises MemoryError, where the system has such a limit."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, before)
