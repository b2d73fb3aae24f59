"""Rename, copy and delete runs that no process trains, and keep a note, one line of text, with any run."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from tui_vae.config import check_option
from tui_vae.plain_text import plain
from tui_vae.runs.client import RequestError, request
from tui_vae.runs.copy_run import copy_run
from tui_vae.runs.create import config_toml
from tui_vae.runs.directory import HOLDER_PAUSE, RunDirectory, RunError
from tui_vae.runs.files import sync_directory, write_atomic
from tui_vae.runs.leftovers import make_hidden, sweep_leftovers
from tui_vae.runs.lock import RunLock
from tui_vae.runs.protocol import Done, Stop
from tui_vae.runs.safe_files import read_whole

MOST_NOTE = 500
"""Characters of a note; what is longer is cut."""

MOST_NOTE_BYTES = 64 << 10
"""Bytes of a note's file that is read: 500 characters have 2,000 at most; a larger file is no note."""

ANSWER_SECONDS, END_SECONDS = 10.0, 5.0
"""Seconds to wait until a serving process answers that it stops, and then until it has ended."""


def rename_run(directory: RunDirectory, name: str) -> RunDirectory:
    """Give a run another name.

    Raises:
        UsageError: it is not a name. RunError: the run is being trained, or the name is taken. ReadOnlyRun: it is
            another user's.
    """
    check_option("name", name)
    directory.check_own()
    target = RunDirectory(directory.path.with_name(name))
    with locked(directory):
        if target.path.exists():
            raise RunError(f"run {name!r} already exists", "choose another name")
        write_atomic(directory.config, config_toml(replace(directory.read_config(), name=name)))
        os.rename(directory.path, target.path)
        sync_directory(target.path.parent)
    return target


def clone_run(directory: RunDirectory, name: str) -> RunDirectory:
    """Copy a run with everything in it.

    Raises:
        UsageError: it is not a name. RunError: the run is being trained, the name is taken, or the disk is full.
    """
    check_option("name", name)
    target = RunDirectory(directory.path.with_name(name))
    if directory.is_training():
        raise RunError(f"run {directory.name!r} is being trained", "stop or pause it first")
    try:
        if target.path.exists() or not copy_run(directory, target):
            raise RunError(f"run {name!r} already exists", "choose another name")
    except OSError as error:
        raise RunError(f"{directory.name} cannot be copied: {error.strerror}", "make room, or see its rights") from None
    return target


def delete_run(directory: RunDirectory) -> None:
    """Delete a run with everything in it.

    Raises:
        RunError: the run is being trained. ReadOnlyRun: it is another user's.
    """
    directory.check_own()
    with locked(directory):
        # Moved away in one step first, so that nobody ever sees half a run.
        trash = make_hidden(directory.path.parent, "deleted")
        os.rename(directory.path, trash / directory.name)
        shutil.rmtree(trash)
    sweep_leftovers(directory.path.parent)


def read_note(directory: RunDirectory) -> str:
    """The run's note; empty where it has none."""
    try:
        text = read_whole(directory.note, MOST_NOTE_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return plain(text).strip()[:MOST_NOTE]


def write_note(directory: RunDirectory, text: str) -> None:
    """Keep one line of text with a run; an empty one removes it.

    Raises:
        ReadOnlyRun: it is another user's. OSError: it cannot be written.
    """
    directory.check_own()
    line = " ".join(plain(text).split())[:MOST_NOTE]
    if line:
        write_atomic(directory.note, f"{line}\n".encode())
    else:
        directory.note.unlink(missing_ok=True)


@contextmanager
def locked(directory: RunDirectory) -> Iterator[None]:
    """Hold the run's lock. A process that only serves its weights is asked to end.

    Raises:
        RunError: a process trains it, or one that serves it does not end.
    """
    if directory.is_training():
        raise RunError(f"run {directory.name!r} is being trained", "stop it first")
    if directory.holder() is not None:
        with suppress(RequestError):
            request(directory, Stop(), Done, timeout=ANSWER_SECONDS)
        deadline = time.monotonic() + END_SECONDS
        while directory.holder() is not None and time.monotonic() < deadline:
            time.sleep(HOLDER_PAUSE)
    lock = RunLock(directory, "serve")
    try:
        yield
    finally:
        lock.release()
