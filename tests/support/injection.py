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


def _environment(site: Path, code: str) -> dict[str, str]:
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(code)
    path = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{path}" if path else str(site)}
