"""How much of this machine's main memory is free for whoever needs it now."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONTAINER = Path("/sys/fs/cgroup")
"""Where a container finds its own control group."""

CONTAINER_MEMORY = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file "),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file "),
)
"""Of both versions of control groups: the files with a container's most memory, with what it uses now, and with a line
that says how much of that is files which nobody needs at the moment; and how that line begins."""


def free_main_memory() -> int:
    """Bytes: what the kernel can give away without swapping, or what is left of the container's limit if it is less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, used, details, beginning in CONTAINER_MEMORY:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            most, now = (int((CONTAINER / name).read_text()) for name in (limit, used))
            with suppress(OSError, ValueError):
                for line in (CONTAINER / details).read_text().splitlines():
                    if line.startswith(beginning):
                        now -= int(line.removeprefix(beginning))
            free = min(free, most - now)
    return free


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Meanwhile this process may ask for so many more bytes of memory at most; what asks for more gets a `MemoryError`.

    For libraries that take memory as a file from a stranger says. Nothing is bounded where the system has no such limit
    (macOS), or cannot tell how much is in use.
    """
    before, highest = resource.getrlimit(resource.RLIMIT_AS)
    try:
        most = size + int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        if before == resource.RLIM_INFINITY or most < before:
            resource.setrlimit(resource.RLIMIT_AS, (most, highest))
    except (OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, highest))
