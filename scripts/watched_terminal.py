"""A terminal that notes when something that is waited for arrives: at its bytes, not when somebody looks."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from tests.support.terminal import KEYS, Terminal

SEQUENCE = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()=>P][^\x1b]*")


class Watched(Terminal):
    """Notes when something that is waited for has arrived: at its bytes, not when somebody looks."""

    def __init__(self, argv: Sequence[str], size: tuple[int, int] = (120, 40), env: Mapping[str, str] | None = None,
                 like: Callable[[str], bool] | None = None) -> None:  # fmt: skip
        self.cells = 0
        """Characters that the program has put on the screen."""
        self._like = like or (lambda _: self.cells > 300)
        self._arrived, self._at = threading.Event(), 0.0
        self._began = time.perf_counter()
        super().__init__(argv, *size, env=env)

    def heard(self, data: bytes) -> None:
        now = time.perf_counter()
        super().heard(data)
        self.cells += len(SEQUENCE.sub(b"", data))
        if not self._arrived.is_set() and self._like(self.text()):
            self._at = now
            self._arrived.set()

    def seconds(self, limit: float = 90) -> float:
        """Seconds from the start, or from the key, until the screen was as wanted."""
        assert self._arrived.wait(limit), f"it never came; the screen shows:\n{self.text()}"
        return self._at - self._began

    def then(self, like: Callable[[str], bool]) -> None:
        """What to wait for next."""
        self._like = like
        self._arrived.clear()

    def key(self, key: str, like: Callable[[str], bool], limit: float = 20) -> float:
        """Press a key; the seconds until the screen is as wanted."""
        self.then(like)
        self._began = time.perf_counter()
        os.write(self._fd, KEYS.get(key, key).encode())
        return self.seconds(limit)

    def wait_until_quiet(self, quiet: float = 0.7) -> int:
        """Wait until nothing has come for a while; all the bytes so far."""
        before = -1
        while before != self.sent:
            before = self.sent
            time.sleep(quiet)
        return before
