"""Which processes are trainers of this user: looked up before a message names one, or a signal goes to one.

The number in a lock file proves nothing: it may be old, of another host, or a stranger's invention.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

COMMAND = "tui_vae.trainer"
"""The module that a trainer's command line names."""

PROC = Path("/proc")
LOST_LOCK = "/lock (deleted)"
"""How Linux shows the lock that a process still holds although its file has been deleted."""


def host_name() -> str:
    """The name of this machine, which locks on shared disks say besides the process's number."""
    return os.uname().nodename


@cache
def boot_id() -> str:
    """A value of this boot of this machine; empty where the system has none."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_trainer_of(lock: Path, pid: int) -> bool:
    """Whether the process `pid` is a trainer of this user that has the file `lock` open."""
    import psutil

    if pid <= 1:  # 0 and negative numbers mean whole groups of processes to kill()
        return False
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if process.uids().real == os.getuid() and COMMAND in process.cmdline():
            wanted = os.stat(lock)
            return any(os.path.samestat(os.stat(file.path), wanted) for file in process.open_files())
    return False


def lost_trainers(runs_dir: Path = Path("/")) -> list[int]:
    """Trainers of this user whose run in `runs_dir` has been deleted: no list of runs shows them. Empty without /proc.

    A trainer ends by itself within seconds; one that is stopped or hangs, or is of an older version, does not.
    Without `runs_dir` those of every runs directory are meant.
    """
    try:
        numbers = [int(name) for name in os.listdir(PROC) if name.isdecimal()]
    except OSError:
        return []
    place = runs_dir.resolve()
    return [pid for pid in numbers if _is_lost(pid, place)]


def _is_lost(pid: int, place: Path) -> bool:
    folder = PROC / str(pid)
    with suppress(OSError):
        if folder.stat().st_uid != os.getuid():
            return False
        if COMMAND.encode() not in (folder / "cmdline").read_bytes().split(b"\0"):
            return False
        opened = map(os.readlink, (folder / "fd").iterdir())
        return any(path.endswith(LOST_LOCK) and Path(path).is_relative_to(place) for path in opened)
    return False


def flock_is_held(path: Path) -> bool:
    """Whether Linux lists an exclusive `flock` on a file, which may be unreadable; False where it cannot be told."""
    try:
        facts = path.stat()
        listed = (PROC / "locks").read_text().splitlines()
    except OSError:
        return False
    wanted = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    # 1: FLOCK  ADVISORY  WRITE 6014 fe:00:2287177 0 EOF
    return any(fields[1:2] == ["FLOCK"] and "WRITE" in fields and wanted in fields for fields in map(str.split, listed))
