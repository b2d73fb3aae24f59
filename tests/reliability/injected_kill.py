"""SIGKILL at the nth call of a function that changes files: before it, after it, or with half of its bytes written."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FUNCTIONS = ("open", "write", "pwrite", "fsync", "replace", "chmod", "fdopen")
"""Of `os`: what a trainer opens, appends, replaces and syncs its files with. `fdopen` is the writing of a checkpoint,
a preview or another whole file; `write` appends to the log, `pwrite` writes the lock."""


@dataclass(frozen=True)
class Kill:
    """At which call of which function; `after`: once it is done, instead of before it or in its midst."""

    function: str
    call: int
    after: bool

    @property
    def window(self) -> str:
        """What the process was doing, in words."""
        if self.after:
            return f"after {self.function}"
        return {"write": "half a line of the log written", "fdopen": "half a file written"}.get(
            self.function, f"before {self.function}"
        )

    def arm(self) -> None:
        """From now on this process kills itself at that call."""
        real: Callable[..., Any] = getattr(os, self.function)
        calls = 0

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            if self.function == "fdopen" and "w" not in arguments[1]:
                return real(*arguments, **options)
            calls += 1
            if calls != self.call:
                return real(*arguments, **options)
            if self.after:
                real(*arguments, **options)
            elif self.function == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            elif self.function == "fdopen":
                return _Half(real(*arguments, **options))
            return end_at_once()

        setattr(os, self.function, counted)


class _Half:
    """An open file that writes half of the first bytes that it gets; then the process is gone."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> _Half:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        end_at_once()


def end_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
