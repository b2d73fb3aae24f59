"""What a command waits for, on a line of the terminal that goes when the wait is over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tui_vae.plain_text import plain

ERASE = "\r\x1b[K"
"""Back to the beginning of the line, and erase it."""

MOST = 78
"""Characters of the line: one that is wrapped could not be erased."""


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Say on stderr what is waited for, if that is a terminal; gives a function that says what comes next."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    def say(text: str) -> None:
        sys.stderr.write(f"{ERASE}{plain(text)[:MOST]} ...")
        sys.stderr.flush()

    say(what)
    try:
        yield say
    finally:
        erase()


def erase() -> None:
    """Make room for a line that stays, where stderr is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(ERASE)
        sys.stderr.flush()
