"""Ends a process whose run has been deleted under it: nothing that it could still write would belong to any run."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunError
from tui_vae.runs.holder import BEAT_EVERY
from tui_vae.runs.lock import RunLock
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.runs.protocol import Stop
from tui_vae.trainer.server import Inbox, Ticket

CHECK_EVERY = 1.0
"""Seconds between checks of the directory: soon for a person, and one system call each."""

PATIENCE = 4.0
"""Seconds that the process has to end by itself. One that imports, downloads or waits for its device cannot."""


class RunLost(UserError):
    """The run's directory is gone, or is held by another process."""


class DirectoryWatch:
    """Looks after the run's directory on a thread of its own, and tells the inbox once it is lost.

    A renamed directory is still the run's. A lock file that alone has been deleted is made anew. Where a disk keeps a
    lock to one host, beats show other hosts that this process lives; one that finds another's claim has lost the run.
    """

    def __init__(self, directory: OpenRunDirectory, lock: RunLock, inbox: Inbox, tied_to: int | None = None) -> None:
        """`tied_to`: the parent without which the run stops after a checkpoint: a worker of a cluster, which starts the
        run anew on another machine."""
        self._tied_to = tied_to
        self._directory = directory
        self._lock = lock
        self._inbox = inbox
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """End the watch; does not wait for its thread."""
        self._ended.set()

    def _run(self) -> None:
        missing, beat_at = False, 0.0
        while not self._ended.wait(CHECK_EVERY):
            if self._tied_to is not None and os.getppid() != self._tied_to:
                self._tied_to = None
                self._inbox.put(Ticket(Stop(), lambda reply: None))
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + BEAT_EVERY
                with suppress(OSError):
                    if other := self._lock.beat():
                        self._end(f"run {self._directory.name!r} lives on host {other.elsewhere!r} now")
                        return
            with suppress(OSError):  # the disk cannot be asked now
                missing, before = not self._lock.in_place(), missing
                if reason := self._why_lost(missing and before):
                    self._end(reason)
                    return

    def _why_lost(self, lock_missing: bool) -> str:
        """Why the run is lost; empty while it is not.

        `lock_missing`: for longer than it takes to delete a directory.

        Raises:
            OSError: that cannot be told now.
        """
        name = self._directory.name
        if self._directory.is_gone():
            return f"the directory of run {name!r} has been deleted"
        if lock_missing:
            if not self._directory.files.config.exists():
                return f"the files of run {name!r} have been deleted"
            try:
                self._lock.renew()
            except RunError:
                return f"the lock of run {name!r} has been deleted, and another process holds the run now"
        return ""

    def _end(self, reason: str) -> None:
        error = RunLost(reason, "this process ends, and writes nothing more")
        self._inbox.lose(error)
        if not self._ended.wait(PATIENCE):
            print(error, file=sys.stderr, flush=True)
            os._exit(error.exit_code)
