"""Faults of a file system in real processes: Python runs a `sitecustomize` of ours before anything else."""

import os
from pathlib import Path

FLOCK = """
import fcntl, os
real = fcntl.flock
def flock(file, operation):
    handle = file if isinstance(file, int) else file.fileno()
    if os.readlink(f"/proc/self/fd/{{handle}}").startswith({folder!r}):
        {fault}
    return real(file, operation)
fcntl.flock = flock
"""


def without_flock(site: Path, folder: Path, number: int) -> dict[str, str]:
    """The environment of a process for which no file below `folder` can be locked: `flock` has this error."""
    return _environment(site, FLOCK.format(folder=str(folder), fault=f"raise OSError({number}, os.strerror({number}))"))


HOST = """
import fcntl, os
from tui_vae.runs import holder, lock, processes
processes.host_name = lambda: {host!r}
processes.boot_id = lambda: "boot of " + {host!r}
holder.host_name, holder.boot_id = lock.host_name, lock.boot_id = processes.host_name, processes.boot_id
holder.BEAT_EVERY, lock.WATCHED_FOR, lock.WATCH_PAUSE = 0.5, {watched}, 0.1
real, held = fcntl.flock, []
def flock(file, operation):
    number = os.fstat(file).st_ino
    shadow = os.open({shadow!r} + str(number), os.O_RDWR | os.O_CREAT, 0o600)
    real(shadow, operation)
    if operation & fcntl.LOCK_EX:
        held.append(shadow)
    else:
        os.close(shadow)
fcntl.flock = flock
"""


def on_another_host(site: Path, host: str, watched: float = 3.0) -> dict[str, str]:
    """The environment of a process on another host, on a disk that keeps a lock to the host that took it.

    Its beats come every second; `watched`: for how many seconds it watches another's claim.
    """
    return _environment(site, HOST.format(host=host, shadow=str(site / "lock-"), watched=watched))


def _environment(site: Path, code: str) -> dict[str, str]:
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(code)
    path = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{path}" if path else str(site)}
