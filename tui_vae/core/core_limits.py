"""How many CPU cores this process may keep busy, and what says so: affinity, quotas of control groups, OpenMP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tui_vae.affinity import usable_core_numbers

OPENMP = "OMP_NUM_THREADS"


class CoreLimit(NamedTuple):
    """So many cores, and what limits them to that, such as `the CPU quota of control group /jobs`."""

    cores: int
    reason: str


def usable_cores(root: Path = Path("/")) -> CoreLimit:
    """The smallest of this process's limits; of equal ones the least special. `root`: of the system's files."""
    machine = os.cpu_count() or 1
    limits = [
        CoreLimit(machine, "all cores of the machine"),
        CoreLimit(len(usable_core_numbers()), "this process's affinity (taskset, cpuset)"),
        *_quotas(root),
    ]
    return min(limits, key=lambda limit: limit.cores)


def openmp_threads() -> int | None:
    """`OMP_NUM_THREADS` of the environment, which may have a number for each level of nested threads."""
    first = os.environ.get(OPENMP, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


def _quotas(root: Path) -> Iterator[CoreLimit]:
    """The quotas of the process's control groups and of all groups above them, of both versions, in whole cores."""
    with suppress(OSError):
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = list(_mounts(root))
        for line in groups:  # 4:cpu,cpuacct:/jobs/7, or 0::/jobs/7 of version 2
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            version_2 = number == "0" and not controllers
            if not version_2 and "cpu" not in controllers.split(","):
                continue
            for top, folder, is_version_2 in mounts:
                if is_version_2 == version_2:
                    for group, place in _groups(top, folder, path):
                        quota = _quota_2(place) if version_2 else _quota_1(place)
                        if quota is not None:
                            cores = max(1, int(quota))
                            yield CoreLimit(cores, f"the CPU quota of control group {group}")


def _mounts(root: Path) -> Iterator[tuple[str, Path, bool]]:
    """Where control groups with CPU quotas are mounted: the group that lies there, the folder, whether version 2."""
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        # 32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        fields, kind = before.split(" "), after.split(" ")
        is_version_2 = kind[0] == "cgroup2"
        if is_version_2 or (kind[0] == "cgroup" and "cpu" in kind[-1].split(",")):
            yield fields[3], root / fields[4].lstrip("/"), is_version_2


def _groups(top: str, folder: Path, path: str) -> Iterator[tuple[str, Path]]:
    """The group `path` and those above it as far as they are mounted, each with its folder.

    A container may see only a part of the tree: where its own group is not in there, the mounted one is its own.
    """
    group = PurePosixPath(path)
    try:
        inner = group.relative_to(top)
    except ValueError:
        inner = PurePosixPath()
    if ".." in inner.parts:
        inner = PurePosixPath()
    for part in (inner, *inner.parents):
        yield str(PurePosixPath(top) / part), folder / part


def _quota_2(folder: Path) -> float | None:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    return None


def _quota_1(folder: Path) -> float | None:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return None if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text())
    return None
