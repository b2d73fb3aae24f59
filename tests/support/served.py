"""The app in a browser: a real server of `tui-vae serve`, tabs without a browser, and a Chromium without a screen."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
import pyte
import pytest

from tests.support.processes import command, wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_serve = pytest.mark.skipif(not find_spec("textual_serve"), reason="needs the extra serve")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and find_spec("playwright")), reason="needs Chromium and the package playwright"
)

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")  # fmt: skip
"""Options of a Chromium that may run as root in a container, and to which no other machine exists."""


class Served:
    """`tui-vae serve` on any free port, ended with the test."""

    def __init__(self, runs_dir: Path, *more: str) -> None:
        self.process = command("serve", "--port", 0, "--runs-dir", runs_dir, *more, cwd=runs_dir.parent)
        self.seen: set[psutil.Process] = set()
        """Every app's process that has been looked at."""

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://"), self.process.communicate()
        self.secret = urlsplit(self.address).path.strip("/")
        return self

    def __exit__(self, *exception: object) -> None:
        self.apps()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        for app in self.seen:
            if app.is_running():
                app.kill()

    def at(self, path: str, secret: bool = True) -> str:
        """The address of a path of the server, with or without the secret."""
        root = self.address.removesuffix(f"{self.secret}/")
        return f"{self.address if secret else root}{path}"

    def apps(self) -> list[psutil.Process]:
        """The processes of the apps that it runs now."""
        try:
            found: list[psutil.Process] = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        self.seen.update(found)
        return found

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError("it did not end") from None


def ended(apps: list[psutil.Process]) -> None:
    """Wait until all of these have ended."""
    wait_until(lambda: not [each for each in apps if each.is_running() and each.status() != psutil.STATUS_ZOMBIE])


class Screen:
    """What a browser's terminal shows of the bytes that a websocket brings."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()

    def heard(self, payload: Any) -> None:
        """A message of the websocket; text is not for the terminal."""
        if isinstance(payload, bytes):
            with self._lock:
                self._stream.feed(payload)

    def text(self) -> str:
        with self._lock:
            return "\n".join(self._screen.display)

    def shows(self, words: str) -> Callable[[], bool]:
        """A condition to wait for."""
        return lambda: words in self.text()
