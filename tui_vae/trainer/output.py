"""The trainer's own output, which goes to trainer.log: losing a word of it never ends a run."""

from __future__ import annotations

import io
import sys
from contextlib import suppress

TO_STDOUT, TO_STDERR = 1, 2


class ForgivingFile(io.FileIO):
    """A file that forgets what it cannot write: on a full disk, say."""

    def write(self, data: bytes) -> int:  # type: ignore[override]  # of any buffer, as all callers here give bytes
        """Write what can be written; all of it counts as written."""
        with suppress(OSError):
            super().write(data)
        return len(data)


def forgive_output() -> None:
    """Let `print` and tracebacks of this process never raise, whatever becomes of the file that they go to."""
    sys.stdout = _stream(TO_STDOUT)
    sys.stderr = _stream(TO_STDERR)


def _stream(descriptor: int) -> io.TextIOWrapper:
    file = ForgivingFile(descriptor, "w", closefd=False)
    return io.TextIOWrapper(file, "utf-8", errors="backslashreplace", write_through=True)
