"""What a run's lock file says of the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from tui_vae.runs.foreign_text import cleaned
from tui_vae.runs.processes import boot_id, flock_is_held, host_name
from tui_vae.runs.safe_files import open_plain

HOLDER_LENGTH = 512
"""Bytes of the JSON in the lock file, padded with spaces: writes of one length leave no rest of an older one."""

MOST_TROUBLE = 100
"""Characters of `trouble` in the lock: what 512 bytes leave beside a socket's path, a host and a boot."""

MOST_HOST = 64
"""Characters of the host's name in the lock file: the longest that Linux allows."""

BEAT_EVERY = 5.0
"""Seconds between two beats of the process that holds a lock: it writes its claim anew, with another number.

Some network file systems keep a lock to the host that took it (sshfs, NFS with local_lock, Lustre with localflock);
there the beats show other hosts that the process lives."""

FRESH = 20.0
"""Seconds since the last beat for which a process on another host counts as living: a few beats, as clocks differ."""

Mode = Literal["train", "serve"]


class Holder(msgspec.Struct, frozen=True):
    """Who holds a run's lock: a process that trains it, or only serves its weights; `socket`: where it listens.

    `host` and `boot`: the machine of the process, and which of its boots; empty in older locks. `trouble`: why training
    waits, where the log may not be able to take it, as on a full disk; empty while it does not. `beat`: a number that
    changes while the process lives. All of it is a claim of the file: `RunDirectory.process` gives a number that has
    been checked.
    """

    pid: int
    mode: Mode
    socket: str = ""
    host: str = ""
    boot: str = ""
    trouble: str = ""
    beat: int = 0

    @property
    def elsewhere(self) -> str:
        """The other host, if the process is not on this one, as with a disk that hosts share; else empty."""
        here = self.boot == boot_id() if self.boot and boot_id() else self.host in ("", host_name()[:MOST_HOST])
        return "" if here else self.host or "unknown"


def read_holder(lock: Path) -> Holder | None:
    """The living process that holds a lock file, if any. The kernel frees a lock when its process ends: none is stale.

    Where the file system keeps a lock to its host, the beats tell of a process on another one.
    Only its owner can open a lock. Others learn from the system's list of locks that a process lives, not which; so
    they do of a lock that an older version left open to all, as its process answers nobody but its own user.
    """
    try:
        file = open_plain(lock)
    except PermissionError:
        return Holder(pid=0, mode="train") if flock_is_held(lock) else None
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)  # at once: whoever wants to take it now must not wait
    except BlockingIOError:
        holder, facts = read_claim(file), os.fstat(file)
        if holder is None:
            return Holder(pid=0, mode="train")  # it took the lock this instant and has not said who it is
        strangers = facts.st_uid != os.geteuid() and facts.st_mode & 0o077
        return msgspec.structs.replace(holder, pid=0, socket="") if strangers else holder
    except OSError:
        return None  # a file system without locks
    else:
        claim = read_claim(file)
        fresh = abs(time.time() - os.fstat(file).st_mtime) < FRESH
        return claim if claim is not None and claim.elsewhere and fresh else None
    finally:
        os.close(file)


def read_claim(file: int) -> Holder | None:
    """What an open lock file says, whether that is true or not; None where it says nothing."""
    try:
        return cleaned(msgspec.json.decode(os.pread(file, HOLDER_LENGTH, 0), type=Holder))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
