"""Each device keeps at most one idle serving process of a user: the one that was asked last.

A process leaves by itself once it sees that another has taken its place. Nobody looks for other processes, signals
them, or believes a number in a file.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.runs.processes import host_name
from tui_vae.runs.runtime_directory import runtime_directory


class IdlePlace:
    """The place of one idle process on a device: an empty file in the user's private runtime directory.

    Whoever has put a file of its own there last has the place. Where no such directory can be had, everybody stays.
    """

    def __init__(self, device: str) -> None:
        self._device = device.replace(":", "-")
        self._path: Path | None = None
        self._file: int | None = None  # kept open, so that no later file has its inode

    def take(self) -> None:
        """Take the place, from whoever has it."""
        self.give_up()
        temporary = ""
        with suppress(UserError, OSError):
            # The host's name, as the directory may be in a home that hosts share.
            path = runtime_directory() / f"idle-{host_name()}-{self._device}"
            self._file, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
            os.replace(temporary, path)
            self._path = path
            return
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)

    def is_lost(self) -> bool:
        """Whether another process has taken the place since."""
        if self._path is None or self._file is None:
            return False
        with suppress(OSError):  # swept away with the runtime directory, at the last logout, and nobody has it
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        return False

    def give_up(self) -> None:
        """Leave the place to others."""
        if self._path is not None and not self.is_lost():
            with suppress(OSError):
                self._path.unlink()
        if self._file is not None:
            os.close(self._file)
        self._path = self._file = None
