"""Directories that a killed process left half made or half deleted beside the runs, and what sweeps them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tui_vae.config.trackers import MODULES
from tui_vae.runs.directory import RunDirectory

Purpose = Literal["new", "old", "deleted"]
"""A run that is being made, one that failed early and gives way to a new one, one that the user deletes."""

LEFT_AFTER = 86_400.0
"""Seconds after which such a directory is taken for a leftover: making and deleting a run take seconds."""

_NAME = r"\.(new|old|deleted)-[a-z0-9_]{8}"  # as mkdtemp makes it


def make_hidden(runs_dir: Path, purpose: Purpose) -> Path:
    """Make an empty private directory beside the runs, which no list of runs shows.

    Raises:
        OSError: it cannot be made.
    """
    return Path(tempfile.mkdtemp(dir=runs_dir, prefix=f".{purpose}-"))


def sweep_leftovers(runs_dir: Path) -> None:
    """Remove the directories that `make_hidden` made more than `LEFT_AFTER` ago and that nobody has removed since.

    Only this user's own, never through a link, and only those that hold nothing but a run's files.
    """
    oldest = time.time() - LEFT_AFTER
    with suppress(OSError), os.scandir(runs_dir) as entries:
        leftovers = [
            Path(entry.path) for entry in entries if re.fullmatch(_NAME, entry.name) and _is_old(entry, oldest)
        ]
        for path in leftovers:
            if all(_holds_a_run(inner) for inner in _runs_in(path)):
                shutil.rmtree(path, ignore_errors=True)  # it follows no link


def _is_old(entry: os.DirEntry[str], oldest: float) -> bool:
    facts = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and facts.st_mtime < oldest


def _runs_in(path: Path) -> list[Path]:
    """The directories of runs: a deleted one lies, with its name, in the one made for it."""
    return list(path.iterdir()) if path.name.startswith(".deleted-") else [path]


def _holds_a_run(path: Path) -> bool:
    """Whether nothing else lies in a directory than the files of a run, or what is left of them."""
    run = RunDirectory(path)
    known = {run.config, run.events, run.last, run.best, run.previews, run.kept, run.log, run.lock, run.note, run.tags}
    known |= {path / tracker for tracker in MODULES}
    return not path.is_symlink() and path.is_dir() and all(
        inner in known or (inner.name.startswith(".") and inner.suffix == ".part") for inner in path.iterdir()
    )  # fmt: skip
