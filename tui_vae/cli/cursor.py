"""The terminal's cursor, which a progress bar or a table hides, is back after every end that a command can see."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

ENDS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
        signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU)  # fmt: skip
"""The signals that end a process by default and may be handled. What else handles one brings the cursor back itself."""

SHOW = b"\x1b[?25h\n"
"""Shows the cursor (DECTCEM), on a line of its own."""


@contextmanager
def cursor_comes_back(stream: TextIO) -> Iterator[None]:
    """Show the cursor of the terminal that `stream` is, if it is one, where a signal ends the process meanwhile."""
    terminal = ""
    with suppress(OSError, ValueError):
        terminal = os.ttyname(stream.fileno())

    def end(number: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            # Opened once more, without blocking: a stuck terminal must not delay the exit.
            os.write(os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK), SHOW)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    handled = [number for number in ENDS if terminal and signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
