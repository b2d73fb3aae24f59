"""Whose a run is: its owner changes it, whoever may read it may look at it, and looking writes nothing into it."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tui_vae.runs.file_locks import has_locks
from tui_vae.runs.safe_files import is_of_this_user


def why_read_only(folder: Path, config: Path, files: Iterable[Path]) -> str:
    """Why this user may only look at a run, as the end of a sentence about it; empty where they may change it.

    folder: of the run. config: a file that is there. files: those that its processes write to, which may be missing.
    """
    try:
        facts = folder.stat()
        if not is_of_this_user(facts, folder):
            return f"belongs to {user_name(facts.st_uid)}"
    except OSError:
        return ""  # it is gone, or out of reach: whoever needs it says so
    if not os.access(folder, os.W_OK | os.X_OK):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return "is on a disk that can only be read"
        return "is in a directory that you may not write to"
    for file in files:
        with suppress(OSError):
            facts = file.lstat()
            if not stat.S_ISREG(facts.st_mode):
                continue  # whoever opens it says what it is instead
            if not is_of_this_user(facts, folder):
                return f"has a file {file.name} that belongs to {user_name(facts.st_uid)}"
            if not os.access(file, os.W_OK):
                return f"has a file {file.name} that you may not write to"
    if not has_locks(config):
        return "is on a disk without file locks (flock)"
    return ""


def user_name(number: int) -> str:
    """`user ada`, or `user 1000` where the number has no name."""
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"
