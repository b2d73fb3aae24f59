"""Other users, and runs of theirs."""

import os
import subprocess
import sys
from pathlib import Path

from tui_vae.runs.directory import RunDirectory

NOBODY = 65534


def as_nobody(code: str, directory: RunDirectory) -> str:
    """What a program prints that runs as another user, who may only read the run; `run` is the run's directory."""
    os.chmod(directory.path.parent, 0o755)
    become = f"""
import fcntl, hashlib, os, sys, tempfile  # what is imported later may lie where another user may not read
from pathlib import Path
from tui_vae.runs import client, protocol
from tui_vae.runs.directory import ReadOnlyRun, RunDirectory
run = RunDirectory(Path(sys.argv[1]))
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""
    done = subprocess.run([sys.executable, "-c", become + code, str(directory.path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_read_only(directory: RunDirectory) -> str:
    """Make a run one that this user may only look at: another user's for root, else one without write permissions.

    Gives what is said of it.
    """
    paths = [directory.path, *directory.path.rglob("*")]
    for path in paths:
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        else:
            path.chmod(path.stat().st_mode & 0o555)
    return "belongs to user nobody" if os.getuid() == 0 else "is in a directory that you may not write to"


def facts(directory: RunDirectory) -> dict[str, tuple[int, int, int, bytes]]:
    """All that writing into a run would change: names, inodes, modes, times and contents."""
    found = {}
    for path in [directory.path, *sorted(directory.path.rglob("*"))]:
        stat = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = stat.st_ino, stat.st_mode, stat.st_mtime_ns, content
    return found


def give_back(folder: Path) -> None:
    """Let the runs in a folder be deleted again."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o700)
