"""A program in a real pseudo-terminal, its screen kept by pyte: what a person over SSH would see."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import pyte

KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "space": " ", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C",
        "left": "\x1b[D", "pgup": "\x1b[5~", "pgdn": "\x1b[6~", "ctrl+p": "\x10", "ctrl+s": "\x13"}  # fmt: skip
SSH = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
NOT_FORWARDED = ("COLORTERM", "NO_COLOR", "TERM_PROGRAM", "TMUX", "COLUMNS", "LINES", "LC_ALL")


class Terminal:
    """Runs `argv` in a terminal of `columns` × `rows`, with the environment that SSH gives, changed by `env`."""

    def __init__(
        self, argv: Sequence[str], columns: int = 100, rows: int = 30, env: Mapping[str, str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.sent = 0
        """Bytes, as an SSH connection would carry them."""
        environment = {name: value for name, value in os.environ.items() if name not in NOT_FORWARDED}
        environment |= SSH | dict(env or {})
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], list(argv), environment)
        self.resize(columns, rows)
        self._closing = False
        self._code: int | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.hang_up()

    def resize(self, columns: int, rows: int) -> None:
        """From here on only what has been painted since is seen, unless the size stays as it is."""
        with self._lock:
            if (columns, rows) != (self.screen.columns, self.screen.lines):
                self.screen.erase_in_display(2)
            self.screen.resize(rows, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while not self._closing:
            try:
                if select.select([self._fd], [], [], 0.05)[0]:
                    data = os.read(self._fd, 1 << 16)
                    self.heard(data)
            except OSError:
                return

    def heard(self, data: bytes) -> None:
        """The program has sent this."""
        with self._lock:
            self.sent += len(data)
            self._stream.feed(data)

    def text(self) -> str:
        with self._lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, *keys: str) -> None:
        for key in keys:
            os.write(self._fd, KEYS.get(key, key).encode())
            time.sleep(0.1)

    def until(self, wanted: str | Callable[[str], bool], seconds: float = 60) -> str:
        """Wait until a text, or a screen that a function likes, is there; return the whole screen."""
        like = wanted if callable(wanted) else lambda text: wanted in text
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.text()
            if like(text):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{wanted!r} did not appear within {seconds} s; the screen shows:\n{self.text()}")

    def wait(self, seconds: float = 20) -> int:
        """The program's exit code, once it has ended by itself; minus the signal that ended it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._ended():
                assert self._code is not None
                return self._code
            time.sleep(0.05)
        raise AssertionError(f"it did not end within {seconds} s; the screen shows:\n{self.text()}")

    def _ended(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is not None

    def hang_up(self) -> None:
        """Close the terminal, as a dropped connection does: the kernel sends SIGHUP."""
        if self._closing:
            return
        self._closing = True
        self._reader.join()
        os.close(self._fd)
        for _ in range(200):
            if self._ended():
                return
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
