"""How much of this machine's memory a process that starts now may use."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

CGROUP_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""The files with a container's most memory and what it uses now, of both versions of control groups."""


def free_main_memory(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes: what the kernel can give away without swapping, or what is left of the container's limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, used in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            free = min(free, int((cgroups / limit).read_text()) - int((cgroups / used).read_text()))
    return free
