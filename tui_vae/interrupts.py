"""Ctrl-C while a command starts and ends: exit code 130 and not a word.

Python raises `KeyboardInterrupt` wherever it is, also where nobody catches it (in imports before `main`) or where it
is only printed (in a weak reference's callback). While nothing is being done that wants to be tidied up, the process
simply ends instead.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, which itself imports for milliseconds
import os

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as of shells."""

_quiet = False
"""Whether this process is a command that ends quietly; false where a test or a notebook calls one."""


def end_quietly() -> None:
    """From now on Ctrl-C ends the process at once. Where Ctrl-C is ignored, as behind `nohup … &`, it still is."""
    global _quiet
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _quiet = True
        _signal.signal(_signal.SIGINT, _end)


def raise_again() -> None:
    """From now on Ctrl-C raises `KeyboardInterrupt`, so that files and terminals are left in order."""
    if _signal.getsignal(_signal.SIGINT) is _end:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def end_quietly_again() -> None:
    """As `end_quietly`, where that was in force before."""
    if _quiet:
        end_quietly()


def _end(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)
