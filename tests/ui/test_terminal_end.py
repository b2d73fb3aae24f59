"""How the app ends: the terminal as it was before, an exit code that tells why, and nothing left running."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence

import pytest

from tests.support.terminal import Terminal

TUI_VAE = (sys.executable, "-m", "tui_vae")
IGNORING_HANG_UPS = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
MODES = re.compile(rb"\x1b\[\?(\d+)([hl])")
KITTY = re.compile(rb"\x1b\[([<>])\d*u")


class Recorded(Terminal):
    """Keeps every byte that the program sends."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.data = b""
        super().__init__(argv)

    def heard(self, data: bytes) -> None:
        self.data += data
        super().heard(data)

    def type_bytes(self, data: bytes) -> None:
        os.write(self._fd, data)

    def modes(self) -> dict[int, bool]:
        """The last thing said about each of the terminal's modes."""
        return {int(number): what == b"h" for number, what in MODES.findall(self.data)}


def assert_as_before(terminal: Recorded) -> None:
    time.sleep(0.3)  # the last bytes may still be on their way
    modes = terminal.modes()
    assert modes.pop(7), "long lines are wrapped"
    assert modes.pop(25), "the cursor is seen"
    assert {1049, 1000, 1003, 1006, 2004, 1004, 1016} <= modes.keys()
    assert not [mode for mode, is_on in modes.items() if is_on]
    pushed = [what == b">" for what in KITTY.findall(terminal.data)]
    assert pushed == [True, False], "the keyboard's reports are as they were, and nobody else's were taken off"
    keyboard = terminal.data.rindex(b"\x1b[<u")
    assert keyboard < terminal.data.rindex(b"\x1b[?1049l"), "the alternate screen has a keyboard mode of its own"


def pixel_mice(terminal: Recorded) -> None:
    """Answer as a terminal that can report the mouse in pixels and its size in band."""
    terminal.type_bytes(b"\x1b[?2048;2$y")
    deadline = time.monotonic() + 20
    while 1016 not in terminal.modes() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT", "SIGUSR1"])
def test_a_signal_ends_the_app_and_leaves_the_terminal_as_it_was(name: str) -> None:
    number = signal.Signals[name]
    with Recorded([*TUI_VAE]) as terminal:
        terminal.until("FashionMNIST")
        pixel_mice(terminal)
        os.kill(terminal.pid, number)
        assert terminal.wait() == 128 + number
        assert_as_before(terminal)
        assert b"Traceback" not in terminal.data


def test_leaving_is_the_only_end_with_code_0() -> None:
    with Recorded([*TUI_VAE]) as terminal:
        terminal.until("FashionMNIST")
        pixel_mice(terminal)
        terminal.press("q")
        assert terminal.wait() == 0
        assert_as_before(terminal)


def test_a_terminal_that_nobody_reads_is_restored_too() -> None:
    """As over a connection that stands still: the app's own writing waits, and its end with it."""
    with Recorded([*TUI_VAE]) as terminal:
        terminal.until("FashionMNIST")
        pixel_mice(terminal)
        with terminal._lock:  # the reader waits
            for width in range(300, 340):
                terminal_size(terminal, width)
                time.sleep(0.05)
            os.kill(terminal.pid, signal.SIGTERM)
            time.sleep(2.5)
        assert terminal.wait(5) == 128 + signal.SIGTERM
        assert_as_before(terminal)


def terminal_size(terminal: Recorded, columns: int) -> None:
    """Have the app repaint all of a large screen."""
    fcntl.ioctl(terminal._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 100, columns, 0, 0))
    os.kill(terminal.pid, signal.SIGWINCH)


@pytest.mark.parametrize("wrapper", [(), IGNORING_HANG_UPS], ids=["heard", "ignored"])
def test_the_app_ends_with_its_terminal(wrapper: tuple[str, ...]) -> None:
    with Recorded([*wrapper, *TUI_VAE]) as terminal:
        terminal.until("FashionMNIST")
        dropped = time.monotonic()
        terminal.hang_up()
        assert time.monotonic() - dropped < 4, "2 s, and what a loaded machine needs"
        assert terminal.wait() == 128 + signal.SIGHUP


def test_keys_that_are_not_utf_8_are_no_end() -> None:
    """ä, ö and ü of a Latin-1 keyboard, the mouse far to the right in the report of 1985, and half a character."""
    with Recorded([*TUI_VAE]) as terminal:
        terminal.until("FashionMNIST")
        for data in (b"\xe4\xf6\xfc", b"\x1b[M \xf5\xb0", b"\xc3", b"\xff\xfe", b"\xed\xa0\x80"):
            terminal.type_bytes(data)
            time.sleep(0.2)
        terminal.press("?")
        terminal.until("esc close")
        terminal.press("escape")
        terminal.until(lambda text: "esc close" not in text)
        terminal.press("q")
        assert terminal.wait() == 0
        assert b"Traceback" not in terminal.data
