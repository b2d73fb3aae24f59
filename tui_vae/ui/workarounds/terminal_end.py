"""The terminal as it was, after every end that the program can see; and an end when the terminal is gone.

Written for Textual 3 to 8.2. Its driver for Unix has no handlers for the signals that end a process: the alternate
screen, mouse and key reports stay on and the cursor stays hidden. It never turns mouse reports in pixels off. At the
end of its input it reads on for ever, on a whole core. Bytes that are not UTF-8 (a Latin-1 keyboard, mouse reports as
of 1985) end its input thread by an exception.

To see whether it is still needed: return Textual's own driver from `restoring`, and run
`tests/ui/test_terminal_end.py`.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import termios
import threading
import time
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, TextIO

from textual.driver import Driver
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver

from tui_vae.ui.workarounds.key_parser import ForgivingParser

ENDS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
               signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU)  # fmt: skip
"""The signals that end a process by default and may be handled. Ctrl-C is a key in the app; `kill -INT` is not."""

GRACE_SECONDS: Final = 1.2
"""How long the app may take to end by itself. Then threads that wait for a disk, for a trainer or for a terminal that
nobody reads are left behind. With `CHECK_SECONDS` it is below the 2 s in which an app without a terminal must end."""

CHECK_SECONDS: Final = 0.4
"""Seconds between checks whether the terminal is still there."""

RESTORE_TRIES: Final = 100
RESTORE_PAUSE: Final = 0.002
"""How often, and seconds apart, the terminal is restored where it takes nothing: a fifth of a second in all."""

RESTORE: Final = (
    b"\x18\x1b\\"  # cancels a sequence, and ends a string, of which only the beginning was sent
    b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l"  # repaints at once, no bracketed paste, wrapped lines, no size reports
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # no mouse reports, of no format
    b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l\x1b[m"  # kitty's key reports, screen, cursor, focus reports, style
)
"""What takes back all that Textual's driver turns on; the keyboard's stack belongs to the alternate screen."""


class RestoringDriver(LinuxDriver):
    """Ends the app in order, by exit code 128 + N, on signal N and when the terminal is gone, which is a hang-up."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._file: Any = TerminalFile(sys.__stderr__, self._terminal_is_gone)
        self._changed = False
        """Whether the terminal is in the app's modes."""
        reading, self._signal_pipe = os.pipe()
        os.set_blocking(self._signal_pipe, False)
        for number in ENDS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as of `nohup` and `trap '' HUP`
                signal.signal(number, self._pass_on)
        threading.Thread(target=self._watch, args=(reading,), name="terminal-end", daemon=True).start()

    def start_application_mode(self) -> None:
        self._changed = True
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        super().stop_application_mode()
        self.write("\x1b[?1016l")
        self._changed = False

    def run_input_thread(self) -> None:
        try:
            super().run_input_thread()
        except OSError:  # EIO: the terminal is gone, or another session's
            self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: int, _frame: object = None) -> None:
        """Only this much happens in a signal's handler, which may interrupt anything."""
        with suppress(OSError):
            os.write(self._signal_pipe, bytes([number]))

    def _terminal_is_gone(self) -> None:
        """Redirect later writes, also the interpreter's last ones, to /dev/null, so that none fails."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            with suppress(OSError):
                if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
                    os.dup2(nowhere, number)
        os.close(nowhere)
        self._pass_on(signal.SIGHUP)

    def _watch(self, signals: int) -> None:
        while not select.select([signals], [], [], CHECK_SECONDS)[0]:
            if not os.isatty(self.fileno):
                self._terminal_is_gone()
        code = 128 + os.read(signals, 1)[0]
        with suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(self._app.exit, None, code)
        time.sleep(GRACE_SECONDS)
        if self._changed:
            self._restore()
        os._exit(code)

    def _restore(self) -> None:
        """Restore the terminal without Textual, whose writing may block on a terminal that nobody reads."""
        with suppress(OSError, termios.error):
            # Opened anew, as O_NONBLOCK on the old description would hold for the shell too.
            terminal = os.open(os.ttyname(self.fileno), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            if self.attrs_before is not None:
                termios.tcsetattr(terminal, termios.TCSANOW, self.attrs_before)
            for _ in range(
                RESTORE_TRIES
            ):  # a write that stands still holds the terminal's lock until its rest has found room
                with suppress(BlockingIOError):
                    os.write(terminal, RESTORE)
                    return
                termios.tcflush(terminal, termios.TCOFLUSH)
                time.sleep(RESTORE_PAUSE)


class TerminalFile:
    """What Textual writes to. A terminal that is gone raises nothing here: the thread that writes must go on, as the
    app waits for it at its end."""

    def __init__(self, file: TextIO | None, gone: Callable[[], None]) -> None:
        self._file, self._gone = file, gone

    def write(self, text: str) -> None:
        self._try(lambda file: file.write(text))

    def flush(self) -> None:
        self._try(lambda file: file.flush())

    def fileno(self) -> int:
        return self._file.fileno() if self._file else -1

    def _try(self, action: Callable[[TextIO], object]) -> None:
        try:
            if self._file is not None:
                action(self._file)
        except OSError:
            self._gone()


def _replacing_decoder(encoding: str) -> Any:
    """As `codecs.getincrementaldecoder`, but what cannot be decoded becomes U+FFFD."""
    decoder = getincrementaldecoder(encoding)

    def make(errors: str = "replace") -> IncrementalDecoder:
        return decoder(errors)

    return make


def restoring(driver: type[Driver]) -> type[Driver]:
    """One that restores the terminal in the place of Textual's for Unix; any other driver as it is."""
    if driver is not LinuxDriver:
        return driver
    prepare_input()
    return RestoringDriver


def prepare_input(driver: ModuleType = linux_driver) -> None:
    """Let a module of one of Textual's drivers, by default that for Unix, read whatever a terminal sends."""
    vars(driver).update(getincrementaldecoder=_replacing_decoder, XTermParser=ForgivingParser)
