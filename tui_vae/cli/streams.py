"""Makes standard output and standard error safe: characters that they cannot carry, closed streams, full disks."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

LEGIBLE = "tui-vae-legible"
"""The name of the error handler that writes a character in other words where a stream's encoding lacks it."""


_closed: set[int] = set()
"""Which of the standard streams nobody had opened for this process."""


def prepare() -> None:
    """Let text of any kind go to any standard stream. A closed one is opened on the null device.

    A file that is opened later would else get the number of a closed stream, and be written to in its place.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(number)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    codecs.register_error(LEGIBLE, _in_other_words)
    # Where something else stands there, as in a test, that is left alone.
    if sys.stdout is sys.__stdout__:
        sys.stdout = StandardOutput(sys.__stdout__ or open(1, "w", encoding="utf-8"))  # noqa: SIM115
    if sys.stderr is sys.__stderr__:
        sys.stderr = StandardError(sys.__stderr__ or open(2, "w", encoding="utf-8"))  # noqa: SIM115


def output_was_closed() -> bool:
    """Whether standard output was closed, as by `>&-`, which most commands take for a wish for silence."""
    return 1 in _closed


class _Stream(io.TextIOWrapper):
    """Writes to where another stream writes to."""

    def __init__(self, before: TextIO) -> None:
        unbuffered = isinstance(before, io.TextIOWrapper) and before.write_through
        super().__init__(
            before.buffer,
            before.encoding,
            LEGIBLE,
            line_buffering=bool(before.line_buffering),
            write_through=unbuffered,
        )
        self._before = before  # or else its end would close the file


class StandardOutput(_Stream):
    """Keeps the first error and goes on, so that a command follows training to its end although nobody reads.

    A reader that has gone ends the command, as it does everywhere.
    """

    def __init__(self, before: TextIO) -> None:
        super().__init__(before)
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """As usual, except that only a reader that has gone raises: BrokenPipeError."""
        with self._keeping_error():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """As `write`."""
        with self._keeping_error():
            super().flush()

    @contextmanager
    def _keeping_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            if isinstance(error, BrokenPipeError):
                raise


class StandardError(_Stream):
    """Loses what it cannot write: no command fails because a remark about it had no room."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _in_other_words(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    with suppress(UnicodeEncodeError):  # a file's name in an ASCII locale: bytes that Python did not decode
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(map(_legible, text)), error.end


def _legible(character: str) -> str:
    """A character in ASCII: the words of the app, a letter without its accents, or a question mark."""
    from tui_vae.ui.terminal import ASCII_WORDS, without_accents

    words = character.translate(ASCII_WORDS)
    return words if words.isascii() else without_accents(character) or "?"


def output_error() -> OSError | None:
    """Why not all has reached standard output; None where it has."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    return sys.stdout.error if isinstance(sys.stdout, StandardOutput) else None


def give_output_up() -> None:
    """Discard the unwritten rest of standard output, so that the interpreter does not fail on it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
