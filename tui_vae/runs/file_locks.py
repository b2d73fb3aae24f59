"""File systems without `flock`, as Lustre or NFS may be mounted: runs on them can be looked at, not trained."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from tui_vae.runs.safe_files import open_plain

MISSING = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of a `flock` that the file system does not have."""

WHAT_TO_DO = "choose a --runs-dir on another disk, or have that one mounted with file locks (on Lustre: -o flock)"


def has_locks(file: Path) -> bool:
    """Whether the file system of a file, which stays as it is, has locks; True where that cannot be told."""
    try:
        handle = open_plain(file)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in MISSING
    finally:
        os.close(handle)
    return True
