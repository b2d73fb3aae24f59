"""Looks for something in a run's log without parsing it: a log may have many megabytes."""

from __future__ import annotations

from pathlib import Path

from tui_vae.runs.events import LogTail
from tui_vae.runs.safe_files import open_to_read


def mentions_run(path: Path, run_id: str) -> bool:
    """Whether a `run` event of a log has this id, or the id is empty, as in checkpoints of older versions.

    The log is searched as bytes: it may have many megabytes.

    Raises:
        OSError: it cannot be read, or is no plain file.
    """
    wanted = f'"id":"{run_id}"'.encode()
    rest = b""
    with open_to_read(path) as file:
        if not run_id:
            return True
        while data := file.read(LogTail.CHUNK):
            if wanted in rest + data:
                return True
            rest = data[-len(wanted) :]
    return False
