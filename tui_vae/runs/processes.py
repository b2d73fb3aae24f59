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
    """Trainers of this user whose run in `runs_dir` is gone: no list of runs shows them. Empty without /proc.

    Its directory has been deleted, and a trainer then ends by itself within seconds, but for one that is stopped or
    hangs, or is of an older version; or its disk has been taken away, and it goes on. Without `runs_dir` those of every
    runs directory are meant.
    """
    try:
        numbers = [int(name) for name in os.listdir(PROC) if name.isdecimal()]
    except OSError:
        return []
    places = {runs_dir.absolute(), runs_dir.resolve()}
    return [pid for pid in numbers if _is_lost(pid, places)]


def _is_lost(pid: int, places: set[Path]) -> bool:
    with suppress(OSError):
        # A server has thousands of processes, and `ls` asks about each: the path is put together as text.
        with open(f"{PROC}/{pid}/cmdline", "rb", buffering=0) as file:
            line = file.read()
        if COMMAND.encode() not in line:
            return False
        words, folder = os.fsdecode(line).split("\0"), PROC / str(pid)
        if COMMAND not in words or folder.stat().st_uid != os.getuid():
            return False
        opened = [os.readlink(path) for path in (folder / "fd").iterdir()]
        if any(path.endswith(LOST_LOCK) and _is_in(path, places) for path in opened):
            return True
        given, locks = words[words.index(COMMAND) + 1], [path for path in opened if path.endswith("/lock")]
        return _is_in(given, places) and any(_is_out_of_reach(folder, Path(path), Path(given)) for path in locks)
    return False


def _is_in(path: str, places: set[Path]) -> bool:
    return any(Path(path).is_relative_to(place) for place in places)


def _is_out_of_reach(folder: Path, lock: Path, run: Path) -> bool:
    """Whether a lock that a process holds is on a disk that was taken away: Linux then shows its path on that disk.

    folder: of the process. run: the directory that it was started on; a renamed one is looked for on the disk, as long
    as it is not in its place, since a server that does not answer makes everybody wait.
    """
    if lock.is_relative_to(run.parent) or os.readlink(folder / "ns/mnt") != os.readlink(PROC / "self/ns/mnt"):
        return False  # a container has paths of its own
    return not lock.exists()


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
