"""A process's signs of life: a thread tells the trainer once a second, and for how long a step has taken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tui_vae.trainer.several.lines import Beat, Line

BEAT_EVERY = 1.0
"""Seconds between two beats."""


class Pulse:
    """Beats on a line until its process ends. Only what happens within `working` and not within `waiting` is work."""

    def __init__(self, line: Line, parent: int) -> None:
        """parent: the trainer. A process that it started ends with it."""
        self._line, self._parent = line, parent
        self._working_since: float | None = None
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """While a step is made."""
        self._working_since = time.monotonic()
        try:
            yield
        finally:
            self._working_since = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While other processes are waited for."""
        was, self._working_since = self._working_since, None
        try:
            yield
        finally:
            self._working_since = time.monotonic() if was is not None else None

    def _run(self) -> None:
        while os.getppid() == self._parent:
            since = self._working_since
            self._line.send(Beat(busy=0.0 if since is None else time.monotonic() - since))
            time.sleep(BEAT_EVERY)
        os._exit(1)
