"""What to tell users about a file that cannot be written: each error of the system has a remedy of its own."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.runs.advice import quoted

NETWORK = "bring its network drive back"
DISK_BROKEN = "look what the system's log says of that disk (dmesg), and copy the run to another one"

HINTS = {
    errno.ENOSPC: "free some space on the disk of {folder}",
    errno.EDQUOT: "your quota there is used up: delete files of yours on the disk of {folder}, or ask for more",
    errno.EFBIG: "the disk of {folder} takes no file of that size: copy the run to another one",
    errno.EIO: DISK_BROKEN,
    errno.ENXIO: DISK_BROKEN,
    errno.ENODEV: DISK_BROKEN,
    errno.EROFS: "the disk of {folder} is read-only: mount it so that it can be written",
    errno.EACCES: "give yourself the permission to write there: chmod u+rwx {quoted}",
    errno.EPERM: "give yourself the permission to write there: chmod u+rwx {quoted}",
    errno.ENOTCONN: NETWORK,
    errno.ESTALE: NETWORK,
    errno.ETIMEDOUT: NETWORK,
    errno.EHOSTDOWN: NETWORK,
    errno.EHOSTUNREACH: NETWORK,
    errno.ENETDOWN: NETWORK,
    errno.ENETUNREACH: NETWORK,
    errno.EMFILE: "this process has too many files open: find out which program opens so many (lsof -p {pid})",
    errno.ENFILE: "all processes together have too many files open: end some of them",
    errno.ENOENT: "the folder that it belongs into is not there: make it again, {folder}",
}
"""Error number → what to do. `folder`: of the file, `quoted` for a shell; `pid`: of this process."""

LIMITS = {errno.EFBIG: ("a file's size", "fsize", resource.RLIMIT_FSIZE),
          errno.EMFILE: ("open files", "nofile", resource.RLIMIT_NOFILE)}  # fmt: skip
"""Error number → the limit of this process that may be behind it: in words, in those of prlimit, and in Python's."""

OTHER = "see to it that {folder} can be written"


class Unwritable(UserError):
    """A file cannot be written now. What was there before is untouched."""


def unwritable(what: str, error: OSError, folder: Path) -> Unwritable:
    """The error that says which thing could not be written into `folder`, why, and what to do about it."""
    why = error.strerror or type(error).__name__
    hint = HINTS.get(error.errno or 0, OTHER).format(folder=folder, quoted=quoted(str(folder)), pid=os.getpid())
    return Unwritable(f"cannot write {what}: {why}", _limit_hint(error.errno or 0) or hint)


def _limit_hint(number: int) -> str:
    """How to raise the limit behind an error while this process lives; empty where no limit is behind it."""
    if number not in LIMITS:
        return ""
    what, name, which = LIMITS[number]
    now, highest = resource.getrlimit(which)
    if now == resource.RLIM_INFINITY:
        return ""
    pid = os.getpid()
    if now == highest:  # which only an administrator raises
        return f"have an administrator raise the limit on {what}: prlimit --{name}=unlimited --pid {pid}"
    most = "unlimited" if highest == resource.RLIM_INFINITY else highest
    return f"raise the limit on {what}: prlimit --{name}={most}: --pid {pid}"
