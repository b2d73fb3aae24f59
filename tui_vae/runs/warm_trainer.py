"""A trainer that waits warm: a process that has imported PyTorch before anybody has said which run it will train."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from tui_vae.main_memory import free_main_memory
from tui_vae.runs.processes import COMMAND

WARM = "--warm"
"""The argument that has a trainer wait for its run."""

LEAST_FREE = 2_000_000_000
"""Bytes of free memory below which no trainer waits: one holds 0.6 GB, and whoever uses the machine may want that."""

MOST_ARGUMENTS = 1 << 16
"""Bytes of the message with a run's arguments: a path, and a few options."""


class WarmTrainer:
    """A process that waits for its run; `hand_over` tells it which. It ends with this process, however that ends.

    It waits at its end of a socket pair. Where this process ends, the kernel closes the other end, and it ends too.
    It stands in a session of its own from its start, as every trainer does.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # this Python, our module
                    [sys.executable, "-P", "-m", COMMAND, WARM], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True, env=environment,
                )  # fmt: skip
        except BaseException:
            self._ours.close()
            raise

    def hand_over(self, arguments: list[str], log: int) -> subprocess.Popen[bytes] | None:
        """Have the process do what `python -m tui_vae.trainer ARGUMENTS` would do if it was started here now.

        `log`: the descriptor that its output goes to. None where the process is gone.
        """
        if self._process.poll() is not None:
            self.close()
            return None
        try:
            here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            self.close()
            return None
        try:
            socket.send_fds(self._ours, [json.dumps(arguments).encode()], [log, here])
        except OSError:  # it has ended this instant
            return None
        finally:
            os.close(here)
            self._ours.close()
        return self._process

    def close(self) -> None:
        """Let the process end, unless a run was handed over to it."""
        if self._ours.fileno() < 0:
            return
        self._ours.close()
        threading.Thread(target=self._process.wait, daemon=True).start()  # it may be in the middle of an import


def has_room() -> bool:
    """Whether there is memory for a process that only waits."""
    return free_main_memory() >= LEAST_FREE


class HandedOver(NamedTuple):
    """A run that a waiting process has got: a trainer's arguments, and descriptors of its output and its directory."""

    arguments: list[str]
    log: int
    working_directory: int


def wait_for_run(seconds: float, tick: Callable[[], None]) -> HandedOver | None:
    """Wait at standard input until a run is handed over; None where the app has ended without one.

    `tick` is called whenever so many seconds have passed.
    """
    with socket.socket(fileno=os.dup(0)) as app:
        while not select.select([app], [], [], seconds)[0]:
            tick()
        try:
            message, files, _, _ = socket.recv_fds(app, MOST_ARGUMENTS, 2)
        except OSError:
            return None
    return HandedOver(json.loads(message), *files) if message and len(files) == 2 else None
