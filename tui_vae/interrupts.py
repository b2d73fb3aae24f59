"""Ctrl-C and SIGTERM while a command starts and ends: exit code 130 and not a word.

Python raises `KeyboardInterrupt` wherever it is, also where nobody catches it (in imports before `main`) or where it
is only printed (in a weak reference's callback). While nothing is being done that wants to be tidied up, the process
simply ends instead.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, which itself imports for milliseconds
import os

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as of shells; and after SIGTERM, which asks a command for the same."""

ASKS_TO_END = {_signal.SIGINT: _signal.default_int_handler, _signal.SIGTERM: _signal.SIG_DFL}
"""The signals that ask a command to end, and what Python does at each."""

COMES_AGAIN = 75
"""Exit code of a run that a batch system has stopped, and that goes on when the job comes again: EX_TEMPFAIL of
sysexits.h, "temporary failure, try again"."""

_quiet = False
"""Whether this process is a command that ends quietly; false where a test or a notebook calls one."""


def end_quietly() -> None:
    """From now on both end the process at once. Where one is ignored, as Ctrl-C behind `nohup … &`, it still is."""
    global _quiet
    for number, usual in ASKS_TO_END.items():
        if _signal.getsignal(number) in (usual, _signal.default_int_handler):
            _quiet = True
            _signal.signal(number, _end)


def come_again_when_stopped() -> None:
    """From now on a batch system's notice ends the process at once, with the code that lets its job come again.

    `catch_stop_signals` takes them over before there is anything to stop.
    """
    for number in (_signal.SIGTERM, _signal.SIGUSR1):
        if _signal.getsignal(number) is _signal.SIG_DFL:
            _signal.signal(number, lambda number, frame: os._exit(COMES_AGAIN))


def raise_again() -> None:
    """From now on both raise `KeyboardInterrupt`, so that files and terminals are left in order."""
    for number in ASKS_TO_END:
        if _signal.getsignal(number) is _end:
            _signal.signal(number, _signal.default_int_handler)


def end_quietly_again() -> None:
    """As `end_quietly`, where that was in force before."""
    if _quiet:
        end_quietly()


def _end(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)
